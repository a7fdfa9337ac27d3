// A secured connection is a stream like any other.
#include <doctest/doctest.h>

#include "p2p/security/secure_world_test.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using io::Task;
using testing::Simulation;
using testing::StreamCaseBody;
using testing::StreamPair;

namespace {

using Channel = std::optional<Result<SecureChannel>>;

Task<void> listening(std::unique_ptr<io::Stream> raw, Channel& channel) {
    const SecureIdentity identity = responder_identity();
    const std::vector<std::string> muxers;
    Result<SecureChannel> secured = co_await secure_inbound(std::move(raw), identity, muxers);
    channel.emplace(std::move(secured));
}

// An empty write sends the dialler's last message, which the listener waits for.
Task<void> secure(io::TaskGroup& group, StreamPair& pair, Channel& dialler, Channel& listener) {
    group.spawn(listening, std::move(pair.server), std::ref(listener));
    const SecureIdentity identity = initiator_identity();
    const std::vector<Security> securities{Security::noise};
    const std::vector<std::string> muxers;
    Result<SecureChannel> secured = co_await secure_outbound(
        std::move(pair.client), identity, securities, muxers, std::nullopt);
    REQUIRE(secured.has_value());
    const std::span<const Bytes> nothing;
    const Result<> sent = co_await secured->stream->write(nothing);
    REQUIRE(sent.has_value());
    dialler.emplace(std::move(secured));
}

template <std::uint64_t kSeed, bool kIsDiallerFirst>
Task<void> with_secured_pair(Simulation& simulation, StreamCaseBody body) {
    // Each of the suite's writes of one byte becomes a record of nineteen.
    StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = 64 << 10});
    Channel dialler;
    Channel listener;
    co_await io::with_group(secure, std::ref(pair), std::ref(dialler), std::ref(listener));
    REQUIRE(listener->has_value());
    io::Stream* const first = (kIsDiallerFirst ? *dialler : *listener)->stream.get();
    io::Stream* const second = (kIsDiallerFirst ? *listener : *dialler)->stream.get();
    co_await body(simulation, *first, *second);
}

}  // namespace

TEST_CASE("a secured connection is a stream") {
    testing::check_stream_conformance(with_secured_pair<0, true>);
    testing::check_stream_conformance(with_secured_pair<0, false>);
}

TEST_CASE("a secured connection whose bytes arrive in pieces is a stream") {
    testing::check_stream_conformance(with_secured_pair<3, true>);
    testing::check_stream_conformance(with_secured_pair<4, false>);
}
