#include "p2p/quic/quic_session.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "p2p/muxer/muxed_handle.hpp"
#include "p2p/quic/quic_endpoint.hpp"

namespace kwaai::p2p {
namespace {

constexpr int kBatchesPerTurn = 4;  // then others run
constexpr std::size_t kAlarmsMax = 16;

// What the coroutines of a session share.
struct QuicDriver {
    using Stream = QuicStream;

    QuicDriver(const QuicCoreOptions& options, const PeerId& expected, io::Clock& time)
        : core(options, expected, time.now()), clock(time) {}

    QuicDriver(const QuicCoreOptions& options, const QuicHello& hello, io::Clock& time)
        : core(options, hello, time.now()), clock(time) {}

    QuicCore core;
    io::Clock& clock;
    std::string remote;
    MuxedHandles<QuicDriver, QuicStream> handles;
    io::Event output_ready;
    io::Event open_ready;
    io::Event accept_ready;
    std::vector<io::TimePoint> alarms;  // at which a sleeper wakes the pump; the soonest last

    void wake();

    // For the streams.
    void begin_reading(QuicStream& /*stream*/) {}

    std::size_t read(QuicStream& stream, MutableBytes into) {
        const std::size_t count = core.read(stream, into);
        if (count > 0 && core.has_output()) wake();
        return count;
    }

    void release(QuicStream& stream) { core.reset(stream, 0); }

    [[nodiscard]] const std::string& remote_name() const { return remote; }

    [[nodiscard]] static Error closed_here() {
        return {Errc::closed, "quic: the stream was closed"};
    }

    [[nodiscard]] static Error cut_off() {
        return {Errc::closed, "quic: the peer reads no more of this stream"};
    }
};

using QuicMuxed = MuxedHandle<QuicDriver>;

// Tells all whom the core may have made ready.
void QuicDriver::wake() {
    notify_changed(*this);
    if (core.has_output() || core.is_ended()) output_ready.notify_all();
    if (core.is_refusing() || !core.is_open_blocked()) open_ready.notify_all();
    if (core.is_refusing() || core.has_incoming()) accept_ready.notify_all();
}

// What the system has no room for now waits.
io::Task<void> send(QuicDriver& session, io::UdpSocket& socket, QuicCore::Batch batch) {
    const std::vector<std::byte> bytes(batch.bytes.begin(), batch.bytes.end());
    while (!session.core.is_ended()) {
        co_await socket.wait_writable();
        if (socket.send(batch.to, bytes, batch.packet_bytes)) co_return;
    }
}

// Of the alarms; however it ends, it is none any more.
struct Alarm {
    Alarm(QuicDriver& driven, io::TimePoint when) : session(driven), due(when) {
        session.alarms.push_back(due);
    }

    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    ~Alarm() { session.alarms.erase(std::ranges::find(session.alarms, due)); }

    QuicDriver& session;
    io::TimePoint due;
};

io::Task<void> ring(QuicDriver& session, io::TimePoint due) {
    const Alarm alarm(session, due);
    co_await session.clock.sleep_until(due);
    session.output_ready.notify_all();
}

// Deadlines move with each packet, mostly back: a sleeper that wakes too early costs less than one
// that is called off.
void wake_at(io::TaskGroup& group, QuicDriver& session, io::TimePoint due) {
    if (!session.alarms.empty() && session.alarms.back() <= due) return;
    group.spawn(ring, std::ref(session), due);
}

io::Task<void> pump_beside(io::TaskGroup& group,
                           QuicDriver& session,
                           QuicEndpoint& endpoint,
                           bool is_handshake) {
    int batches = 0;
    while (!session.core.is_ended() && session.alarms.size() < kAlarmsMax) {
        const QuicCore::Batch batch = session.core.produce(endpoint.scratch(), session.clock.now());
        session.wake();
        if (!batch.bytes.empty()) {
            if (!endpoint.port().send(batch.to, batch.bytes, batch.packet_bytes))
                co_await send(session, endpoint.port(), batch);
            if (++batches % kBatchesPerTurn == 0) co_await io::yield();
            continue;
        }
        if (is_handshake && session.core.is_handshaken()) break;
        session.core.on_time(session.clock.now());
        if (session.core.has_output() || session.core.is_ended()) continue;
        wake_at(group, session, session.core.deadline());
        co_await session.output_ready.wait();
    }
    session.wake();
    group.cancel();
}

// Sends and keeps time until the connection ends, or where only that is wanted until the handshake
// is done; run() sends what is left of it.
io::Task<void> pump(QuicDriver& session, QuicEndpoint& endpoint, bool is_handshake) {
    while (!session.core.is_ended() && !(is_handshake && session.core.is_handshaken()))
        co_await io::with_group(pump_beside, std::ref(session), std::ref(endpoint), is_handshake);
}

// However run() is left: nobody drives the connection any more.
struct QuicEnding {
    explicit QuicEnding(QuicDriver& ended) : session(ended) {}

