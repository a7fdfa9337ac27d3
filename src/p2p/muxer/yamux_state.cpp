#include "p2p/muxer/yamux_state.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::seconds kFlushMax{1};
constexpr std::uint32_t kLastIds = 0xFFFF0000u;  // no stream is opened with ids from here on
constexpr std::size_t kBatchBytesMax = 256 << 10;
constexpr std::size_t kBatchBytesMin = 16 << 10;
constexpr std::chrono::seconds kSlowWrite{1};
constexpr std::chrono::milliseconds kFastWrite{100};

Error closed(std::string why) {
    return Error{Errc::closed, "yamux: " + std::move(why)};
}

}  // namespace

YamuxState::YamuxState(YamuxRole role,
                       const Limits& limits,
                       io::TimePoint now,
                       MemoryAccount* account,
                       std::uint32_t window_learned)
    : role_(role),
      limits_(limits),
      account_(account),
      pool_(account),
      next_id_(role == YamuxRole::dialer ? 1 : 2),
      window_budget_(limits.window_total_max),
      window_hint_(std::clamp(window_learned,
                              limits.window_initial,
                              std::max(limits.window_initial, limits.window_max))),
      batch_bytes_(kBatchBytesMax),
      now_(now),
      next_ping_at_(now + limits.keep_alive),
      received_at_(now) {}

YamuxState::~YamuxState() = default;

// Time

void YamuxState::begin_sending(io::TimePoint now) {
    now_ = now;
    sending_since_ = now;
}

// A slow link gets smaller batches: one of them must not look like a peer that stands still, and
// what is urgent must not wait behind it for long.
void YamuxState::end_sending(io::TimePoint now) {
    now_ = now;
    const io::Duration took = now - sending_since_.value_or(now);
    sending_since_.reset();
    if (took > kSlowWrite) batch_bytes_ = std::max(batch_bytes_ / 4, kBatchBytesMin);
    if (took < kFastWrite) batch_bytes_ = std::min(batch_bytes_ * 2, kBatchBytesMax);
}

io::TimePoint YamuxState::deadline() const {
    io::TimePoint first = io::TimePoint::max();
    if (is_ended()) return first;
    if (flush_until_) first = *flush_until_;
    if (sending_since_) first = std::min(first, *sending_since_ + limits_.write_stall_max);
    if (phase_ != Phase::running || is_ping_due_) return first;
    const io::TimePoint ping_at =
        ping_sent_at_ ? std::max(*ping_sent_at_, received_at_) + 2 * limits_.keep_alive
                      : next_ping_at_;
    return std::min(first, ping_at);
}

void YamuxState::on_time(io::TimePoint now) {
    now_ = now;
    if (is_ended()) return;
    if (flush_until_ && now >= *flush_until_) return end(*reason_);
    if (sending_since_ && now >= *sending_since_ + limits_.write_stall_max)
        return end(Error{Errc::timed_out, "yamux: the peer takes no more bytes"});
    if (phase_ != Phase::running || is_ping_due_) return;
    if (!ping_sent_at_) {
        is_ping_due_ = now >= next_ping_at_;
        return;
    }
    // Bytes behind a long queue are as good a sign of life as the answer to the ping.
    if (now >= std::max(*ping_sent_at_, received_at_) + 2 * limits_.keep_alive)
        end(Error{Errc::timed_out, "yamux: the peer answers no ping"});
}

// Ends

void YamuxState::close(io::TimePoint now) {
    now_ = now;
    close_for(closed("the session was closed"));
}

void YamuxState::close_for(Error why) {
    if (phase_ != Phase::running) return;
    phase_ = Phase::closing;
    reason_ = std::move(why);
    flush_until_ = now_ + kFlushMax;
    go_away_ = YamuxGoAway::normal;
    is_ping_due_ = false;
}

void YamuxState::lose_output(Error why) {
    close_for(std::move(why));
    is_output_lost_ = true;
    for (const auto& [key, stream] : streams_) {
        if (!stream->is_writing) continue;
        abort_write(*stream);
        mark_changed(*stream);
    }
}

void YamuxState::break_off(Error why) {
    if (phase_ == Phase::failing || is_ended()) return;
    phase_ = Phase::failing;
    reason_ = std::move(why);
    flush_until_ = now_ + kFlushMax;
    fail_streams();
    is_ping_due_ = false;
    go_away_ = YamuxGoAway::protocol_error;
}

void YamuxState::end(Error why) {
    if (is_ended()) return;
    phase_ = Phase::ended;
    if (!reason_) reason_ = std::move(why);
    fail_streams();
    go_away_.reset();
}

bool YamuxState::is_reading() const {
    return phase_ == Phase::running || phase_ == Phase::closing;
}

