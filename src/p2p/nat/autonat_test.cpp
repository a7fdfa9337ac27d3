// AutoNAT between hosts on a simulated network, and with peers that cheat.
#include "p2p/nat/autonat.hpp"

#include <algorithm>

#include <doctest/doctest.h>

#include "p2p/length_prefixed.hpp"
#include "p2p/nat/nat_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;
namespace v1 = autonat_v1;
namespace v2 = autonat_v2;

constexpr unsigned char kDialler = 100;  // what the numbers of second identities begin with

Multiaddr at(const std::string& text) {
    return Multiaddr::parse(text).value();
}

// What a node has beside its host.
struct Node {
    Node(NatWorld& world, std::size_t index)
        : addresses(world.host(index), world.clock(), {}),
          autonat(world.network().host(NatWorld::ip(index)),
                  world.clock(),
                  world.host(index),
                  addresses,
                  {.dialler = NatWorld::options_of(static_cast<unsigned char>(kDialler + index)),
                   .limits = {},
                   .dial_back = {}}) {
        world.group().spawn(&Autonat::run, std::ref(autonat));
        world.group().spawn(&AddressManager::run, std::ref(addresses));
    }

    AddressManager addresses;
    Autonat autonat;
};

// One that asks by hand.
struct Asker {
    Asker(NatWorld& world, std::size_t index)
        : addresses(world.host(index), world.clock(), {}),
          client(world.host(index),
                 world.clock(),
                 addresses,
                 {.limits = {},
                  .random = NatWorld::options_of(static_cast<unsigned char>(index)).random}) {}

    AddressManager addresses;
    AutonatClient client;
};

const v2::DialDataResponse kPiece{.bytes = 4000};
const v2::DialDataResponse kCrumb{.bytes = 99};
const v1::DialResponse kYes;

io::Task<void> meet(NatWorld& world, std::size_t from, std::size_t to) {
    const auto peer = co_await world.host(from).connect(world.address(to));
    REQUIRE(peer.has_value());
    const auto info = co_await world.host(from).identify(*peer);
    REQUIRE(info.has_value());
}

io::Task<codec::Buffer> read_message(Stream& stream) {
    auto bytes = co_await read_length_prefixed(stream, v2::kMessageBytesMax);
    REQUIRE(bytes.has_value());
    REQUIRE(bytes->has_value());
    co_return std::move(**bytes);
}

io::Task<void> write_message(Stream& stream, codec::Buffer message) {
    const Bytes bytes(message);
    const Result<> written = co_await write_length_prefixed(stream, bytes);
    REQUIRE(written.has_value());
}

io::Task<std::unique_ptr<Stream>> open_at(NatWorld& world,
                                          std::size_t from,
                                          std::size_t to,
                                          std::string protocol) {
    auto stream = co_await world.host(from).open(world.host(to).id(), std::move(protocol));
    REQUIRE(stream.has_value());
    co_return std::move(*stream);
}

io::Task<v2::Message> ask_by_hand(Stream& stream, Multiaddr address) {
    v2::DialRequest request{.addresses = {}, .nonce = 7};
    request.addresses.emplace_back(std::move(address));
    co_await write_message(stream, v2::encode(request));
    const codec::Buffer answer = co_await read_message(stream);
    auto message = v2::decode(answer);
    REQUIRE(message.has_value());
    co_return std::move(*message);
}

io::Task<void> learn_from_each_other(NatWorld& world) {
    const Node asker(world, 0);
    const Node server(world, 1);
    co_await meet(world, 0, 1);
    CHECK(asker.addresses.reachability() == Reachability::unknown);
    co_await world.clock().sleep_for(1min);
    const auto own = world.address(0).without_peer();
    CHECK(asker.addresses.verdict(own) == Reachability::reachable);
    CHECK(asker.addresses.external() == std::vector{own});
    CHECK(asker.addresses.reachability() == Reachability::reachable);
    // The other one was met by nobody's dial but is asked about all the same.
    CHECK(server.addresses.reachability() == Reachability::reachable);
    co_await world.stop_group();
}

TEST_CASE("a node that can be reached learns it from those it meets, and says so") {
    run_nat_world(2, learn_from_each_other);
}

TEST_CASE("it does so over QUIC") {
    run_nat_world(2, learn_from_each_other, kListenQuic);
}