    QuicEnding(const QuicEnding&) = delete;
    QuicEnding& operator=(const QuicEnding&) = delete;

    ~QuicEnding() {
        session.core.end(Error{Errc::closed, "quic: the connection was broken off"});
        session.wake();
    }

    QuicDriver& session;
};

}  // namespace

struct QuicSession::State final : QuicDriver {
    using QuicDriver::QuicDriver;
    bool is_server = false;
    bool is_unproven = false;  // of those that the endpoint counts
};

QuicCoreOptions QuicSession::core_options(const io::Endpoint& remote, MemoryAccount* account) {
    return {.identity = &endpoint_->identity(),
            .limits = &endpoint_->limits(),
            .account = account,
            .observer = this,
            .local = endpoint_->port().local(),
            .remote = remote};
}

QuicSession::QuicSession(std::shared_ptr<QuicEndpoint> endpoint,
                         const io::Endpoint& remote,
                         const PeerId& expected,
                         MemoryAccount* account)
    : endpoint_(std::move(endpoint)),
      remote_(remote),
      state_(std::make_unique<State>(core_options(remote, account), expected, endpoint_->clock())) {
    state_->remote = io::to_string(io::to_address(remote));
    endpoint_->enter(remote_, *this);
}

QuicSession::QuicSession(std::shared_ptr<QuicEndpoint> endpoint,
                         const io::Endpoint& remote,
                         const QuicHello& hello,
                         MemoryAccount* account)
    : endpoint_(std::move(endpoint)),
      remote_(remote),
      state_(std::make_unique<State>(core_options(remote, account), hello, endpoint_->clock())) {
    state_->remote = io::to_string(io::to_address(remote));
    endpoint_->enter(remote_, *this);
    state_->is_server = true;
    state_->is_unproven = true;
    endpoint_->count_unproven(1);
}

QuicSession::~QuicSession() {
    KWAAI_CHECK(state_->handles.count == 0, "a QUIC session is destroyed before its streams");
    if (state_->is_unproven) endpoint_->count_unproven(-1);
    endpoint_->leave(remote_, *this);
    for (const QuicId& id : ids_)
        endpoint_->remove(id);
}

void QuicSession::id_added(const QuicId& id) {
    ids_.push_back(id);
    endpoint_->add(id, *this);
}

void QuicSession::id_removed(const QuicId& id) {
    std::erase(ids_, id);
    endpoint_->remove(id);
}

void QuicSession::receive(const io::Endpoint& from, Bytes packet) {
    state_->core.receive(from, packet, state_->clock.now());
    if (!state_->is_unproven || !state_->core.is_handshaken()) return;
    state_->is_unproven = false;
    endpoint_->count_unproven(-1);
}

void QuicSession::wake() {
    state_->wake();
}

io::Task<Result<PeerId>> QuicSession::handshake() {
    QuicDriver& session = *state_;
    co_await pump(session, *endpoint_, true);
    // A client that only wanted to know whether we are there says goodbye right behind its proof.
    const bool has_come = state_->is_server && session.core.is_handshaken();
    if (session.core.is_ended() && !has_come)
        co_return std::unexpected<Error>(*session.core.reason());
    co_return PeerId::of(*session.core.remote_key());
}

io::Task<Result<>> QuicSession::run() {
    const QuicEnding ending(*state_);
    QuicDriver& session = *state_;
    co_await pump(session, *endpoint_, false);
    co_return std::unexpected<Error>(*session.core.reason());
}

io::Task<Result<std::unique_ptr<MuxedStream>>> QuicSession::open() {
    QuicDriver& session = *state_;
    while (!session.core.is_refusing() && session.core.is_open_blocked())
        co_await session.open_ready.wait();
    if (session.core.is_refusing()) co_return fail(Errc::closed, "quic: opening a stream: closed");
    QuicStream& stream = session.core.open();
    co_return std::make_unique<QuicMuxed>(session, stream);
}

io::Task<Result<std::unique_ptr<MuxedStream>>> QuicSession::accept() {
    QuicDriver& session = *state_;
    for (;;) {
        if (QuicStream* const stream = session.core.accept()) {
            auto accepted = std::make_unique<QuicMuxed>(session, *stream);
            co_return accepted;
        }
        if (session.core.is_refusing())
            co_return fail(Errc::closed, "quic: accepting a stream: closed");
        co_await session.accept_ready.wait();
    }
}

void QuicSession::close() {
    state_->core.close(state_->clock.now());
    state_->wake();
}

bool QuicSession::is_closed() const {
    return state_->core.is_refusing();
}

std::size_t QuicSession::stream_count() const {
    return state_->core.stream_count();
}

std::optional<std::chrono::nanoseconds> QuicSession::round_trip_time() const {
    return state_->core.round_trip_time();
}

}  // namespace kwaai::p2p
