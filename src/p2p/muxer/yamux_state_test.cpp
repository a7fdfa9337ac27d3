// What a yamux session says and understands, frame by frame.
#include "p2p/muxer/yamux_state.hpp"

#include <algorithm>

#include "p2p/muxer/yamux_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::yamux_test;
using namespace std::chrono_literals;

namespace {

using Frames = std::vector<Frame>;

constexpr std::uint32_t kInitial = 256 << 10;

// A stream of ours that the peer has acknowledged.
YamuxStream& opened(Session& session) {
    YamuxStream& stream = session.state.open(session.now);
    session.write(stream, "x");
    session.say(update(kAck, stream.id, 0));
    return stream;
}

// A stream of the peer that we have accepted.
YamuxStream& accepted(Session& session, std::uint32_t id) {
    session.say(update(kSyn, id, 0));
    YamuxStream& stream = session.accept();
    session.heard();
    return stream;
}

// What the peer needs to know how long a round trip is.
void answer_ping(Session& session, io::Duration after) {
    session.heard();
    REQUIRE(!session.pings.empty());
    session.now += after;
    session.say(ping(kAck, session.pings.back().header.length));
}

}  // namespace

TEST_CASE("the SYN of a stream rides on its first data") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = session.state.open(session.now);
    CHECK(!session.state.has_output());
    CHECK(session.write(stream, "hello") == Frames{data(kSyn, 1, "hello")});
    CHECK(session.write(stream, "again") == Frames{data(0, 1, "again")});
    session.state.release(stream);
}

TEST_CASE("a stream that only reads is announced by a window update") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = session.state.open(session.now);
    session.state.announce(stream);
    session.state.announce(stream);
    CHECK(session.heard() == Frames{update(kSyn, 2, 0)});
}

TEST_CASE("ids rise in the order of the SYNs, not of the opens") {
    Session session(YamuxRole::dialer);
    YamuxStream& first = session.state.open(session.now);
    YamuxStream& second = session.state.open(session.now);
    CHECK(session.write(second, "2") == Frames{data(kSyn, 1, "2")});
    CHECK(session.write(first, "1") == Frames{data(kSyn, 3, "1")});
}

// go-libp2p, opening streams from several goroutines, sends their SYNs in any order.
TEST_CASE("the peer's SYNs may overtake each other") {
    Session session(YamuxRole::listener);
    for (const std::uint32_t id : {5, 1, 7, 3})
        session.say(data(kSyn, id, std::to_string(id)));
    CHECK(session.state.is_reading());
    for (const std::uint32_t id : {5, 1, 7, 3}) {
        YamuxStream* const stream = session.state.accept(session.now);
        REQUIRE(stream != nullptr);
        CHECK(stream->id == id);
        CHECK(session.read(*stream) == std::to_string(id));
    }
}

TEST_CASE("a stream that was never announced ends in silence") {
    Session session(YamuxRole::dialer);
    session.state.close(session.state.open(session.now));
    session.state.reset(session.state.open(session.now), 7);
    session.state.release(session.state.open(session.now));
    CHECK(session.heard().empty());
    CHECK(session.state.stream_count() == 0);
}

TEST_CASE("accepting acknowledges at once") {
    Session session(YamuxRole::listener);
    session.say(data(kSyn, 1, "hello"));
    CHECK(session.heard().empty());
    YamuxStream& stream = session.accept();
    CHECK(session.heard() == Frames{update(kAck, 1, 0)});
    CHECK(session.read(stream) == "hello");
    CHECK(session.state.accept(session.now) == nullptr);
}

