// The negotiation over streams: flights, residue, ends.
#include "p2p/protocol/multistream.hpp"

#include <string>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "testing/fixtures.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Task;
using testing::Simulation;
using testing::StreamPair;

namespace {

constexpr std::string_view kHeader = "\x13/multistream/1.0.0\n";

bool knows_b(std::string_view protocol) {
    return protocol == "/b/1";
}

// Counts the writes of a stream: each is a flight.
class CountingStream final : public io::Stream {
public:
    CountingStream(io::Stream& stream, int& writes) : stream_(stream), writes_(writes) {}

    Task<Result<std::size_t>> read_some(MutableBytes into) override {
        return stream_.read_some(into);
    }

    Task<Result<>> write(std::span<const Bytes> parts) override {
        ++writes_;
        return stream_.write(parts);
    }

    Task<Result<>> shutdown_write() override { return stream_.shutdown_write(); }

    void close() override { stream_.close(); }

    [[nodiscard]] std::string peer() const override { return stream_.peer(); }

private:
    io::Stream& stream_;
    int& writes_;
};

Task<void> send(io::Stream& stream, std::string text) {
    const Bytes bytes = as_bytes(text);
    const Result<> written = co_await stream.write(bytes);
    CHECK(written.has_value());
}

Task<void> listening(io::Stream& stream, std::optional<Result<Negotiated>>& agreed) {
    const std::function<bool(std::string_view)> knows = knows_b;
    const Limits limits;
    Result<Negotiated> result = co_await negotiate_inbound(stream, knows, limits);
    agreed.emplace(std::move(result));
}

Task<void> dial(io::TaskGroup& group,
                StreamPair& pair,
                std::vector<std::string> protocols,
                std::optional<Result<Negotiated>>& dialed,
                std::optional<Result<Negotiated>>& listened) {
    group.spawn(listening, std::ref(*pair.server), std::ref(listened));
    Result<Negotiated> result = co_await negotiate_outbound(*pair.client, protocols);
    dialed.emplace(std::move(result));
}

}  // namespace

TEST_CASE("dialer and listener agree, however their bytes are cut") {
    const std::uint64_t first_seed = testing::seed(1);
    for (std::uint64_t seed = first_seed; seed < first_seed + 50; ++seed) {
        CAPTURE(seed);
        Simulation simulation;
        StreamPair pair = testing::make_stream_pair({.seed = seed, .capacity = kHeader.size()});
        std::optional<Result<Negotiated>> dialed;
        std::optional<Result<Negotiated>> listened;
        const std::vector<std::string> protocols = {"/a/1", "ls", "/b/1"};
        simulation.run(
            io::with_group(dial, std::ref(pair), protocols, std::ref(dialed), std::ref(listened)));
        REQUIRE((dialed->has_value() && listened->has_value()));
        CHECK((*dialed)->protocol == "/b/1");
        CHECK((*listened)->protocol == "/b/1");
    }
}

TEST_CASE("a dialer whose protocols are all refused says which") {
    Simulation simulation;
    StreamPair pair = testing::make_stream_pair();
    std::optional<Result<Negotiated>> dialed;
    std::optional<Result<Negotiated>> listened;
    static const auto scene = [](io::TaskGroup& group,
                                 StreamPair& streams,
                                 std::optional<Result<Negotiated>>& ours,
                                 std::optional<Result<Negotiated>>& theirs) -> Task<void> {
        co_await dial(group, streams, std::vector<std::string>(1, "/a/1"), ours, theirs);
        streams.client->close();
    };
    simulation.run(io::with_group(scene, std::ref(pair), std::ref(dialed), std::ref(listened)));
    REQUIRE_FALSE(dialed->has_value());
    CHECK(dialed->error().code == Errc::unsupported);
    REQUIRE_FALSE(listened->has_value());
    CHECK(listened->error().code == Errc::closed);
}

