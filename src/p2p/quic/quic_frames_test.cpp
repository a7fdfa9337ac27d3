// What becomes of QUIC peers that send control frames out of place or without end: the classes of
// quic-go's advisories.
#include "base/random.hpp"
#include "p2p/quic/quic_forger_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::forgery;
using namespace std::chrono_literals;

namespace {

// Cuts the client's last words of the handshake in two, in two packets, and has an acknowledgement
// behind the second part.
class LateAcknowledgement {
public:
    void operator()(Packet kind, std::span<std::uint8_t> frames) {
        if (kind != Packet::handshake || frames[0] != kCryptoFrame) return;
        std::span<const std::uint8_t> rest = frames.subspan(1);
        const std::size_t offset = take_integer(rest);
        const std::size_t size = take_integer(rest);
        Frames changed{kCryptoFrame};
        const bool is_first = count == 0;
        append_integer(changed, static_cast<std::uint32_t>(is_first ? offset : offset + size / 2));
        append_integer(changed, static_cast<std::uint32_t>(is_first ? size / 2 : size - size / 2));
        const auto half = is_first ? rest.first(size / 2) : rest.subspan(size / 2, size - size / 2);
        changed.insert(changed.end(), half.begin(), half.end());
        // Of packet 0 alone, at once.
        if (!is_first) changed.insert(changed.end(), {kAckFrame, 0, 0, 0, 0});
        REQUIRE(changed.size() <= frames.size());
        std::ranges::fill(frames, std::uint8_t{0});
        std::ranges::copy(changed, frames.begin());
        ++count;
    }

    int count = 0;
};

// Frames of all types, mostly well-formed, with numbers that are mostly small.
class AnyFrames {
public:
    explicit AnyFrames(std::uint64_t seed) : random_(seed), left_(1 + seed % 5) {}

    void operator()(Packet /*kind*/, std::span<std::uint8_t> frames) {
        if (left_ == 0 || below(6) != 0) return;
        --left_;
        Frames all;
        for (std::uint32_t count = 1 + below(8); count > 0; --count)
            append_frame(all);
        // Some keep what ngtcp2 wrote in front.
        const std::size_t front =
            below(2) == 0 ? 0 : below(static_cast<std::uint32_t>(frames.size()));
        frames = frames.subspan(front);
        const std::size_t size = std::min(all.size(), frames.size());
        if (below(2) == 0) std::ranges::fill(frames, std::uint8_t{0});
        std::copy_n(all.begin(), size, frames.begin());
    }

private:
    std::uint32_t below(std::uint32_t bound) {
        return static_cast<std::uint32_t>(random_.next() % std::max(bound, 1U));
    }