TEST_CASE("opening waits while 256 streams are unacknowledged") {
    Session session(YamuxRole::dialer);
    std::vector<YamuxStream*> streams;
    for (int i = 0; i < 256; ++i) {
        REQUIRE(!session.state.is_open_blocked());
        streams.push_back(&session.state.open(session.now));
        session.write(*streams.back(), "x");
    }
    CHECK(session.state.is_open_blocked());
    SUBCASE("until the peer acknowledges one") {
        session.say(update(kAck, 5, 0));
        CHECK(!session.state.is_open_blocked());
        session.say(update(kAck, 5, 0));
        (void)session.state.open(session.now);
        CHECK(session.state.is_open_blocked());
    }
    SUBCASE("until the peer says anything on one") {
        session.say(data(0, 5, "late"));
        CHECK(!session.state.is_open_blocked());
    }
    SUBCASE("until the peer resets one") {
        session.say(update(kRst, 5, 0));
        CHECK(!session.state.is_open_blocked());
    }
    SUBCASE("until one is dropped") {
        session.state.release(*streams[7]);
        CHECK(!session.state.is_open_blocked());
    }
}

TEST_CASE("what is written beyond the window waits for an update") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = session.state.open(session.now);
    const std::string text(kInitial + 5, 'a');
    const Bytes part = as_bytes(text);
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    const Frames frames = session.heard();
    CHECK(frames.size() == 4);
    for (const Frame& frame : frames)
        CHECK(frame.header.length == 64 << 10);
    CHECK(stream.is_writing);
    session.say(update(kAck, 1, 2));
    CHECK(session.heard() == Frames{data(0, 1, "aa")});
    session.say(update(0, 1, 100));
    CHECK(session.heard() == Frames{data(0, 1, "aaa")});
    CHECK(!stream.is_writing);
    CHECK(!stream.is_cut);
}

TEST_CASE("a window of 4 GiB less one byte is the largest (CVE-2026-31814)") {
    Session session(YamuxRole::dialer);
    opened(session);
    session.say(update(0, 1, 0xffffffff - kInitial + 1));
    CHECK(session.state.is_reading());
    session.say(update(0, 1, 1));
    CHECK(session.has_broken_off());
}

TEST_CASE("half of the window is granted again once it was read") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.say(data(0, 1, std::string(kInitial, 'a')));
    CHECK(session.read(stream, kInitial / 2 - 1).size() == kInitial / 2 - 1);
    CHECK(session.heard().empty());
    CHECK(session.read(stream, 1).size() == 1);
    CHECK(session.read(stream, 10).size() == 10);  // before the update leaves: it grows
    CHECK(session.heard() == Frames{update(0, 1, kInitial / 2 + 10)});
}

TEST_CASE("a window doubles where half of it is used within four round trips") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    answer_ping(session, 10ms);
    CHECK(session.state.round_trip_time() == 10ms);
    session.say(data(0, 1, std::string(kInitial / 2, 'a')));
    SUBCASE("fast") {
        session.now += 29ms;
        session.read(stream);
        CHECK(session.heard() == Frames{update(0, 1, kInitial / 2 + kInitial)});
    }
    SUBCASE("slow") {
        session.now += 31ms;
        session.read(stream);
        CHECK(session.heard() == Frames{update(0, 1, kInitial / 2)});
    }
}

TEST_CASE("windows grow up to their limits") {
    Limits limits;
    limits.window_max = 4 * kInitial;
    limits.window_total_max = 4 * kInitial;
    Session session(YamuxRole::listener, limits);
    std::uint32_t total = 0;
    for (const std::uint32_t id : {1, 3, 5}) {
        session.say(update(kSyn, id, 0));
        YamuxStream& stream = session.accept();
        if (id == 1) answer_ping(session, 10ms);
        for (int i = 0; i < 10; ++i) {
            session.say(data(0, id, std::string(stream.receivable, 'a')));
            session.read(stream, 8 << 20);
            session.heard();
        }
        CHECK(stream.window <= limits.window_max);
        total += stream.window - kInitial;
    }
    CHECK(total == limits.window_total_max);
}

TEST_CASE("a stream that ends gives its growth back") {
    Limits limits;
    limits.window_max = 2 * kInitial;
    limits.window_total_max = kInitial;
    Session session(YamuxRole::listener, limits);
    for (const std::uint32_t id : {1, 3, 5, 7}) {
        session.say(update(kSyn, id, 0));
        YamuxStream& stream = session.accept();
        if (id == 1) answer_ping(session, 10ms);
        session.say(data(0, id, std::string(kInitial / 2, 'a')));
        session.read(stream);
        // One that begins with growth takes half of what is left.
        CHECK(stream.window == (id == 1 ? 2 * kInitial : kInitial + kInitial / 2));
        session.state.reset(stream, 0);
    }
}

