// Yamux as a child would write it: every byte kept, every rule an `if`. The fuzz target holds
// YamuxState to it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "p2p/limits.hpp"
#include "p2p/muxer/yamux_state.hpp"

namespace kwaai::p2p::yamux_model {

/// What an application writes at `offset` of a stream.
inline char letter_at(std::uint64_t offset) {
    return static_cast<char>(offset % 251);
}

struct Stream {
    std::uint32_t id = 0;
    bool is_inbound = false;
    bool is_accepted = false;
    bool is_acknowledged = false;
    bool is_failed = false;  // never to be announced
    bool is_reset = false;   // by either side
    bool is_lingering = false;
    bool is_dropped = false;  // by its owner
    bool is_cut = false;
    bool is_fin_wanted = false;
    bool is_fin_sent = false;
    bool is_fin_received = false;
    std::uint64_t may_receive = 0;
    std::uint64_t may_send = 0;
    std::uint64_t written = 0;
    std::uint64_t sent = 0;
    std::string received;

    [[nodiscard]] bool is_live() const {
        return id != 0 && !is_reset && !is_failed && !(is_fin_received && is_fin_sent);
    }

    [[nodiscard]] bool is_writing() const { return written > sent && !is_cut && !is_reset; }
};

using StreamPtr = std::shared_ptr<Stream>;

class Model {
public:
    Model(YamuxRole role, const Limits& limits)
        : role_(role), limits_(limits), next_id_(role == YamuxRole::dialer ? 1 : 2) {}

    bool is_broken = false;             // by the peer
    bool is_over = false;               // for another reason
    bool is_closing = false;            // by us
    bool is_going_away = false;         // the peer
    std::optional<std::uint32_t> ping;  // to be answered
    std::uint32_t last_ping_sent = 0;

    StreamPtr open() {
        auto stream = make(false);
        opened_.push_back(stream);
        return stream;
    }

    /// An id that the peer may open a stream with.
    [[nodiscard]] std::uint32_t next_peer_id() const {
        if (last_peer_id_ > 0) return last_peer_id_ + 2;
        return role_ == YamuxRole::listener ? 1 : 2;
    }

    StreamPtr accept() {
        for (const StreamPtr& stream : all_) {
            if (!stream->is_inbound || stream->is_accepted || stream->is_dropped) continue;
            stream->is_accepted = true;
            if (stream->is_live()) acks_wanted_.push_back(stream->id);
            return stream;
        }
        return nullptr;
    }

    void close(const StreamPtr& stream) {
        const bool is_whole = stream->received.empty() && !stream->is_writing() && !stream->is_cut;
        if (stream->is_live() && is_whole) return linger(stream);
        reset(stream);
    }

    void release(const StreamPtr& stream) {
        const bool is_fin_all = stream->is_fin_received && stream->is_fin_wanted &&
                                !stream->is_writing() && !stream->is_cut;
        if (stream->is_live() && is_fin_all) return linger(stream);
        reset(stream);
    }

    void reset(const StreamPtr& stream) {
        if (stream->is_live() && !is_broken && !is_over) resets_wanted_.push_back(stream->id);
        stream->is_reset = true;
        stream->is_dropped = true;
        stream->received.clear();
        std::erase(lingering_, stream);
    }

    void receive(std::string_view bytes) {
        for (const char byte : bytes) {
            if (is_broken || is_over) return;
            receive_byte(byte);
        }
    }

    /// Checks frames that were sent.
    void sent(std::string_view bytes, const std::vector<std::pair<StreamPtr, std::uint32_t>>& ids) {
        for (const auto& [stream, id] : ids) {
            stream->id = id;
            announced_.push_back(stream);
        }
        while (!bytes.empty()) {
            KWAAI_CHECK(bytes.size() >= kYamuxHeaderBytes, "a header is cut");
            const auto header = decode_yamux_header(as_bytes(bytes).first<kYamuxHeaderBytes>());
            KWAAI_CHECK(header.has_value(), "a header is malformed");
            bytes.remove_prefix(kYamuxHeaderBytes);
            const std::size_t size = header->type == YamuxType::data ? header->length : 0;
            KWAAI_CHECK(bytes.size() >= size, "a payload is cut");
            check_sent(*header, bytes.substr(0, size));
            bytes.remove_prefix(size);
        }
    }

    [[nodiscard]] std::size_t unacknowledged() const {
        std::size_t count = 0;
        for (const StreamPtr& stream : opened_) {
            const bool is_known = stream->id == 0 || stream->is_live();
            count +=
                !stream->is_acknowledged && is_known && !stream->is_dropped && !stream->is_failed
                    ? 1
                    : 0;
        }
        return count;
    }

