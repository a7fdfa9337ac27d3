// The simulated network: delivery in order on virtual time, and each fault.
#include "testing/sim_network.hpp"

#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "testing/simulation.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace std::chrono_literals;
using io::Task;
using io::TaskGroup;
using testing::SimLink;
using testing::SimNetwork;
using testing::SimNetworkOptions;
using testing::Simulation;

namespace {

const std::string kOne = "10.0.0.1";
const std::string kTwo = "10.0.0.2";
const io::Address kService{.host = kTwo, .port = 4001};

using StreamPtr = std::unique_ptr<io::Stream>;

struct Connection {
    std::unique_ptr<io::Listener> listener;
    StreamPtr client;
    StreamPtr server;
};

// A simulation with two hosts.
struct World {
    explicit World(const SimNetworkOptions& options = SimNetworkOptions())
        : network(simulation.clock(), options) {
        (void)network.host(kOne);
        (void)network.host(kTwo);
    }

    [[nodiscard]] io::Duration now() { return simulation.clock().now().time_since_epoch() - 1h; }

    Simulation simulation;
    SimNetwork network;
};

Task<void> connect(World& world, Connection& made) {
    auto listener = world.network.host(kTwo).listen(kService);
    REQUIRE(listener.has_value());
    made.listener = std::move(*listener);
    auto client = co_await world.network.host(kOne).connect(kService);
    REQUIRE(client.has_value());
    made.client = std::move(*client);
    auto server = co_await made.listener->accept();
    REQUIRE(server.has_value());
    made.server = std::move(*server);
}

Task<std::string> read_to_end(io::Stream& stream) {
    std::string text;
    std::vector<std::byte> chunk(1000);
    for (;;) {
        const Result<std::size_t> count = co_await stream.read_some(chunk);
        if (!count || *count == 0) break;
        text += as_text(Bytes(chunk).first(*count));
    }
    co_return text;
}

Task<void> send_and_end(io::Stream& stream, std::string text) {
    const Result<> written = co_await stream.write(as_bytes(text));
    CHECK(written.has_value());
    const Result<> ended = co_await stream.shutdown_write();
    CHECK(ended.has_value());
}

Task<std::string> read_exactly(io::Stream& stream, std::size_t count) {
    std::vector<std::byte> bytes(count);
    std::size_t have = 0;
    while (have < count) {
        const MutableBytes rest = MutableBytes(bytes).subspan(have);
        const Result<std::size_t> got = co_await stream.read_some(rest);
        REQUIRE(got.has_value());
        REQUIRE(*got != 0);
        have += *got;
    }
    co_return std::string(as_text(bytes));
}

Task<Errc> read_error(io::Stream& stream) {
    std::vector<std::byte> chunk(100);
    const Result<std::size_t> count = co_await stream.read_some(chunk);
    REQUIRE(!count.has_value());
    co_return count.error().code;
}

Task<void> transfer(TaskGroup& group, World& world, std::size_t size, io::Duration& took) {
    Connection made;
    co_await connect(world, made);
    const io::Duration start = world.now();
    std::string text;
    for (std::size_t i = 0; i < size; ++i)
        text += static_cast<char>('a' + i % 26);
    group.spawn(send_and_end, std::ref(*made.client), text);
    const std::string heard = co_await read_to_end(*made.server);
    CHECK(heard == text);
    took = world.now() - start;
}

io::Duration time_of_transfer(World& world, std::size_t size) {
    io::Duration took{};
    world.simulation.run(io::with_group(transfer, std::ref(world), size, std::ref(took)));
    return took;
}

// Runs `body(world, connection)` over a fresh connection.
template <class Body>
void with_connection(Body body, const SimNetworkOptions& options = SimNetworkOptions()) {
    static constexpr auto task = [](World& world, Body inner) -> Task<void> {
        Connection made;
        co_await connect(world, made);
        co_await inner(world, made);
    };
    World world(options);
    world.simulation.run(task(world, body));
}

}  // namespace

TEST_CASE("a connection takes one round trip, and bytes one way") {
    World world(SimNetworkOptions{.link = SimLink{.latency = 20ms}});
    CHECK(time_of_transfer(world, 100) == 20ms);
    CHECK(world.now() == 60ms);
}

TEST_CASE("bandwidth and jitter delay bytes, which stay in order") {
    const SimLink link{.latency = 10ms, .jitter = 30ms, .bytes_per_second = 1'000'000};
    World world(SimNetworkOptions{.link = link});
    const io::Duration took = time_of_transfer(world, 1'000'000);
    CHECK(took >= 1010ms);
    CHECK(took <= 1500ms);
}