    std::uint32_t number() {
        switch (below(8)) {
            case 0: return below(1U << 30);
            case 1: return below(100'000);
            default: return below(12);
        }
    }

    void append_bytes(Frames& to, std::uint32_t count) {
        for (; count > 0; --count)
            to.push_back(static_cast<std::uint8_t>(random_.next()));
    }

    // RFC 9000, table 3: how many integers each type has, and what is behind them.
    void append_frame(Frames& to) {
        static constexpr std::array<std::uint8_t, 32> kIntegers{0, 0, 4, 7, 3, 2, 1, 0, 1, 1, 1,
                                                                1, 2, 2, 2, 2, 1, 2, 1, 1, 1, 2,
                                                                1, 1, 2, 1, 0, 0, 3, 2, 0, 0};
        const auto type = static_cast<std::uint8_t>(below(34));
        if (type >= kIntegers.size()) return append_bytes(to, 1 + below(20));
        to.push_back(type);
        const bool is_close = type == 0x1c || type == 0x1d;  // whose reason has no bytes
        for (std::uint8_t i = 0; i < kIntegers.at(type); ++i) {
            const bool is_none = (type <= 3 && i == 2) || (is_close && i + 1 == kIntegers.at(type));
            append_integer(to, is_none ? 0 : number());
        }
        if (type == kCryptoFrame || type == 0x07 ||
            (type >= 0x08 && type <= 0x0f && (type & 2) != 0)) {
            const std::uint32_t size = below(30);
            append_integer(to, size);
            append_bytes(to, size);
        }
        if (type == kNewIdFrame) {
            to.push_back(8);
            append_bytes(to, 8 + NGTCP2_STATELESS_RESET_TOKENLEN);
        }
        if (type == kPathChallengeFrame || type == kPathChallengeFrame + 1) append_bytes(to, 8);
    }

    CounterRandom random_;
    std::uint64_t left_;  // packets to be changed
};

// As much of it as there is room for.
void write_some(QuicCore& core, QuicStream& stream) {
    static const std::vector<std::byte> content(3000);
    static const std::array<Bytes, 1> parts{Bytes(content)};
    const Result<> begun = core.begin_write(stream, parts);
    static_cast<void>(begun);  // not where the peer has ended it
}

// Does with streams what a node may.
void use_streams(QuicCore& core, CounterRandom& random) {
    std::vector<QuicStream*> changed;
    core.take_changed(changed);
    if (core.is_refusing()) return;
    if (!core.is_open_blocked() && random.next() % 2 == 0) {
        QuicStream& stream = core.open();
        write_some(core, stream);
        if (random.next() % 3 == 0) core.reset(stream, 7);
    }
    while (QuicStream* const stream = core.accept()) {
        std::array<std::byte, 500> into{};
        static_cast<void>(core.read(*stream, into));
        if (random.next() % 2 == 0)
            core.close(*stream);
        else
            write_some(core, *stream);
    }
}

// Whether `core` ended it.
template <class World>
bool exchange_anything(QuicCore& core, World& world, std::uint64_t seed) {
    AnyFrames frames(seed);
    CounterRandom random(seed + 1);
    world.forger->forge = std::ref(frames);
    for (int i = 0; i < 30 && !core.is_ended(); ++i) {
        if (core.is_handshaken()) static_cast<void>(world.forger->open());
        world.exchange(1);
        use_streams(core, random);
        if (random.next() % 4 == 0) world.now += 300ms;
    }
    const bool is_ended = core.is_ended();
    core.close(world.now);
    world.exchange(2);
    CHECK(core.is_ended());
    return is_ended;
}

}  // namespace

TEST_CASE("path challenges without end are answered by less than came (CVE-2023-49295)") {
    HostileClient world;
    world.meet();
    std::uint8_t number = 0;
    std::size_t challenges = 0;
    world.forger->forge = only([&] {
        Frames frame(9, ++number);
        frame[0] = kPathChallengeFrame;
        ++challenges;
        return frame;
    });
    world.exchange(100);
    CHECK(challenges > 10'000);
    CHECK(world.answered <= world.sent);
    CHECK(world.answered_bytes * 10 <= world.sent_bytes);
    CHECK(world.server_side.account.held == 0);
    // Nothing has piled up that is sent once the client acknowledges again, and it is served.
    world.forger->forge = nullptr;
    REQUIRE(world.forger->open());
    world.sent = world.answered = 0;
    world.exchange(20);
    CHECK(world.answered <= world.sent);
    CHECK(world.server->has_incoming());
    CHECK_FALSE(world.server->is_ended());
}

TEST_CASE("new ids without end, each of which retires the others, end it (CVE-2024-22189)") {
    for (const std::size_t in_packet : {1U, 100U}) {
        HostileClient world;
        world.meet();
        std::uint32_t sequence = 3;
        std::size_t left = 0;
        const Forge fill = only([&] {
            if (left-- == 0) return Frames();
            ++sequence;
            return new_id(sequence, sequence);
        });
        world.forger->forge = [&](Packet kind, std::span<std::uint8_t> frames) {
            left = in_packet;
            fill(kind, frames);
        };
        world.exchange(100);
        REQUIRE(world.server->is_ended());
        CHECK(world.server->reason()->code == Errc::malformed);
        CHECK(sequence < 1000);
        CHECK(world.answered <= 10);
        CHECK(world.answered_bytes <= world.sent_bytes);
    }
}

TEST_CASE("who retires our ids as fast as they come holds no more of them (CVE-2024-22189)") {
    HostileClient world;
    world.meet();
    std::uint32_t sequence = 0;
    bool is_next = false;
    world.forger->forge = only([&] {
        if (!std::exchange(is_next, false)) return Frames();
        return retire_id(++sequence);
    });
    for (int i = 0; i < 200; ++i) {
        is_next = true;
        world.exchange();
    }
    CHECK(sequence >= 50);
    CHECK(world.server_side.ids.added >= sequence);
    CHECK(world.server_side.ids.most <= 9);  // with what its client called it first
    CHECK(world.answered_bytes <= world.sent_bytes);
    CHECK_FALSE(world.server->is_ended());
}

TEST_CASE("an id that was never given out cannot be retired") {
    HostileClient world;
    world.meet();
    world.forger->forge = only([] { return retire_id(1000); });
    world.exchange();
    world.exchange();
    REQUIRE(world.server->is_ended());
    CHECK(world.server->reason()->code == Errc::malformed);
}

TEST_CASE("a client that confirms the handshake, as servers do, is cut off (CVE-2025-59530)") {
    HostileClient world;
    world.meet();
    world.forger->forge = only([] { return Frames{kHandshakeDoneFrame}; });
    world.exchange();
    world.exchange();
    REQUIRE(world.server->is_ended());
    CHECK(world.server->reason()->code == Errc::malformed);
}

TEST_CASE("a server that confirms a handshake which is not over is left (CVE-2025-59530)") {
    for (const bool is_first : {false, true}) {
        CAPTURE(is_first);
        HostileServer world;
        REQUIRE(world.forger->open());
        bool is_confirmed = false;
        world.forger->forge = only([&] {
            is_confirmed = true;
            return Frames{kHandshakeDoneFrame};
        });
        world.now += kTrip;
        Packets flight = world.forger->send(world.now);
        REQUIRE(is_confirmed);
        if (is_first) std::ranges::reverse(flight);  // before there are keys to read it with
        for (const auto& packet : flight)
            world.client->receive(world.server_side.place, packet, world.now);
        world.exchange(5);
        REQUIRE(world.client->is_ended());
        CHECK(world.client->reason()->code == Errc::malformed);
        CHECK(world.client->deadline() > world.now);
    }
}

TEST_CASE("an acknowledgement behind the end of the handshake is one (CVE-2023-46239)") {
    HostileClient world;
    LateAcknowledgement late;
    world.forger->forge = std::ref(late);
    world.exchange();
    world.is_deaf = true;
    for (int i = 0; i < 5 && late.count < 2; ++i) {
        CHECK_FALSE(world.server->is_handshaken());
        world.now += 1s;
        world.exchange();
    }
    REQUIRE(late.count >= 2);
    CHECK(world.server->is_handshaken());
    world.forger->forge = nullptr;
    world.is_deaf = false;
    world.exchange(5);
    REQUIRE(world.forger->open());
    world.exchange(5);
    CHECK(world.server->has_incoming());
    CHECK_FALSE(world.server->is_ended());
}

TEST_CASE("whatever frames a QUIC client or server sends, the other side goes on or ends") {
    const std::uint64_t first = testing::seed(1);
    std::size_t ended_by_server = 0;
    std::size_t ended_by_client = 0;
    constexpr std::size_t kSeeds = 40;
    for (std::uint64_t seed = first; seed < first + kSeeds; ++seed) {
        CAPTURE(seed);
        HostileClient client;
        if (seed % 2 == 0) client.meet();
        if (exchange_anything(*client.server, client, seed)) ++ended_by_server;
        CHECK(client.server_side.ids.most <= 9);
        HostileServer server;
        if (seed % 2 == 0) server.exchange(5);
        if (exchange_anything(*server.client, server, seed)) ++ended_by_client;
    }
    for (const std::size_t ended : {ended_by_server, ended_by_client}) {
        CHECK(ended > kSeeds / 4);
        CHECK(ended < kSeeds);
    }
}