TEST_CASE("new streams begin with the window that an earlier one grew to, within what is left") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    answer_ping(session, 10ms);
    session.say(data(0, 1, std::string(kInitial, 'a')));
    session.read(stream);
    session.heard();
    session.say(update(kSyn, 3, 0));
    session.accept();
    CHECK(session.heard() == Frames{update(kAck, 3, kInitial)});
    YamuxStream& ours = session.state.open(session.now);
    CHECK(session.write(ours, "x") == Frames{update(kSyn, 2, kInitial), data(0, 2, "x")});
}

TEST_CASE("streams that are ready take turns of 16 KiB, one alone sends 64 KiB") {
    Session session(YamuxRole::dialer);
    YamuxStream& first = session.state.open(session.now);
    YamuxStream& second = session.state.open(session.now);
    const std::string text(80 << 10, 'a');
    const Bytes whole = as_bytes(text);
    const Bytes half = whole.first(32 << 10);
    REQUIRE(session.state.begin_write(first, std::span<const Bytes>(&whole, 1)));
    REQUIRE(session.state.begin_write(second, std::span<const Bytes>(&half, 1)));
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sent;
    for (const Frame& frame : session.heard())
        sent.emplace_back(frame.header.stream, frame.header.length);
    const std::vector<std::pair<std::uint32_t, std::uint32_t>> expected = {
        {1, 16 << 10}, {3, 16 << 10}, {1, 16 << 10}, {3, 16 << 10}, {1, 48 << 10}};
    CHECK(sent == expected);
}

TEST_CASE("a batch is bounded, and smaller on a slow link") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = opened(session);
    session.say(update(0, 1, 64 << 20));
    const std::string text(8 << 20, 'a');
    const Bytes part = as_bytes(text);
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    std::vector<std::byte> out;
    session.state.produce(out, session.now);
    CHECK(out.size() == (256 << 10) + 4 * kYamuxHeaderBytes);
    for (int i = 0; i < 3; ++i) {
        session.state.begin_sending(session.now);
        session.now += 2s;
        session.state.end_sending(session.now);
    }
    out.clear();
    session.state.produce(out, session.now);
    CHECK(out.size() == (16 << 10) + kYamuxHeaderBytes);
    session.state.begin_sending(session.now);
    session.state.end_sending(session.now);
    out.clear();
    session.state.produce(out, session.now);
    CHECK(out.size() == (32 << 10) + kYamuxHeaderBytes);
}

TEST_CASE("a write may consist of many parts") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = session.state.open(session.now);
    const std::vector<Bytes> parts = {as_bytes(""), as_bytes("ab"), as_bytes(""), as_bytes("c")};
    REQUIRE(session.state.begin_write(stream, parts));
    CHECK(session.heard() == Frames{data(kSyn, 1, "abc")});
}

TEST_CASE("FIN follows what was written; the other direction goes on") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = opened(session);
    const Bytes part = as_bytes("last");
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    REQUIRE(session.state.shutdown_write(stream));
    REQUIRE(session.state.shutdown_write(stream));
    CHECK(session.heard() == Frames{data(0, 1, "last"), update(kFin, 1, 0)});
    CHECK(!session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.say(data(0, 1, "answer"));
    CHECK(session.read(stream) == "answer");
    CHECK(!stream.is_finished_by_peer);
    session.say(data(kFin, 1, "end"));
    CHECK(stream.is_finished_by_peer);
    CHECK(session.read(stream) == "end");
    CHECK(session.heard().empty());
    session.state.release(stream);
    CHECK(session.heard().empty());
}

TEST_CASE("after the peer's FIN writes are legal until it resets") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = opened(session);
    session.say(update(kFin, 1, 0));
    const std::string text(2 * kInitial, 'a');
    const Bytes part = as_bytes(text);
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.heard();
    CHECK(stream.is_writing);
    session.say(update(kRst, 1, 0));
    CHECK(!stream.is_writing);
    CHECK(stream.is_cut);
    CHECK(session.state.failure(stream)->code == Errc::closed);
}

