// A peer that opens hundreds of streams before it says on any of them what it wants, as
// implementations do whose SYN leaves ahead of the proposal.
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "io/read_exactly.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/muxer/yamux_session.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/security/secure_channel.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEcho = "/echo/1.0.0";
constexpr std::size_t kStreams = 600;

// What it does with its streams, and how that went.
struct Opener {
    bool speaks;
    std::vector<std::byte> request;  // the proposal, and a byte to echo
    std::size_t served = 0;
    std::size_t refused = 0;
};

io::Task<void> drive(YamuxSession& session) {
    const Result<> ended = co_await session.run();
    static_cast<void>(ended);
}

// The SYN leaves as reading begins. The answer repeats the request.
io::Task<void> await_answer(MuxedStream& stream, Opener& opener) {
    std::vector<std::byte> answer(opener.request.size());
    const Result<> is_read = co_await io::read_exactly(stream, answer);
    if (!is_read) ++opener.refused;
    if (answer == opener.request) ++opener.served;
}

io::Task<void> open_many(io::TaskGroup& group,
                         HostWorld& world,
                         YamuxSession& session,
                         std::vector<std::unique_ptr<MuxedStream>>& streams,
                         Opener& opener) {
    group.spawn(drive, std::ref(session));
    for (std::size_t i = 0; i < kStreams; ++i) {
        auto stream = co_await session.open();
        REQUIRE(stream);
        streams.push_back(std::move(*stream));
        group.spawn(await_answer, std::ref(*streams.back()), std::ref(opener));
    }
    co_await world.clock().sleep_for(1s);
    CHECK(opener.refused == 0);
    CHECK(world.host(1).resources().streams_inbound >= kStreams);
    const auto other = co_await world.host(0).ping(world.host(1).id());
    CHECK(other.has_value());
    if (opener.speaks) {
        // The last first: whose turn it is not yet may speak, too.
        for (std::size_t i = kStreams; i-- > 0;) {
            const Bytes request(opener.request);
            const Result<> written = co_await streams[i]->write(request);
            CHECK(written);
        }
        co_await world.clock().sleep_for(1s);
    } else {
        const auto turns = kStreams / Limits().streams_pending_per_connection_max + 1;
        co_await world.clock().sleep_for(Limits().negotiation_timeout * turns + 1s);
    }
    group.cancel();
}

io::Task<void> dial_and_open(HostWorld& world, Opener& opener) {
    const auto connected = co_await world.host(0).connect(world.address(1));
    REQUIRE(connected);
    const std::vector<Security> securities{Security::noise};
    const SecureIdentity identity(make_key(7), securities, nullptr);
    const std::vector<std::string> muxers{"/yamux/1.0.0"};
    auto raw = co_await world.dial_raw(0, 1);
    REQUIRE(raw);
    const std::optional<PeerId> expected = world.host(1).id();
    auto channel =
        co_await secure_outbound(std::move(*raw), identity, securities, muxers, expected);
    REQUIRE(channel);
    REQUIRE(channel->muxer);
    const Limits limits{.unacknowledged_streams_max = kStreams};
    YamuxSession session(std::move(channel->stream), YamuxRole::dialer, limits, world.clock());
    std::vector<std::unique_ptr<MuxedStream>> streams;
    co_await io::with_group(
        open_many, std::ref(world), std::ref(session), std::ref(streams), std::ref(opener));
}

Opener try_many(bool speaks) {
    Opener opener{.speaks = speaks, .request = lazy_proposal(kEcho)};
    opener.request.push_back(std::byte{42});
    run_hosts(2, [&opener](HostWorld& world) -> io::Task<void> {
        world.host(1).handle(kEcho, echo);
        auto done = dial_and_open(world, opener);
        return done;
    });
    return opener;
}

TEST_CASE("who opens hundreds of streams and speaks on them later is served on all") {
    const Opener opener = try_many(true);
    CHECK(opener.served == kStreams);
    CHECK(opener.refused == 0);
}

TEST_CASE("hundreds of streams on which nobody speaks end in their turn") {
    const Opener opener = try_many(false);
    CHECK(opener.served == 0);
    CHECK(opener.refused == kStreams);
}

}  // namespace
}  // namespace kwaai::p2p