TEST_CASE("an address that nobody can dial is refuted by two servers and no longer told") {
    run_nat_world(3, [](NatWorld& world) -> io::Task<void> {
        Node asker(world, 0);
        const Node first(world, 1);
        const Node second(world, 2);
        const auto mapped = at("/ip4/203.0.113.1/tcp/6001");  // nobody listens there
        asker.addresses.set_addresses(AddressSource::mapped, {mapped});
        CHECK(asker.addresses.told().front() == mapped);
        co_await meet(world, 0, 1);
        co_await meet(world, 0, 2);
        co_await world.clock().sleep_for(10min);
        CHECK(asker.addresses.verdict(mapped) == Reachability::unreachable);
        const auto told = asker.addresses.told();
        CHECK(std::ranges::find(told, mapped) == told.end());
        co_await world.stop_group();
    });
}

TEST_CASE("v1 finds out whether the node can be reached at the IP that the server sees") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        Asker asker(world, 0);
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const PeerId id = world.host(1).id();
        auto elsewhere = world.parse({"/ip4/192.168.1.9/tcp/4001"});
        const auto reached = co_await asker.client.ask_v1(id, std::move(elsewhere));
        REQUIRE(reached.has_value());
        CHECK(*reached == Reachability::reachable);
        auto closed = world.parse({"/ip4/203.0.113.1/tcp/6001"});
        const auto missed = co_await asker.client.ask_v1(id, std::move(closed));
        REQUIRE(missed.has_value());
        CHECK(*missed == Reachability::unreachable);
        // The dial comes from an identity of its own, and is over.
        CHECK(world.host(0).peers().size() == 1);
        const std::vector<Multiaddr> none;
        const auto third = co_await asker.client.ask_v1(id, none);
        CHECK(third.has_value());
        const auto fourth = co_await asker.client.ask_v1(id, none);
        REQUIRE_FALSE(fourth.has_value());
        CHECK(fourth.error().code == Errc::unavailable);
        CHECK(fourth.error().context == "autonat: refused: too many dials");
        co_await world.stop_group();
    });
}

TEST_CASE("v1 refuses to dial for another peer") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const auto stream = co_await open_at(world, 0, 1, v1::kProtocol);
        const auto other = make_identity(77);
        const v1::Dial dial{.peer = codec::to_buffer(other.bytes()),
                            .addresses = {world.address(0)}};
        co_await write_message(*stream, v1::encode(dial));
        const codec::Buffer answer = co_await read_message(*stream);
        const auto response = v1::decode_response(answer);
        REQUIRE(response.has_value());
        CHECK(response->status == v1::Status::bad_request);
        co_await world.stop_group();
    });
}

TEST_CASE("v2 has a dial elsewhere paid for before it dials") {
    run_nat_world(3, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const auto stream = co_await open_at(world, 0, 1, v2::kDialProtocol);
        std::vector<ConnectionChange> at_victim;
        const auto lease =
            world.host(2).observe([&at_victim](const PeerInfo& /*info*/, ConnectionChange change) {
                at_victim.push_back(change);
            });
        const auto demand = co_await ask_by_hand(*stream, world.address(2).without_peer());
        const auto* const data = std::get_if<v2::DialDataRequest>(&demand);
        REQUIRE(data != nullptr);
        CHECK(data->bytes >= 30'000);
        CHECK(data->bytes <= 100'000);
        std::uint64_t paid = 0;
        while (paid + 4000 < data->bytes) {
            co_await write_message(*stream, v2::encode(kPiece));
            paid += 4000;
        }
        co_await world.clock().sleep_for(1s);
        CHECK(at_victim.empty());
        co_await write_message(*stream, v2::encode(kPiece));
        const codec::Buffer answer = co_await read_message(*stream);
        const auto message = v2::decode(answer);
        REQUIRE(message.has_value());
        const auto* const response = std::get_if<v2::DialResponse>(&*message);
        REQUIRE(response != nullptr);
        CHECK(response->status == v2::Status::ok);
        CHECK(response->dial_status == v2::DialStatus::dial_error);  // another peer is there
        co_await world.stop_group();
    });
}

TEST_CASE("v2 takes no crumbs, and no silence, for payment") {
    run_nat_world(3, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const auto crumbs = co_await open_at(world, 0, 1, v2::kDialProtocol);
        co_await ask_by_hand(*crumbs, world.address(2).without_peer());
        co_await write_message(*crumbs, v2::encode(kCrumb));
        const auto end = co_await read_length_prefixed(*crumbs, v2::kMessageBytesMax);
        CHECK_FALSE(end.has_value());
        const auto silent = co_await open_at(world, 0, 1, v2::kDialProtocol);
        co_await ask_by_hand(*silent, world.address(2).without_peer());
        const io::TimePoint begin = world.clock().now();
        const auto reset = co_await read_length_prefixed(*silent, v2::kMessageBytesMax);
        CHECK_FALSE(reset.has_value());
        CHECK(world.clock().now() - begin <= 16s);
        co_await world.stop_group();
    });
}