TEST_CASE("a lost segment comes later, with all behind it") {
    World world(SimNetworkOptions{.link = SimLink{.latency = 1ms, .loss = 0.5}});
    CHECK(time_of_transfer(world, 500'000) >= 200ms);
}

TEST_CASE("a run is a function of its seed") {
    static constexpr auto hash_of = [](std::uint64_t seed) {
        const SimLink link{.latency = 5ms, .jitter = 5ms, .loss = 0.1};
        World world(SimNetworkOptions{.seed = seed, .link = link});
        time_of_transfer(world, 300'000);
        return world.network.trace_hash();
    };
    CHECK(hash_of(7) == hash_of(7));
    CHECK(hash_of(7) != hash_of(8));
}

TEST_CASE("a write waits while the queue is full, until the reader reads") {
    static constexpr auto late_reader = [](World& world, io::Stream& stream) -> Task<void> {
        co_await world.simulation.clock().sleep_for(3s);
        const std::string heard = co_await read_to_end(stream);
        CHECK(heard.size() == 10'000);
    };
    static constexpr auto body =
        [](TaskGroup& group, World& world, Connection& made) -> Task<void> {
        group.spawn(late_reader, std::ref(world), std::ref(*made.server));
        const std::string text(10'000, 'x');
        const Result<> written = co_await made.client->write(as_bytes(text));
        CHECK(written.has_value());
        CHECK(world.now() >= 3s);
        made.client->close();
    };
    with_connection(
        [](World& world, Connection& made) {
            return io::with_group(body, std::ref(world), std::ref(made));
        },
        SimNetworkOptions{.queue_bytes_max = 4096});
}

TEST_CASE("a closed end is read as an end, after what was written, and then refuses writes") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        const Result<> written = co_await made.client->write(as_bytes("goodbye"));
        CHECK(written.has_value());
        made.client.reset();
        const std::string heard = co_await read_to_end(*made.server);
        CHECK(heard == "goodbye");
        const Result<> refused = co_await made.server->write(as_bytes("x"));
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == Errc::closed);
        CHECK(world.network.connection_count() == 1);
    });
}

TEST_CASE("nobody listens: connection refused, after a round trip") {
    World world;
    const auto stream = world.simulation.run(world.network.host(kOne).connect(kService));
    REQUIRE(!stream.has_value());
    CHECK(stream.error().code == Errc::unavailable);
    CHECK(stream.error().context == "cannot connect to 10.0.0.2:4001: connection refused");
    CHECK(world.now() == 2ms);
}

TEST_CASE("a port is taken once, a foreign address never, and port 0 is chosen") {
    World world;
    io::Network& host = world.network.host(kTwo);
    const auto first = host.listen(kService);
    REQUIRE(first.has_value());
    const auto second = host.listen(kService);
    REQUIRE(!second.has_value());
    CHECK(second.error().code == Errc::unavailable);
    const auto foreign = host.listen(io::Address{.host = kOne, .port = 1});
    REQUIRE(!foreign.has_value());
    CHECK(foreign.error().code == Errc::invalid_argument);
    const auto chosen = host.listen(io::Address{.host = "0.0.0.0", .port = 0});
    REQUIRE(chosen.has_value());
    CHECK((*chosen)->local_address() == "0.0.0.0:40000");
}

TEST_CASE("what listens on loopback is reached from its own host only") {
    World world;
    const io::Address local{.host = "127.0.0.1", .port = 4001};
    const auto listener = world.network.host(kTwo).listen(local);
    REQUIRE(listener.has_value());
    CHECK(world.simulation.run(world.network.host(kTwo).connect(local)).has_value());
    CHECK(!world.simulation.run(world.network.host(kOne).connect(kService)).has_value());
    CHECK(!world.simulation.run(world.network.host(kOne).connect(local)).has_value());
}

TEST_CASE("a cut holds bytes back until it heals") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        world.network.cut(kOne, kTwo);
        const Result<> written = co_await made.client->write(as_bytes("late"));
        CHECK(written.has_value());
        std::vector<std::byte> chunk(100);
        const auto nothing =
            co_await io::with_timeout(world.simulation.clock(), 60s, made.server->read_some(chunk));
        REQUIRE(!nothing.has_value());
        CHECK(nothing.error().code == Errc::timed_out);
        world.network.heal(kOne, kTwo);
        const std::string heard = co_await read_exactly(*made.server, 4);
        CHECK(heard == "late");
    });
}

TEST_CASE("connecting across a cut goes on when it heals, or times out as on Linux") {
    static constexpr auto heal_later = [](World& world) -> Task<void> {
        co_await world.simulation.clock().sleep_for(2s);
        world.network.heal_all();
    };
    static constexpr auto body = [](TaskGroup& group, World& world) -> Task<void> {
        const auto listener = world.network.host(kTwo).listen(kService);
        world.network.partition({kOne}, {kTwo});
        const auto late = co_await world.network.host(kOne).connect(kService);
        REQUIRE(!late.has_value());
        CHECK(late.error().code == Errc::timed_out);
        CHECK(world.now() == 127s);
        group.spawn(heal_later, std::ref(world));
        const auto healed = co_await world.network.host(kOne).connect(kService);
        CHECK(healed.has_value());
        CHECK(world.now() == 130s + 2ms);
    };
    World world;
    world.simulation.run(io::with_group(body, std::ref(world)));
}

