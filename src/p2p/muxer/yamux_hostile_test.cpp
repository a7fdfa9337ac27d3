// What a peer can do to a yamux session: break the protocol, exhaust it, stand still.
#include <algorithm>

#include "p2p/muxer/yamux_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::yamux_test;
using namespace std::chrono_literals;

namespace {

using Frames = std::vector<Frame>;

constexpr std::uint32_t kWindowInitial = 256 << 10;

Limits with_streams(std::size_t streams) {
    Limits limits;
    limits.streams_per_connection_max = streams;
    return limits;
}

}  // namespace

TEST_CASE("another version or an unknown type of frame breaks the session off") {
    for (const std::string_view bytes : {std::string_view("\1\0\0\0\0\0\0\0\0\0\0\0", 12),
                                         std::string_view("\0\4\0\0\0\0\0\0\0\0\0\0", 12)}) {
        Session session(YamuxRole::listener);
        session.state.receive(as_bytes(bytes), session.now);
        CHECK(session.has_broken_off());
    }
}

TEST_CASE("a SYN of our own parity breaks the session off") {
    Session listener(YamuxRole::listener);
    listener.say(update(kSyn, 2, 0));
    CHECK(listener.has_broken_off());
    Session dialer(YamuxRole::dialer);
    dialer.say(update(kSyn, 3, 0));
    CHECK(dialer.has_broken_off());
}

TEST_CASE("a SYN for the session itself breaks it off") {
    for (const YamuxRole role : {YamuxRole::listener, YamuxRole::dialer}) {
        Session session(role);
        session.say(data(kSyn, 0, ""));
        CHECK(session.has_broken_off());
    }
}

TEST_CASE("a SYN for a stream that is open breaks the session off") {
    Session session(YamuxRole::listener);
    session.say(update(kSyn, 5, 0));
    CHECK(session.state.is_reading());
    session.say(update(kSyn, 5, 0));
    CHECK(session.has_broken_off());
}

TEST_CASE("an id used again after its stream has ended means another stream") {
    Session session(YamuxRole::listener);
    session.say(update(kSyn, 5, 0));
    YamuxStream* const first = session.state.accept(session.now);
    REQUIRE(first != nullptr);
    session.say(update(kRst, 5, 0));
    session.say(data(kSyn, 5, "again"));
    CHECK(first->received.size() == 0);
    YamuxStream* const second = session.state.accept(session.now);
    REQUIRE(second != nullptr);
    CHECK(second->received.size() == 5);
    session.state.release(*first);
    CHECK(session.state.is_reading());
    CHECK_FALSE(session.state.failure(*second).has_value());
    session.state.release(*second);
    CHECK(session.state.stream_count() == 0);
}

TEST_CASE("data beyond the window breaks the session off, whatever of it has arrived") {
    Session session(YamuxRole::listener);
    session.say(data(kSyn, 1, std::string(kWindowInitial - 1, 'a')));
    const std::string text = to_text(data(0, 1, "ab"));
    session.state.receive(as_bytes(text).first(kYamuxHeaderBytes), session.now);
    CHECK(session.has_broken_off());
}

TEST_CASE("a first frame beyond the initial window breaks the session off (CVE-2026-32314)") {
    for (const std::uint32_t length : {kWindowInitial + 1, 0xffffffffu}) {
        Session session(YamuxRole::listener);
        const auto header = encode(YamuxHeader{.flags = kSyn, .stream = 1, .length = length});
        session.state.receive(header, session.now);
        CHECK(session.has_broken_off());
    }
}