TEST_CASE("the reason of the peer's reset is kept") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = opened(session);
    session.say(data(0, 1, "unread"));
    session.say(update(kRst, 1, 0x1002));
    CHECK(stream.reset_code == 0x1002);
    CHECK(session.read(stream).empty());
    session.state.release(stream);
    CHECK(session.heard().empty());
    CHECK(session.state.received_bytes_held() == 0);
}

TEST_CASE("a reset says why, once, and takes the place of all else") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    const Bytes part = as_bytes("never sent");
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    REQUIRE(session.state.shutdown_write(stream));
    session.state.reset(stream, 0x1004);
    CHECK(session.heard() == Frames{update(kRst, 1, 0x1004)});
}

TEST_CASE("a stream that was dropped before its end is reset") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    REQUIRE(session.state.shutdown_write(stream));
    CHECK(session.heard() == Frames{update(kFin, 1, 0)});
    session.state.release(stream);
    CHECK(session.heard() == Frames{update(kRst, 1, 0)});
    CHECK(session.state.stream_count() == 0);
}

TEST_CASE("a FIN that waits leaves although the stream was dropped") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.say(update(kFin, 1, 0));
    REQUIRE(session.state.shutdown_write(stream));
    session.state.release(stream);
    CHECK(session.heard() == Frames{update(kFin, 1, 0)});
    CHECK(session.state.stream_count() == 0);
}

TEST_CASE("closing a stream of which all was read sends FIN") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.write(stream, "answer");
    session.state.close(stream);
    CHECK(session.heard() == Frames{update(kFin, 1, 0)});
    SUBCASE("and forgets it at the peer's FIN") {
        session.say(data(kFin, 1, "too late"));
    }
    SUBCASE("and forgets it at the peer's reset") {
        session.say(update(kRst, 1, 0));
    }
    SUBCASE("and resets it where the peer goes on writing") {
        session.say(data(0, 1, std::string(kInitial - 1, 'a')));
        CHECK(session.heard().empty());
        CHECK(session.state.stream_count() == 1);
        session.say(data(0, 1, "a"));
        CHECK(session.heard() == Frames{update(kRst, 1, 0)});
    }
    CHECK(session.state.stream_count() == 0);
    CHECK(session.state.received_bytes_held() == 0);
    CHECK(session.heard().empty());
}

TEST_CASE("closing a stream with unread bytes resets it") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.say(data(kFin, 1, "unread"));
    session.state.close(stream);
    CHECK(session.heard() == Frames{update(kRst, 1, 0)});
}

TEST_CASE("closing a stream in the middle of a write resets it") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    const std::string text(2 * kInitial, 'a');
    const Bytes part = as_bytes(text);
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.heard();
    SUBCASE("under way") {}
    SUBCASE("broken off") {
        session.state.abort_write(stream);
        CHECK(!session.state.shutdown_write(stream));
        CHECK(session.heard().empty());
    }
    session.state.close(stream);
    CHECK(session.heard() == Frames{update(kRst, 1, 0)});
}

TEST_CASE("closed streams wait for their peer's FIN up to a limit, beyond it the oldest is reset") {
    Limits limits;
    limits.streams_per_connection_max = 3;
    Session session(YamuxRole::dialer, limits);
    for (const std::uint32_t id : {1, 3, 5}) {
        session.state.close(opened(session));
        CHECK(session.heard() == Frames{update(kFin, id, 0)});
    }
    session.state.close(opened(session));
    CHECK(session.heard() == Frames{update(kRst, 1, 0), update(kFin, 7, 0)});
    CHECK(session.state.stream_count() == 3);
}

TEST_CASE("a frame arrives in pieces of any size") {
    Session session(YamuxRole::listener);
    const std::string text = to_text(data(kSyn | kFin, 1, "hello")) + to_text(ping(kSyn, 77));
    for (const char& letter : text)
        session.state.receive(as_bytes(std::string_view(&letter, 1)), session.now);
    YamuxStream& stream = session.accept();
    CHECK(session.read(stream) == "hello");
    CHECK(stream.is_finished_by_peer);
    CHECK(session.heard() == Frames{ping(kAck, 77), update(kAck, 1, 0)});
}