io::Task<v2::Status> status_of_request(NatWorld& world, std::size_t from, Multiaddr address) {
    const auto stream = co_await open_at(world, from, 1, v2::kDialProtocol);
    const auto answer = co_await ask_by_hand(*stream, std::move(address));
    const auto* const response = std::get_if<v2::DialResponse>(&answer);
    REQUIRE(response != nullptr);
    co_return response->status;
}

TEST_CASE("v2 serves a peer twelve requests a minute, and dials no private address") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const auto lan = at("/ip4/192.168.1.1/tcp/80");
        for (int i = 0; i < 12; ++i) {
            const v2::Status refused = co_await status_of_request(world, 0, lan);
            CHECK(refused == v2::Status::dial_refused);
        }
        const v2::Status thirteenth = co_await status_of_request(world, 0, lan);
        CHECK(thirteenth == v2::Status::request_rejected);
        co_await world.clock().sleep_for(1min);
        auto own = world.address(1).without_peer();
        const v2::Status about_itself = co_await status_of_request(world, 0, std::move(own));
        CHECK(about_itself == v2::Status::dial_refused);
        co_await world.stop_group();
    });
}

// As go-libp2p does over QUIC, where the reset may overtake the answer.
io::Task<void> take_and_reset(std::unique_ptr<Stream> stream, bool& has_come) {
    const codec::Buffer nonce = co_await read_message(*stream);
    has_come = !nonce.empty();
    stream->reset(ResetCode::none);
}

TEST_CASE("v2 has dialled back where the nonce was taken, however that stream ends") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        bool has_come = false;
        world.host(0).handle(v2::kDialBackProtocol, [&has_come](std::unique_ptr<Stream> stream) {
            return take_and_reset(std::move(stream), has_come);
        });
        co_await meet(world, 0, 1);
        const auto stream = co_await open_at(world, 0, 1, v2::kDialProtocol);
        const auto answer = co_await ask_by_hand(*stream, world.address(0).without_peer());
        const auto* const response = std::get_if<v2::DialResponse>(&answer);
        REQUIRE(response != nullptr);
        CHECK(response->dial_status == v2::DialStatus::ok);
        CHECK(has_come);
        co_await world.stop_group();
    });
}

TEST_CASE("v2 serves a peer two requests at the same time") {
    run_nat_world(3, [](NatWorld& world) -> io::Task<void> {
        const Node server(world, 1);
        co_await meet(world, 0, 1);
        const auto first = co_await open_at(world, 0, 1, v2::kDialProtocol);
        co_await ask_by_hand(*first, world.address(2).without_peer());
        const auto second = co_await open_at(world, 0, 1, v2::kDialProtocol);
        co_await ask_by_hand(*second, world.address(2).without_peer());
        auto third = world.address(2).without_peer();
        const v2::Status rejected = co_await status_of_request(world, 0, std::move(third));
        CHECK(rejected == v2::Status::request_rejected);
        co_await world.stop_group();
    });
}

// A server that answers as it likes.
using Answers = std::vector<v2::Message>;

io::Task<void> answer_as_told(std::unique_ptr<Stream> stream, Answers answers) {
    const codec::Buffer request = co_await read_message(*stream);
    CHECK(v2::decode(request).has_value());
    for (const v2::Message& answer : answers)
        co_await write_message(*stream, v2::encode(answer));
    stream->close();
}

void cheat(Host& host, const Answers& answers) {
    host.handle(v2::kDialProtocol, [answers](std::unique_ptr<Stream> stream) {
        return answer_as_told(std::move(stream), answers);
    });
}