    /// Bytes that may be held or still come, beyond the initial windows.
    [[nodiscard]] std::uint64_t granted_beyond_initial() const {
        std::uint64_t total = 0;
        for (const StreamPtr& stream : all_) {
            const std::uint64_t granted = stream->may_receive + stream->received.size();
            const bool is_held = !stream->is_dropped || stream->is_lingering;
            if (is_held && stream->is_live() && granted > limits_.window_initial)
                total += granted - limits_.window_initial;
        }
        return total;
    }

    [[nodiscard]] std::size_t bytes_received() const {
        std::size_t total = 0;
        for (const StreamPtr& stream : all_)
            total += stream->received.size();
        return total;
    }

    std::map<std::uint32_t, StreamPtr> streams;  // the last of each id

private:
    StreamPtr make(bool is_inbound) const {
        auto stream = std::make_shared<Stream>();
        stream->is_inbound = is_inbound;
        stream->may_receive = stream->may_send = limits_.window_initial;
        return stream;
    }

    StreamPtr find_live(std::uint32_t id) const {
        const auto found = streams.find(id);
        return found != streams.end() && found->second->is_live() ? found->second : nullptr;
    }

    void linger(const StreamPtr& stream) {
        stream->is_lingering = stream->is_fin_wanted = true;
        lingering_.push_back(stream);
        if (lingering_.size() > limits_.streams_per_connection_max) {
            const StreamPtr oldest = lingering_.front();
            reset(oldest);
        }
        forget_if_done(stream);
    }

    void forget_if_done(const StreamPtr& stream) {
        if (!stream->is_lingering || stream->is_live()) return;
        stream->is_dropped = true;
        std::erase(lingering_, stream);
    }

    void receive_byte(char byte) {
        if (payload_left_ > 0) {
            --payload_left_;
            if (target_) receive_payload(byte);
            return;
        }
        header_ += byte;
        if (header_.size() < kYamuxHeaderBytes) return;
        const auto header = decode_yamux_header(as_bytes(header_).first<kYamuxHeaderBytes>());
        header_.clear();
        if (!header) {
            is_broken = true;
            return;
        }
        receive_header(*header);
    }

    void receive_payload(char byte) {
        if (!target_->is_live()) return;
        --target_->may_receive;
        if (!target_->is_lingering) target_->received += byte;
        if (target_->is_lingering && target_->may_receive == 0) return reset(target_);
        if (payload_left_ == 0 && is_fin_next_) receive_fin(target_);
    }

    void receive_fin(const StreamPtr& stream) {
        stream->is_fin_received = true;
        forget_if_done(stream);
    }

    void receive_header(const YamuxHeader& header) {
        if (header.type == YamuxType::ping) {
            if ((header.flags & yamux_flag::kSyn) != 0) ping = header.length;
            return;
        }
        if (header.type == YamuxType::go_away) {
            is_going_away = true;
            for (const StreamPtr& stream : opened_)
                if (stream->id == 0) stream->is_failed = true;
            return;
        }
        if ((header.flags & yamux_flag::kSyn) != 0) receive_syn(header.stream);
        if (is_broken || is_over) return;
        const bool is_data = header.type == YamuxType::data;
        target_ = nullptr;
        if (is_data) payload_left_ = header.length;
        const StreamPtr stream = find_live(header.stream);
        if (!stream) return;
        stream->is_acknowledged = true;
        if ((header.flags & yamux_flag::kRst) != 0) return receive_reset(stream);
        is_fin_next_ = (header.flags & yamux_flag::kFin) != 0;
        if (!is_data) {
            stream->may_send += header.length;
            is_broken = stream->may_send > 0xffffffff;
        } else if (!stream->is_fin_received) {
            is_broken = header.length > stream->may_receive;
            target_ = stream;
        }
        if (!is_broken && is_fin_next_ && payload_left_ == 0) receive_fin(stream);
    }

    void receive_syn(std::uint32_t id) {
        const bool is_theirs = id != 0 && (id % 2 == 1) == (role_ == YamuxRole::listener);
        if (!is_theirs || find_live(id)) {
            is_broken = true;
            return;
        }
        last_peer_id_ = std::max(last_peer_id_, id);
        std::size_t inbound = 0;
        for (const StreamPtr& stream : all_)
            inbound += stream->is_inbound && !stream->is_dropped ? 1 : 0;
        if (is_closing || is_going_away || inbound >= limits_.streams_per_connection_max) {
            is_over = resets_wanted_.size() >= limits_.control_frames_max;
            resets_wanted_.push_back(id);
            return;
        }
        std::erase(acks_wanted_, id);
        const StreamPtr stream = make(true);
        stream->id = id;
        streams[id] = stream;
        all_.push_back(stream);
    }