TEST_CASE("a crash breaks connections at both ends and takes the listeners") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        world.network.crash(kTwo);
        const Errc theirs = co_await read_error(*made.server);
        CHECK(theirs == Errc::closed);
        const Errc ours = co_await read_error(*made.client);
        CHECK(ours == Errc::closed);
        const Result<> written = co_await made.client->write(as_bytes("x"));
        CHECK(!written.has_value());
        const auto accepted = co_await made.listener->accept();
        REQUIRE(!accepted.has_value());
        CHECK(accepted.error().code == Errc::closed);
        const auto again = co_await world.network.host(kOne).connect(kService);
        REQUIRE(!again.has_value());
        CHECK(again.error().code == Errc::unavailable);
        CHECK(world.network.host(kTwo).listen(kService).has_value());
    });
}

TEST_CASE("a peer behind a cut learns of a crash when the cut heals") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        world.network.cut(kOne, kTwo);
        world.network.crash(kTwo);
        std::vector<std::byte> chunk(100);
        const auto still =
            co_await io::with_timeout(world.simulation.clock(), 60s, made.client->read_some(chunk));
        REQUIRE(!still.has_value());
        CHECK(still.error().code == Errc::timed_out);
        world.network.heal_all();
        const Errc ours = co_await read_error(*made.client);
        CHECK(ours == Errc::closed);
    });
}

TEST_CASE("a frozen host neither hears nor speaks, and goes on when it thaws") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        world.network.freeze(kTwo);
        const Result<> said = co_await made.server->write(as_bytes("from the ice"));
        CHECK(said.has_value());
        const Result<> written = co_await made.client->write(as_bytes("hello"));
        CHECK(written.has_value());
        co_await world.simulation.clock().sleep_for(10s);
        CHECK(world.network.delivery_count() == 0);
        world.network.thaw(kTwo);
        const std::string theirs = co_await read_exactly(*made.server, 5);
        CHECK(theirs == "hello");
        const std::string ours = co_await read_exactly(*made.client, 12);
        CHECK(ours == "from the ice");
    });
}

TEST_CASE("a reset breaks both ends at once, and drops what was under way") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        const Result<> written = co_await made.client->write(as_bytes("lost"));
        CHECK(written.has_value());
        world.network.reset(kOne, kTwo);
        const Errc theirs = co_await read_error(*made.server);
        CHECK(theirs == Errc::closed);
        const Errc ours = co_await read_error(*made.client);
        CHECK(ours == Errc::closed);
    });
}

TEST_CASE("garbage replaces the bytes of one direction, not their number") {
    with_connection([](World& world, Connection& made) -> Task<void> {
        world.network.set_garbage(kOne, kTwo, true);
        const std::string said(64, 'x');
        const Result<> written = co_await made.client->write(as_bytes(said));
        CHECK(written.has_value());
        const Result<> back = co_await made.server->write(as_bytes(said));
        CHECK(back.has_value());
        const std::string theirs = co_await read_exactly(*made.server, 64);
        CHECK(theirs != said);
        const std::string ours = co_await read_exactly(*made.client, 64);
        CHECK(ours == said);
    });
}

TEST_CASE("names resolve to the addresses of the family that is asked for") {
    World world;
    world.network.set_name("peer.example", {kTwo, "2001:db8::2"});
    io::Network& host = world.network.host(kOne);
    const auto both = world.simulation.run(host.resolve("peer.example", io::IpFamily::any));
    REQUIRE(both.has_value());
    CHECK(both->size() == 2);
    const auto v6 = world.simulation.run(host.resolve("peer.example", io::IpFamily::v6));
    REQUIRE(v6.has_value());
    CHECK(*v6 == std::vector<std::string>{"2001:db8::2"});
    const auto unknown = world.simulation.run(host.resolve("nobody.example", io::IpFamily::any));
    REQUIRE(!unknown.has_value());
    CHECK(unknown.error().code == Errc::not_found);
}

namespace {

template <bool kIsDialled>
Task<void> with_sim_pair(Simulation& simulation, testing::StreamCaseBody body) {
    const SimLink link{.latency = 3ms, .jitter = 2ms, .loss = 0.05};
    SimNetwork network(simulation.clock(), SimNetworkOptions{.link = link});
    (void)network.host(kOne);
    const auto listener = network.host(kTwo).listen(kService);
    REQUIRE(listener.has_value());
    const auto dialled = co_await network.host(kOne).connect(kService);
    REQUIRE(dialled.has_value());
    const auto accepted = co_await (*listener)->accept();
    REQUIRE(accepted.has_value());
    io::Stream& one = kIsDialled ? **dialled : **accepted;
    io::Stream& other = kIsDialled ? **accepted : **dialled;
    co_await body(simulation, one, other);
}

}  // namespace

TEST_CASE("a simulated connection is a stream at both of its ends") {
    testing::check_stream_conformance(with_sim_pair<true>);
    testing::check_stream_conformance(with_sim_pair<false>);
}