TEST_CASE("after the peer broke the protocol all streams fail and nothing is listened to") {
    Session session(YamuxRole::listener);
    session.say(data(kSyn, 1, "hello"));
    YamuxStream& stream = session.accept();
    session.say(update(kSyn, 3, 0));
    session.heard();
    session.say(update(kSyn, 2, 0));
    session.say(ping(kSyn, 7));
    CHECK(session.has_broken_off());
    CHECK(session.state.failure(stream)->code == Errc::closed);
    CHECK(session.state.accept(session.now) == nullptr);
    CHECK(session.state.is_refusing());
    const Bytes part = as_bytes("x");
    CHECK(!session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.state.release(stream);
    CHECK(session.state.stream_count() == 0);
    CHECK(session.heard().empty());
}

TEST_CASE("streams beyond the limit are reset, the others go on") {
    Session session(YamuxRole::listener, with_streams(2));
    for (const std::uint32_t id : {1, 3, 5})
        session.say(data(kSyn, id, "hello"));
    CHECK(session.heard() == Frames{update(kRst, 5, 0x1002)});
    YamuxStream& first = session.accept();
    CHECK(session.read(session.accept()) == "hello");
    CHECK(session.state.accept(session.now) == nullptr);
    session.state.reset(first, 0);
    session.say(update(kSyn, 7, 0));
    CHECK(session.accept().id == 7);
}

TEST_CASE("streams that ended but are held with unread bytes count") {
    Session session(YamuxRole::listener, with_streams(1));
    session.say(data(kSyn | kFin, 1, "hello"));
    YamuxStream& stream = session.accept();
    REQUIRE(session.state.shutdown_write(stream));
    session.heard();
    session.say(update(kSyn, 3, 0));
    CHECK(session.heard() == Frames{update(kRst, 3, 0x1002)});
    session.state.release(stream);
    session.say(update(kSyn, 5, 0));
    CHECK(session.accept().id == 5);
}

TEST_CASE("a peer that reads no refusals loses the session after 1024 (CVE-2024-32984)") {
    Session session(YamuxRole::listener, with_streams(0));
    for (std::uint32_t i = 0; i < 1024; ++i)
        session.say(update(kSyn, 2 * i + 1, 0));
    CHECK(!session.state.is_ended());
    session.say(update(kSyn, 9999, 0));
    CHECK(session.state.is_ended());
    CHECK(session.state.reason()->code == Errc::limit_exceeded);
}

TEST_CASE("streams opened and reset at once leave nothing behind") {
    Session session(YamuxRole::listener);
    for (std::uint32_t id = 1; id < 100'000; id += 2) {
        session.say(data(kSyn, id, "hello"));
        session.say(update(kRst, id, 0));
    }
    CHECK(session.state.stream_count() == 0);
    CHECK(session.state.received_bytes_held() == 0);
    CHECK(session.state.accept(session.now) == nullptr);
    CHECK(!session.state.has_output());
}

TEST_CASE("a thousand pings get one answer, to the last") {
    Session session(YamuxRole::listener);
    for (std::uint32_t i = 0; i < 1000; ++i)
        session.say(ping(kSyn, i));
    CHECK(session.heard() == Frames{ping(kAck, 999)});
}

TEST_CASE("answers to pings that were not sent are ignored") {
    Session session(YamuxRole::listener);
    session.say(ping(kAck, 1));
    session.say(ping(0, 1));
    session.say(ping(kAck | kFin, 0));
    CHECK(session.state.is_reading());
    CHECK(!session.state.round_trip_time());
    CHECK(session.heard().empty());
}

TEST_CASE("one window update waits however often windows move") {
    Session session(YamuxRole::listener);
    session.say(update(kSyn, 1, 0));
    YamuxStream& stream = session.accept();
    for (int i = 0; i < 1000; ++i) {
        session.say(data(0, 1, std::string(200, 'a')));
        session.read(stream);
    }
    CHECK(session.heard() == Frames{update(kAck, 1, 200'000)});
}

TEST_CASE("tiny frames take no more memory than their bytes") {
    Session session(YamuxRole::listener);
    session.say(update(kSyn, 1, 0));
    const std::string tiny = to_text(data(0, 1, "a"));
    for (std::uint32_t i = 0; i < kWindowInitial; ++i)
        session.state.receive(as_bytes(tiny), session.now);
    CHECK(session.state.is_reading());
    CHECK(session.state.received_bytes_held() <= kWindowInitial + 2 * sizeof(ChunkPool::Chunk));
}

TEST_CASE("the first ping follows the first frames, later ones keep the session alive") {
    Session session(YamuxRole::dialer);
    CHECK(session.heard().empty());
    CHECK(session.pings.empty());
    YamuxStream& stream = session.state.open(session.now);
    session.write(stream, "x");
    CHECK(session.pings == Frames{ping(kSyn, 1)});
    session.now += 20ms;
    session.say(ping(kAck, 2));
    CHECK(!session.state.round_trip_time());
    session.say(ping(kAck, 1));
    CHECK(session.state.round_trip_time() == 20ms);
    CHECK(session.state.deadline() == session.now + 30s);
    session.now += 30s;
    session.state.on_time(session.now);
    session.heard();
    CHECK(session.pings.back() == ping(kSyn, 2));
    session.now += 40ms;
    session.say(ping(kAck, 2));
    CHECK(session.state.round_trip_time() == 30ms);
}

TEST_CASE("a peer that answers no ping for twice the keep-alive is dead") {
    Session session(YamuxRole::dialer);
    session.now += 30s;
    session.state.on_time(session.now);
    session.heard();
    REQUIRE(session.pings.size() == 1);
    SUBCASE("where it says nothing") {
        CHECK(session.state.deadline() == session.now + 60s);
        session.now += 59s;
        session.state.on_time(session.now);
        CHECK(!session.state.is_ended());
        session.now += 1s;
        session.state.on_time(session.now);
        CHECK(session.state.is_ended());
        CHECK(session.state.reason()->code == Errc::timed_out);
    }
    SUBCASE("not where anything comes from it") {
        session.now += 59s;
        session.say(update(0, 99, 0));
        CHECK(session.state.deadline() == session.now + 60s);
        session.now += 59s;
        session.state.on_time(session.now);
        CHECK(!session.state.is_ended());
    }
}

TEST_CASE("a peer that takes no bytes for the stall limit is dead") {
    Session session(YamuxRole::dialer);
    session.state.begin_sending(session.now);
    session.now += 30s;
    session.state.on_time(session.now);
    CHECK(session.state.is_ended());
    CHECK(session.state.reason()->code == Errc::timed_out);
}

TEST_CASE("a session that cannot send still reads for a second") {
    Session session(YamuxRole::listener);
    session.say(data(kSyn, 1, "he"));
    YamuxStream& stream = session.accept();
    const Bytes part = as_bytes("lost");
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.state.lose_output(Error{Errc::io, "broken pipe"});
    CHECK(!stream.is_writing);
    CHECK(stream.is_cut);
    CHECK(!session.state.has_output());
    session.say(data(kFin, 1, "llo"));
    CHECK(session.read(stream) == "hello");
    session.now += 1s;
    session.state.on_time(session.now);
    CHECK(session.state.is_ended());
    CHECK(session.state.reason()->code == Errc::io);
}
