#include "p2p/muxer/yamux_session.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "p2p/muxer/muxed_handle.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kReadBytesMin = 1 << 10;  // an idle connection holds no more
constexpr std::size_t kReadBytesMax = 64 << 10;
constexpr int kSmallReads = 16;

// What the coroutines of a session share.
struct Driver {
    using Stream = YamuxStream;

    Driver(std::unique_ptr<io::Stream> connection,
           YamuxRole role,
           const Limits& limits,
           io::Clock& time,
           MemoryAccount* account,
           std::uint32_t window_learned)
        : transport(std::move(connection)),
          clock(time),
          core(role, limits, time.now(), account, window_learned) {}

    std::unique_ptr<io::Stream> transport;
    io::Clock& clock;
    YamuxState core;
    MuxedHandles<Driver, YamuxStream> handles;

    io::Event output_ready;    // has_output(), or the session is closing
    io::Event open_ready;      // open() may go on
    io::Event accept_ready;    // accept() may go on
    io::Event deadline_moved;  // to before `timer_until`
    io::TimePoint timer_until;
    std::vector<std::byte> batch;
    bool is_batch_idle = false;  // nothing was sent since the last look

    void wake();
    void end(Error why);

    // For the streams.
    void begin_reading(YamuxStream& stream) {
        core.announce(stream);
        wake();
    }

    std::size_t read(YamuxStream& stream, MutableBytes into) {
        const std::size_t count = core.read(stream, into, clock.now());
        if (count > 0) wake();
        return count;
    }

    void release(YamuxStream& stream) { core.release(stream); }

    [[nodiscard]] std::string remote_name() const { return transport->peer(); }

    [[nodiscard]] static Error closed_here() {
        return {Errc::closed, "yamux: the stream was closed"};
    }

    [[nodiscard]] static Error cut_off() { return closed_here(); }
};

using Muxed = MuxedHandle<Driver>;

// Tells all whom the state may have made ready.
void Driver::wake() {
    notify_changed(*this);
    if (core.has_output() || core.is_flushed() || core.is_ended()) output_ready.notify_all();
    if (core.deadline() < timer_until || core.is_ended()) deadline_moved.notify_all();
    if (core.is_refusing() || !core.is_open_blocked()) open_ready.notify_all();
    if (core.is_refusing() || core.has_incoming()) accept_ready.notify_all();
}

void Driver::end(Error why) {
    core.end(std::move(why));
    wake();
}

// Small while little arrives, so that a thousand idle connections cost little.
class ReadBuffer {
public:
    [[nodiscard]] MutableBytes space() { return bytes_; }

    void adapt(std::size_t count) {
        if (count == bytes_.size() && count < kReadBytesMax) {
            bytes_ = std::vector<std::byte>(std::min(4 * count, kReadBytesMax));
        }
        small_reads_ = count < kReadBytesMin ? small_reads_ + 1 : 0;
        if (small_reads_ < kSmallReads || bytes_.size() == kReadBytesMin) return;
        bytes_ = std::vector<std::byte>(kReadBytesMin);
    }

private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(kReadBytesMin);
    int small_reads_ = 0;
};

io::Task<void> read_frames(io::TaskGroup& group, Driver& session) {
    // A handshake may have kept its last message for the first frames to travel with it.
    co_await io::yield();
    ReadBuffer buffer;
    while (session.core.is_reading()) {
        Result<std::size_t> count = co_await session.transport->read_some(buffer.space());
        if (!count) {
            session.end(std::move(count).error());
        } else if (*count == 0) {
            session.end(Error{Errc::closed, "yamux: the peer closed the connection"});
        } else {
            session.core.receive(Bytes(buffer.space()).first(*count), session.clock.now());
            session.wake();
            buffer.adapt(*count);
        }
    }
    if (session.core.is_ended()) group.cancel();
}

