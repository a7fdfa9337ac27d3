// What becomes of QUIC peers that send control frames out of place or without end: the classes of
// quic-go's advisories.
#include "p2p/quic/quic_forger_test.hpp"

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