const v2::DialResponse kSaysReached{
    .status = v2::Status::ok, .index = 0, .dial_status = v2::DialStatus::ok};

TEST_CASE("a server that claims to have dialled is not believed without the nonce") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        Asker asker(world, 0);
        cheat(world.host(1), {kSaysReached});
        co_await meet(world, 0, 1);
        const auto answer =
            co_await asker.client.ask_v2(world.host(1).id(), world.address(0).without_peer());
        REQUIRE(answer.has_value());
        CHECK(*answer == Reachability::unknown);
    });
}

struct Cheated {
    Answers answers;

    io::Task<void> operator()(NatWorld& world) const {
        Asker asker(world, 0);
        cheat(world.host(1), answers);
        co_await meet(world, 0, 1);
        const auto answer =
            co_await asker.client.ask_v2(world.host(1).id(), world.address(0).without_peer());
        CHECK_FALSE(answer.has_value());
    }
};

TEST_CASE("a server that demands too much, or twice, or about another address, gets nothing") {
    const std::vector<Answers> cheats{
        {v2::DialDataRequest{.index = 0, .bytes = 100'001}},
        {v2::DialDataRequest{.index = 0, .bytes = 40'000},
         v2::DialDataRequest{.index = 0, .bytes = 40'000}},
        {v2::DialDataRequest{.index = 3, .bytes = 40'000}},
        {v2::DialResponse{
            .status = v2::Status::ok, .index = 1, .dial_status = v2::DialStatus::dial_error}},
        {v2::DialDataResponse{.bytes = 4000}},
    };
    for (const Answers& answers : cheats)
        run_nat_world(2, Cheated{answers});
}

// Hands the nonce over on a stream of the connection that is there already.
io::Task<void> shortcut(std::unique_ptr<Stream> stream, Host& host) {
    const codec::Buffer bytes = co_await read_message(*stream);
    const auto request = v2::decode(bytes);
    REQUIRE(request.has_value());
    const std::uint64_t nonce = std::get<v2::DialRequest>(*request).nonce;
    auto back = co_await host.open(stream->remote_peer(), v2::kDialBackProtocol);
    REQUIRE(back.has_value());
    co_await write_message(**back, v2::encode_dial_back(nonce));
    const auto refused = co_await read_length_prefixed(**back, v2::kDialBackBytesMax);
    CHECK_FALSE(refused.has_value());
    co_await write_message(*stream, v2::encode(kSaysReached));
    stream->close();
}

struct TakenShortcut {
    bool is_server_dialling;

    io::Task<void> operator()(NatWorld& world) const {
        Asker asker(world, 0);
        Host& server = world.host(1);
        server.handle(v2::kDialProtocol, [&server](std::unique_ptr<Stream> stream) {
            return shortcut(std::move(stream), server);
        });
        const std::size_t dialler = is_server_dialling ? 1 : 0;
        co_await meet(world, dialler, 1 - dialler);
        const auto answer =
            co_await asker.client.ask_v2(server.id(), world.address(0).without_peer());
        REQUIRE(answer.has_value());
        CHECK(*answer == Reachability::unknown);
    }
};

TEST_CASE("a nonce over a connection that was there before proves nothing") {
    for (const bool is_server_dialling : {false, true})
        run_nat_world(2, TakenShortcut{is_server_dialling});
}

io::Task<void> say_ok(std::unique_ptr<Stream> stream) {
    const codec::Buffer request = co_await read_message(*stream);
    CHECK(v1::decode_dial(request).has_value());
    co_await write_message(*stream, v1::encode(kYes));
    stream->close();
}

TEST_CASE("a v1 server that says yes without a dial is not believed") {
    run_nat_world(2, [](NatWorld& world) -> io::Task<void> {
        Asker asker(world, 0);
        world.host(1).handle(v1::kProtocol, say_ok);
        co_await meet(world, 0, 1);
        auto own = world.parse({"/ip4/203.0.113.1/tcp/4001"});
        const auto answer = co_await asker.client.ask_v1(world.host(1).id(), std::move(own));
        REQUIRE(answer.has_value());
        CHECK(*answer == Reachability::unknown);
    });
}

}  // namespace
}  // namespace kwaai::p2p