bool YamuxState::is_flushed() const {
    return (phase_ == Phase::closing || phase_ == Phase::failing) && !has_output();
}

// The caller's streams stay, for what has arrived; all others go.
void YamuxState::fail_streams() {
    control_.clear();
    ready_.clear();
    resets_.clear();
    pong_.reset();
    by_id_.clear();
    while (!incoming_.empty())
        erase(*incoming_.front());
    while (!lingering_.empty())
        erase(*lingering_.front());
    for (const auto& [key, stream] : streams_) {
        stream->in_control = false;
        if (stream->end != YamuxStream::End::none) continue;
        stream->end = YamuxStream::End::session_ended;
        abort_write(*stream);
        mark_changed(*stream);
    }
}

// After the peer's GoAway the session lasts as long as its streams.
void YamuxState::end_if_idle() {
    if (is_peer_going_away_ && by_id_.empty() && incoming_.empty())
        close_for(closed("the peer closed the session"));
}

// Streams

bool YamuxState::is_refusing() const {
    return phase_ != Phase::running || is_peer_going_away_ || next_id_ >= kLastIds;
}

bool YamuxState::is_open_blocked() const {
    return unacknowledged_count_ >= limits_.unacknowledged_streams_max;
}

YamuxStream& YamuxState::open(io::TimePoint now) {
    KWAAI_CHECK(!is_refusing() && !is_open_blocked(), "a yamux stream is opened out of turn");
    now_ = now;
    YamuxStream& stream = add_stream(false);
    stream.is_syn_wanted = true;
    ++unacknowledged_count_;
    return stream;
}

YamuxStream* YamuxState::accept(io::TimePoint now) {
    now_ = now;
    if (incoming_.empty() || !is_reading() || phase_ == Phase::closing) return nullptr;
    YamuxStream& stream = *incoming_.front();
    incoming_.pop_front();
    if (is_on_wire(stream)) {
        if (!stream.is_finished_by_peer) grow_window(stream, window_hint_, window_budget_ / 2);
        stream.is_ack_wanted = true;
        want_control(stream);
    }
    return &stream;
}

YamuxStream& YamuxState::add_stream(bool is_inbound) {
    auto owned = std::make_unique<YamuxStream>(pool_);
    YamuxStream& stream = *owned;
    stream.is_inbound = is_inbound;
    stream.is_acknowledged = is_inbound;
    stream.window = stream.receivable = stream.sendable = limits_.window_initial;
    stream.granted_at = now_;
    if (is_inbound) ++inbound_count_;
    if (!is_inbound) grow_window(stream, window_hint_, window_budget_ / 2);
    streams_.emplace(&stream, std::move(owned));
    return stream;
}

YamuxStream* YamuxState::find(std::uint32_t id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
}

bool YamuxState::is_on_wire(const YamuxStream& stream) const {
    return find(stream.id) == &stream;
}

void YamuxState::acknowledge(YamuxStream& stream) {
    if (stream.is_acknowledged) return;
    stream.is_acknowledged = true;
    --unacknowledged_count_;
}

// No frame of this stream is sent or expected any more.
void YamuxState::leave_wire(YamuxStream& stream) {
    acknowledge(stream);
    if (std::exchange(stream.in_control, false)) std::erase(control_, &stream);
    ready_.leave(stream);
    if (is_on_wire(stream)) by_id_.erase(stream.id);
}

void YamuxState::erase(YamuxStream& stream) {
    leave_wire(stream);
    if (stream.in_changed) std::erase(changed_, &stream);
    if (stream.is_lingering) std::erase(lingering_, &stream);
    if (stream.is_inbound) {
        --inbound_count_;
        std::erase(incoming_, &stream);
    }
    window_budget_ += stream.window - limits_.window_initial;
    streams_.erase(&stream);
}

// Both sides have said that they are done.
void YamuxState::settle(YamuxStream& stream) {
    if (stream.fin != YamuxStream::Fin::sent || !stream.is_finished_by_peer) return;
    leave_wire(stream);
    if (stream.is_lingering) erase(stream);
    end_if_idle();
}

std::size_t YamuxState::read(YamuxStream& stream, MutableBytes into, io::TimePoint now) {
    now_ = now;
    const std::size_t count = stream.received.read(into);
    if (count > 0) grant_again(stream);
    return count;
}

// Half of the window at a time; more of it where the peer used that half up within four round
// trips: then the window is what holds it back.
void YamuxState::grant_again(YamuxStream& stream) {
    if (!is_on_wire(stream) || stream.is_finished_by_peer) return;
    if (stream.is_update_wanted || stream.is_ack_wanted) return;
    const std::size_t used = stream.window - stream.receivable - stream.received.size();
    if (used < stream.window / 2) return;
    if (round_trip_ && now_ - stream.granted_at < 4 * *round_trip_) {
        grow_window(stream, std::uint64_t{2} * stream.window, window_budget_);
        window_hint_ = std::max(window_hint_, stream.window);
    }
    stream.granted_at = now_;
    stream.is_update_wanted = true;
    want_control(stream);
}