// All that became ready in this turn of the loop leaves in one write: this coroutine runs last.
io::Task<void> write_frames(io::TaskGroup& group, Driver& session) {
    while (!session.core.is_ended()) {
        session.batch.clear();
        session.core.produce(session.batch, session.clock.now());
        session.wake();
        if (session.batch.empty()) {
            if (session.core.is_flushed()) break;
            co_await session.output_ready.wait();
            continue;
        }
        session.is_batch_idle = false;
        session.core.begin_sending(session.clock.now());
        session.wake();
        const Bytes batch(session.batch);
        Result<> written = co_await session.transport->write(batch);
        session.core.end_sending(session.clock.now());
        if (written) continue;
        // What the peer said before it hung up is still to be read.
        session.core.lose_output(std::move(written).error());
        session.wake();
        co_return;
    }
    if (session.core.is_flushed()) {
        // The peer, having read our GoAway, closes the connection; the deadline ends the wait.
        const Result<> shut = co_await session.transport->shutdown_write();
        const bool is_wait_useful = shut && session.core.is_reading();
        if (!is_wait_useful) session.end(Error{Errc::closed, "yamux: the session was closed"});
    }
    if (session.core.is_ended()) group.cancel();
}

io::Task<void> keep_time(io::TaskGroup& group, Driver& session) {
    while (!session.core.is_ended()) {
        session.timer_until = session.core.deadline();
        const io::Duration left = session.timer_until - session.clock.now();
        if (left > io::Duration::zero()) {
            io::Task<void> moved = session.deadline_moved.wait();
            co_await io::finishes_within(session.clock, left, std::move(moved));
        }
        session.core.on_time(session.clock.now());
        session.core.trim();
        if (!session.core.is_sending() && std::exchange(session.is_batch_idle, true))
            session.batch = std::vector<std::byte>();
        session.wake();
    }
    group.cancel();
}

io::Task<void> drive(io::TaskGroup& group, Driver& session) {
    group.spawn(write_frames, std::ref(group), std::ref(session));
    group.spawn(read_frames, std::ref(group), std::ref(session));
    group.spawn(keep_time, std::ref(group), std::ref(session));
    co_return;
}

// However run() is left: nobody reads or writes the connection any more.
struct Ending {
    explicit Ending(Driver& ended) : session(ended) {}

    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;

    ~Ending() {
        session.end(Error{Errc::closed, "yamux: the session was broken off"});
        session.transport->close();
    }

    Driver& session;
};

}  // namespace

struct YamuxSession::State final : Driver {
    using Driver::Driver;
};

YamuxSession::YamuxSession(std::unique_ptr<io::Stream> transport,
                           YamuxRole role,
                           const Limits& limits,
                           io::Clock& clock,
                           MemoryAccount* account,
                           std::uint32_t window_learned)
    : state_(std::make_unique<State>(
          std::move(transport), role, limits, clock, account, window_learned)) {}

YamuxSession::~YamuxSession() {
    KWAAI_CHECK(state_->handles.count == 0, "a yamux session is destroyed before its streams");
}

io::Task<Result<>> YamuxSession::run() {
    const Ending ending(*state_);
    co_await io::with_group(drive, std::ref<Driver>(*state_));
    co_return std::unexpected<Error>(*state_->core.reason());
}

io::Task<Result<std::unique_ptr<MuxedStream>>> YamuxSession::open() {
    Driver& session = *state_;
    while (!session.core.is_refusing() && session.core.is_open_blocked())
        co_await session.open_ready.wait();
    if (session.core.is_refusing()) co_return fail(Errc::closed, "yamux: opening a stream: closed");
    YamuxStream& stream = session.core.open(session.clock.now());
    co_return std::make_unique<Muxed>(session, stream);
}

io::Task<Result<std::unique_ptr<MuxedStream>>> YamuxSession::accept() {
    Driver& session = *state_;
    for (;;) {
        if (YamuxStream* const stream = session.core.accept(session.clock.now())) {
            auto accepted = std::make_unique<Muxed>(session, *stream);
            session.wake();
            co_return accepted;
        }
        if (session.core.is_refusing())
            co_return fail(Errc::closed, "yamux: accepting a stream: closed");
        co_await session.accept_ready.wait();
    }
}

void YamuxSession::close() {
    state_->core.close(state_->clock.now());
    state_->wake();
}

bool YamuxSession::is_closed() const {
    return state_->core.is_refusing();
}

std::size_t YamuxSession::stream_count() const {
    return state_->core.stream_count();
}

std::uint32_t YamuxSession::window_learned() const {
    return state_->core.window_learned();
}

std::optional<std::chrono::nanoseconds> YamuxSession::round_trip_time() const {
    return state_->core.round_trip_time();
}

}  // namespace kwaai::p2p
