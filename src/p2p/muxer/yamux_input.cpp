// The half of YamuxState that takes what the peer says.
#include <algorithm>
#include <string>
#include <utility>

#include "base/checked.hpp"
#include "p2p/muxer/yamux_state.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p {
namespace {

Error malformed(std::string why) {
    return Error{Errc::malformed, "yamux: " + std::move(why)};
}

}  // namespace

void YamuxState::receive(Bytes bytes, io::TimePoint now) {
    now_ = now;
    received_at_ = now;
    while (!bytes.empty() && is_reading()) {
        if (payload_left_ > 0) {
            const std::size_t count = std::min<std::size_t>(payload_left_, bytes.size());
            payload_left_ -= static_cast<std::uint32_t>(count);
            on_payload(bytes.first(count));
            bytes = bytes.subspan(count);
            continue;
        }
        const std::size_t count = std::min(header_.size() - header_size_, bytes.size());
        std::copy_n(bytes.begin(), count, header_.begin() + static_cast<int>(header_size_));
        header_size_ += count;
        bytes = bytes.subspan(count);
        if (header_size_ < header_.size()) return;
        header_size_ = 0;
        Result<YamuxHeader> header = decode_yamux_header(header_);
        if (!header) return break_off(std::move(header).error());
        on_header(*header);
    }
}

void YamuxState::on_header(const YamuxHeader& header) {
    switch (header.type) {
        case YamuxType::data:
        case YamuxType::window_update: return on_stream_frame(header);
        case YamuxType::ping: return on_ping(header);
        case YamuxType::go_away: return on_go_away(header.length);
    }
}

void YamuxState::on_stream_frame(const YamuxHeader& header) {
    const bool is_data = header.type == YamuxType::data;
    if ((header.flags & yamux_flag::kSyn) != 0) on_syn(header.stream);
    if (!is_reading()) return;
    if (is_data) {
        payload_left_ = header.length;
        payload_stream_ = 0;
    }
    YamuxStream* const stream = find(header.stream);
    if (stream == nullptr) return;
    acknowledge(*stream);
    if ((header.flags & yamux_flag::kRst) != 0)
        return on_reset(*stream, is_data ? 0 : header.length);
    const bool is_fin = (header.flags & yamux_flag::kFin) != 0;
    if (!is_data) {
        on_window_update(*stream, header.length);
    } else if (!stream->is_finished_by_peer) {
        if (header.length > stream->receivable)
            return break_off(malformed("stream " + std::to_string(header.stream) + ": a frame of " +
                                       std::to_string(header.length) + " bytes where " +
                                       std::to_string(stream->receivable) + " are allowed"));
        payload_stream_ = header.stream;
        is_fin_behind_payload_ = is_fin;
    }
    if (is_fin && is_reading() && payload_left_ == 0) on_fin(*stream);
}

// Ids need not rise: the SYNs of streams that go-libp2p opens at the same time overtake each other.
void YamuxState::on_syn(std::uint32_t id) {
    const std::uint32_t parity = role_ == YamuxRole::dialer ? 0 : 1;
    if (id == 0 || id % 2 != parity)
        return break_off(malformed("the peer opens stream " + std::to_string(id) +
                                   ", an id that is not for it"));
    if (find(id) != nullptr)
        return break_off(
            malformed("the peer opens stream " + std::to_string(id) + ", which is open"));
    if (phase_ != Phase::running || is_peer_going_away_ ||
        inbound_count_ >= limits_.streams_per_connection_max) {
        if (resets_.size() >= limits_.control_frames_max)
            return end(Error{Errc::limit_exceeded,
                             "yamux: the peer opens streams but does not read our refusals"});
        const auto code = static_cast<std::uint32_t>(ResetCode::resource_limit);
        return resets_.push_back(Reset{.id = id, .code = code});
    }
    YamuxStream& stream = add_stream(true);
    stream.id = id;
    by_id_.emplace(id, &stream);
    incoming_.push_back(&stream);
}

void YamuxState::on_window_update(YamuxStream& stream, std::uint32_t delta) {
    const auto window = checked_add(stream.sendable, delta);
    if (!window)
        return break_off(
            malformed("stream " + std::to_string(stream.id) + ": its window overflows 32 bits"));
    stream.sendable = *window;
    want_turn(stream);
}

void YamuxState::on_payload(Bytes bytes) {
    YamuxStream* const stream = find(payload_stream_);
    if (stream == nullptr) return;
    stream->receivable -= static_cast<std::uint32_t>(bytes.size());
    if (stream->is_lingering) {
        // The owner has gone. What was on its way is dropped; who goes on sending is told.
        if (stream->receivable == 0) return reset(*stream, 0);
    } else {
        if (!stream->received.append(bytes)) return on_lack_of_memory(*stream);
        mark_changed(*stream);
    }
    if (payload_left_ == 0 && is_fin_behind_payload_) on_fin(*stream);
}

void YamuxState::on_fin(YamuxStream& stream) {
    if (std::exchange(stream.is_finished_by_peer, true)) return;
    stream.is_update_wanted = false;
    mark_changed(stream);
    settle(stream);
}

void YamuxState::on_reset(YamuxStream& stream, std::uint32_t code) {
    stream.reset_code = code;
    lose_stream(stream, YamuxStream::End::reset_by_peer);
}

// The peer is told; what it sends on the stream from now on is dropped.
void YamuxState::on_lack_of_memory(YamuxStream& stream) {
    if (resets_.size() >= limits_.control_frames_max)
        return end(
            Error{Errc::limit_exceeded, "yamux: the peer sends more than there is memory for"});
    const auto code = static_cast<std::uint32_t>(ResetCode::resource_limit);
    resets_.push_back(Reset{.id = stream.id, .code = code});
    lose_stream(stream, YamuxStream::End::out_of_memory);
}

void YamuxState::lose_stream(YamuxStream& stream, YamuxStream::End why) {
    stream.end = why;
    stream.received.clear();
    abort_write(stream);
    leave_wire(stream);
    const bool is_ours = stream.is_lingering || std::ranges::count(incoming_, &stream) > 0;
    if (is_ours) {
        erase(stream);
    } else {
        mark_changed(stream);
    }
    end_if_idle();
}

void YamuxState::on_ping(const YamuxHeader& header) {
    if ((header.flags & yamux_flag::kSyn) != 0) {
        pong_ = header.length;
    } else if ((header.flags & yamux_flag::kAck) != 0 && ping_sent_at_ &&
               header.length == ping_value_) {
        const io::Duration sample = now_ - *ping_sent_at_;
        round_trip_ = round_trip_ ? (*round_trip_ + sample) / 2 : sample;
        ping_sent_at_.reset();
        next_ping_at_ = now_ + limits_.keep_alive;
    }
}

// The code is information only. Streams of ours that the peer does not know yet have come too
// late.
void YamuxState::on_go_away(std::uint32_t /*code*/) {
    is_peer_going_away_ = true;
    for (const auto& [key, stream] : streams_) {
        if (stream->id != 0 || stream->end != YamuxStream::End::none) continue;
        stream->end = YamuxStream::End::session_ended;
        abort_write(*stream);
        leave_wire(*stream);
        mark_changed(*stream);
    }
    end_if_idle();
}

}  // namespace kwaai::p2p