std::optional<Error> YamuxState::failure(const YamuxStream& stream) const {
    switch (stream.end) {
        case YamuxStream::End::none: return std::nullopt;
        case YamuxStream::End::reset_by_peer:
            return closed("the peer reset the stream, code " + std::to_string(stream.reset_code));
        case YamuxStream::End::out_of_memory:
            return Error{Errc::limit_exceeded,
                         "yamux: the peer sent more than there is memory for"};
        case YamuxStream::End::session_ended:
            return closed(reason_ ? "the session has ended: " + reason_->context
                                  : "the peer takes no more streams");
    }
    return std::nullopt;
}

void YamuxState::announce(YamuxStream& stream) {
    if (stream.is_syn_wanted && stream.end == YamuxStream::End::none) want_control(stream);
}

Result<> YamuxState::begin_write(YamuxStream& stream, std::span<const Bytes> parts) {
    KWAAI_CHECK(!stream.is_writing, "two writes at a time on one yamux stream");
    if (auto why = failure(stream)) return std::unexpected<Error>(std::move(*why));
    if (phase_ != Phase::running)
        return std::unexpected<Error>(closed("the session is being closed"));
    if (stream.is_cut) return std::unexpected<Error>(closed("a write before was broken off"));
    if (stream.fin != YamuxStream::Fin::none)
        return std::unexpected<Error>(closed("the write side of the stream was closed"));
    std::size_t total = 0;
    for (const Bytes part : parts)
        total += part.size();
    if (total == 0) return {};
    stream.parts = parts;
    stream.offset = 0;
    stream.unsent = total;
    stream.is_writing = true;
    want_turn(stream);
    return {};
}

void YamuxState::abort_write(YamuxStream& stream) {
    if (!std::exchange(stream.is_writing, false)) return;
    stream.is_cut = true;
    stream.parts = {};
    stream.unsent = 0;
    ready_.leave(stream);
}

Result<> YamuxState::shutdown_write(YamuxStream& stream) {
    if (auto why = failure(stream)) return std::unexpected<Error>(std::move(*why));
    if (stream.is_cut) return std::unexpected<Error>(closed("a write before was broken off"));
    if (stream.fin == YamuxStream::Fin::none) stream.fin = YamuxStream::Fin::wanted;
    want_turn(stream);
    return {};
}

void YamuxState::close(YamuxStream& stream) {
    const bool is_whole = stream.received.size() == 0 && !stream.is_writing && !stream.is_cut;
    if (is_on_wire(stream) && is_whole) return linger(stream);
    reset(stream, 0);
}

void YamuxState::reset(YamuxStream& stream, std::uint32_t code) {
    if (is_on_wire(stream)) resets_.push_back(Reset{.id = stream.id, .code = code});
    erase(stream);
    end_if_idle();
}

void YamuxState::release(YamuxStream& stream) {
    const bool is_fin_all = stream.is_finished_by_peer && stream.fin == YamuxStream::Fin::wanted &&
                            !stream.is_writing && !stream.is_cut;
    if (is_on_wire(stream) && is_fin_all) return linger(stream);
    reset(stream, 0);
}

// The stream ends in good order although its owner has gone: it waits for the FIN of both sides.
// Where a peer never sends its own, the limit is what it may open itself.
void YamuxState::linger(YamuxStream& stream) {
    stream.received.clear();
    stream.is_lingering = true;
    lingering_.push_back(&stream);
    if (stream.fin == YamuxStream::Fin::none) stream.fin = YamuxStream::Fin::wanted;
    want_turn(stream);
    if (lingering_.size() > limits_.streams_per_connection_max) reset(*lingering_.front(), 0);
}

void YamuxState::mark_changed(YamuxStream& stream) {
    if (std::exchange(stream.in_changed, true)) return;
    changed_.push_back(&stream);
}

void YamuxState::take_changed(std::vector<YamuxStream*>& into) {
    into.clear();
    into.swap(changed_);
    for (YamuxStream* const stream : into)
        stream->in_changed = false;
}

void YamuxState::grow_window(YamuxStream& stream, std::uint64_t window, std::uint64_t growth_max) {
    const auto wanted = std::min<std::uint64_t>(window, limits_.window_max);
    if (wanted <= stream.window) return;
    if (account_ != nullptr && !account_->has_room_to_grow()) return;
    const std::uint64_t growth = std::min(wanted - stream.window, growth_max);
    stream.window += static_cast<std::uint32_t>(growth);
    window_budget_ -= growth;
}

}  // namespace kwaai::p2p