TEST_CASE(
    "header and first proposal leave in one write, and the listener's header waits for none") {
    testing::run_task([](Simulation&) -> Task<void> {
        static const auto scene = [](io::TaskGroup& group) -> Task<void> {
            StreamPair pair = testing::make_stream_pair();
            int client_writes = 0;
            int server_writes = 0;
            CountingStream client(*pair.client, client_writes);
            CountingStream server(*pair.server, server_writes);
            std::optional<Result<Negotiated>> listened;
            group.spawn(listening, std::ref<io::Stream>(server), std::ref(listened));
            CHECK(server_writes == 1);
            const std::vector<std::string> protocols(1, "/b/1");
            const Result<Negotiated> dialed = co_await negotiate_outbound(client, protocols);
            CHECK(dialed.has_value());
            CHECK(client_writes == 1);
            CHECK(server_writes == 2);
            REQUIRE(listened.has_value());
            CHECK(listened->has_value());
        };
        co_await io::with_group(scene);
    });
}

TEST_CASE("bytes behind the last message are kept on both sides") {
    testing::run_task([](Simulation&) -> Task<void> {
        StreamPair pair = testing::make_stream_pair();
        const std::string header(kHeader);
        co_await send(*pair.client, header + "\x05/b/1\n" + "request");
        std::optional<Result<Negotiated>> listened;
        co_await listening(*pair.server, listened);
        REQUIRE((listened.has_value() && listened->has_value()));
        CHECK(as_text((*listened)->residue) == "request");
        co_await send(*pair.server, "answer");
        const std::vector<std::string> protocols(1, "/b/1");
        const Result<Negotiated> dialed = co_await negotiate_outbound(*pair.client, protocols);
        REQUIRE(dialed.has_value());
        CHECK(as_text(dialed->residue) == "answer");
    });
}

TEST_CASE("a lazy proposal is checked with the first read") {
    testing::run_task([](Simulation&) -> Task<void> {
        StreamPair pair = testing::make_stream_pair();
        const std::vector<std::byte> proposal = lazy_proposal("/b/1");
        const Bytes bytes(proposal);
        const Result<> written = co_await pair.client->write(bytes);
        CHECK(written.has_value());
        co_await send(*pair.client, "request");
        std::optional<Result<Negotiated>> listened;
        co_await listening(*pair.server, listened);
        REQUIRE((listened.has_value() && listened->has_value()));
        CHECK(as_text((*listened)->residue) == "request");
        co_await send(*pair.server, "answer");
        const auto residue = co_await read_lazy_answer(*pair.client, "/b/1");
        REQUIRE(residue.has_value());
        CHECK(as_text(*residue) == "answer");
    });
}

TEST_CASE("a lazy proposal that is refused is unsupported") {
    testing::run_task([](Simulation&) -> Task<void> {
        StreamPair pair = testing::make_stream_pair();
        co_await send(*pair.server, std::string(kHeader) + "\x03na\n");
        const auto residue = co_await read_lazy_answer(*pair.client, "/b/1");
        REQUIRE_FALSE(residue.has_value());
        CHECK(residue.error().code == Errc::unsupported);
    });
}

TEST_CASE("a peer that ends in the middle of a negotiation is closed") {
    testing::run_task([](Simulation&) -> Task<void> {
        StreamPair pair = testing::make_stream_pair();
        co_await send(*pair.server, std::string(kHeader).substr(0, 7));
        (void)co_await pair.server->shutdown_write();
        const std::vector<std::string> protocols(1, "/b/1");
        const Result<Negotiated> dialed = co_await negotiate_outbound(*pair.client, protocols);
        REQUIRE_FALSE(dialed.has_value());
        CHECK(dialed.error().code == Errc::closed);
    });
}

TEST_CASE("a protocol that cannot be proposed is the caller's fault, and nothing is sent") {
    testing::run_task([](Simulation&) -> Task<void> {
        StreamPair pair = testing::make_stream_pair();
        int writes = 0;
        CountingStream client(*pair.client, writes);
        for (const std::string& protocol :
             {std::string(), std::string("a\nb"), std::string(1024, 'x')}) {
            const std::vector<std::string> protocols(1, protocol);
            const Result<Negotiated> dialed = co_await negotiate_outbound(client, protocols);
            REQUIRE_FALSE(dialed.has_value());
            CHECK(dialed.error().code == Errc::invalid_argument);
        }
        const std::vector<std::string> none;
        const Result<Negotiated> dialed = co_await negotiate_outbound(client, none);
        CHECK_FALSE(dialed.has_value());
        CHECK(writes == 0);
    });
}