    void receive_reset(const StreamPtr& stream) {
        stream->is_reset = true;
        stream->received.clear();
        if ((stream->is_inbound && !stream->is_accepted) || stream->is_lingering)
            stream->is_dropped = true;
        std::erase(lingering_, stream);
    }

    void check_sent(const YamuxHeader& header, std::string_view payload) {
        KWAAI_CHECK(!is_over, "a frame leaves after the end");
        if (header.type == YamuxType::go_away) {
            KWAAI_CHECK(header.length == (is_broken ? 1u : 0u), "GoAway for the wrong reason");
            return;
        }
        KWAAI_CHECK(!is_broken, "only GoAway may leave after the peer broke the protocol");
        if (header.type == YamuxType::ping) return check_sent_ping(header);
        if (header.flags == yamux_flag::kRst) {
            const auto place = std::ranges::find(resets_wanted_, header.stream);
            KWAAI_CHECK(place != resets_wanted_.end(), "a stream is reset without reason");
            resets_wanted_.erase(place);
            return;
        }
        if ((header.flags & yamux_flag::kSyn) != 0) check_sent_syn(header.stream);
        const StreamPtr stream = find_live(header.stream);
        KWAAI_CHECK(stream != nullptr, "a frame leaves on a stream that has ended");
        if ((header.flags & yamux_flag::kAck) != 0) {
            KWAAI_CHECK(std::erase(acks_wanted_, header.stream) == 1, "an ACK without reason");
        }
        if (header.type == YamuxType::window_update) {
            KWAAI_CHECK(!stream->is_fin_received || header.length == 0, "a window for nothing");
            KWAAI_CHECK(header.flags != 0 || header.length > 0, "a frame that says nothing");
            stream->may_receive += header.length;
            KWAAI_CHECK(stream->may_receive + stream->received.size() <= limits_.window_max,
                        "a window beyond the limit");
        } else {
            check_sent_data(*stream, payload);
        }
        if ((header.flags & yamux_flag::kFin) == 0) return;
        KWAAI_CHECK(stream->is_fin_wanted && !stream->is_fin_sent, "a FIN without reason");
        KWAAI_CHECK(stream->sent == stream->written && !stream->is_cut, "a FIN too early");
        stream->is_fin_sent = true;
        forget_if_done(stream);
    }

    void check_sent_ping(const YamuxHeader& header) {
        if (header.flags == yamux_flag::kSyn) {
            last_ping_sent = header.length;
            return;
        }
        KWAAI_CHECK(header.flags == yamux_flag::kAck && ping == header.length, "a wrong pong");
        ping.reset();
    }

    void check_sent_syn(std::uint32_t id) {
        KWAAI_CHECK(id == next_id_, "ids do not rise by two");
        next_id_ += 2;
        for (const StreamPtr& stream : announced_)
            if (stream->id == id) {
                streams[id] = stream;
                all_.push_back(stream);
            }
    }

    void check_sent_data(Stream& stream, std::string_view payload) {
        KWAAI_CHECK(!stream.is_fin_sent, "data behind a FIN");
        KWAAI_CHECK(!payload.empty() && payload.size() <= limits_.frame_bytes_max, "frame size");
        KWAAI_CHECK(payload.size() <= stream.may_send, "data beyond the peer's window");
        for (const char letter : payload)
            KWAAI_CHECK(letter == letter_at(stream.sent++), "other data than was written");
        KWAAI_CHECK(stream.sent <= stream.written, "more data than was written");
        stream.may_send -= payload.size();
    }

    YamuxRole role_;
    Limits limits_;
    std::uint32_t next_id_;
    std::uint32_t last_peer_id_ = 0;
    std::vector<StreamPtr> all_;  // that were ever on the wire, in the order of their SYNs
    std::string header_;
    std::uint32_t payload_left_ = 0;
    StreamPtr target_;
    bool is_fin_next_ = false;
    std::vector<StreamPtr> opened_;
    std::vector<StreamPtr> announced_;
    std::deque<StreamPtr> lingering_;
    std::vector<std::uint32_t> acks_wanted_;
    std::vector<std::uint32_t> resets_wanted_;
};

}  // namespace kwaai::p2p::yamux_model