TEST_CASE("a frame as large as the window is readable while it arrives") {
    Session session(YamuxRole::listener);
    const std::string text = to_text(data(kSyn, 1, std::string(kInitial, 'a')));
    session.state.receive(as_bytes(text).first(1000), session.now);
    YamuxStream& stream = session.accept();
    CHECK(session.read(stream).size() == 1000 - kYamuxHeaderBytes);
    session.state.receive(as_bytes(text).subspan(1000), session.now);
    CHECK(session.read(stream).size() == kInitial + kYamuxHeaderBytes - 1000);
}

TEST_CASE("a stream may go away in the middle of a frame") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    const std::string text = to_text(data(kFin, 1, "hello"));
    session.state.receive(as_bytes(text).first(14), session.now);
    session.state.reset(stream, 0);
    session.state.receive(as_bytes(text).subspan(14), session.now);
    session.say(ping(kSyn, 5));
    CHECK(session.heard() == Frames{ping(kAck, 5), update(kRst, 1, 0)});
}

TEST_CASE("frames for unknown streams are drained and ignored") {
    Session session(YamuxRole::listener);
    session.say(data(0, 9, "who?"));
    session.say(data(kFin, 2, "who?"));
    session.say(data(kRst, 0, "who?"));
    session.say(update(kFin, 9, 0xffffffff));
    session.say(update(kRst, 7, 0));
    session.say(ping(kSyn, 1));
    CHECK(session.heard() == Frames{ping(kAck, 1)});
}

TEST_CASE("bytes behind a FIN are ignored") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.say(data(kFin, 1, "end"));
    session.say(data(kFin, 1, "more"));
    CHECK(session.read(stream) == "end");
    CHECK(session.state.is_reading());
}

TEST_CASE("GoAway ends the session once its streams have ended") {
    Session session(YamuxRole::dialer);
    YamuxStream& known = opened(session);
    YamuxStream& late = session.state.open(session.now);
    session.say(go_away(0));
    CHECK(session.state.is_refusing());
    CHECK(session.state.failure(late)->code == Errc::closed);
    CHECK(!session.state.failure(known));
    CHECK(session.write(known, "still") == Frames{data(0, 1, "still")});
    session.say(update(kSyn, 2, 0));
    CHECK(session.heard() == Frames{update(kRst, 2, 0x1002)});
    session.state.reset(known, 0);
    CHECK(session.heard() == Frames{update(kRst, 1, 0), go_away(0)});
    CHECK(session.state.is_flushed());
    CHECK(session.state.reason()->code == Errc::closed);
    session.state.release(late);
}

TEST_CASE("closing sends what can be sent, then GoAway") {
    Session session(YamuxRole::dialer);
    YamuxStream& stream = opened(session);
    const std::string text(2 * kInitial, 'a');
    const Bytes part = as_bytes(text);
    REQUIRE(session.state.begin_write(stream, std::span<const Bytes>(&part, 1)));
    session.state.close(session.now);
    CHECK(!session.state.is_flushed());
    const Frames frames = session.heard();
    CHECK(frames.back() == go_away(0));
    CHECK(frames.size() == 5);
    CHECK(session.state.is_flushed());
    CHECK(session.state.deadline() == session.now + 1s);
    session.now += 1s;
    session.state.on_time(session.now);
    CHECK(session.state.is_ended());
    CHECK(session.state.reason()->code == Errc::closed);
    CHECK(stream.is_cut);
}

TEST_CASE("what had arrived when the session ended can still be read") {
    Session session(YamuxRole::listener);
    YamuxStream& stream = accepted(session, 1);
    session.say(data(kFin, 1, "answer"));
    session.state.end(Error{Errc::io, "cable cut"});
    CHECK(session.read(stream) == "answer");
    CHECK(stream.is_finished_by_peer);
    CHECK(session.heard().empty());
}
