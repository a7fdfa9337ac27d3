// What a yamux session knows of one stream. Only YamuxState changes it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "io/clock.hpp"
#include "p2p/muxer/receive_buffer.hpp"

namespace kwaai::p2p {

struct YamuxStream {
    enum class Fin : std::uint8_t { none, wanted, sent };
    enum class End : std::uint8_t { none, reset_by_peer, out_of_memory, session_ended };

    explicit YamuxStream(ChunkPool& pool) : received(pool) {}

    /// 0 until the SYN leaves: ids must rise on the wire, whatever the order of the first writes.
    std::uint32_t id = 0;
    bool is_inbound = false;
    bool is_acknowledged = false;  // by whom did not open it
    bool is_lingering = false;     // closed by us; what still comes is dropped
    End end = End::none;
    std::uint32_t reset_code = 0;  // given by the peer

    // Receiving: window = receivable + received.size() + what was read and not granted again
    std::uint32_t window = 0;
    std::uint32_t receivable = 0;  // the peer may still send this much
    io::TimePoint granted_at;
    ReceiveBuffer received;
    bool is_finished_by_peer = false;

    // Sending
    std::uint32_t sendable = 0;    // the window that the peer grants
    std::span<const Bytes> parts;  // of the write under way; the first from `offset` on
    std::size_t offset = 0;
    std::size_t unsent = 0;
    bool is_writing = false;
    bool is_cut = false;  // a write ended before all of it was sent
    Fin fin = Fin::none;

    // Waiting to be sent
    bool is_syn_wanted = false;
    bool is_ack_wanted = false;
    bool is_update_wanted = false;

    // In which lists of the state it is
    bool in_control = false;
    bool in_changed = false;
    bool in_turns = false;
    YamuxStream* turn_before = nullptr;
    YamuxStream* turn_behind = nullptr;
};

/// Streams that take turns, first come first served. Their own fields are all that it needs: a turn
/// allocates nothing.
class YamuxTurns {
public:
    [[nodiscard]] bool empty() const { return first_ == nullptr; }

    /// To the end, where it is not there already.
    void join(YamuxStream& stream) {
        if (stream.in_turns) return;
        stream.in_turns = true;
        stream.turn_before = last_;
        stream.turn_behind = nullptr;
        (last_ != nullptr ? last_->turn_behind : first_) = &stream;
        last_ = &stream;
    }

    /// Where it is there.
    void leave(YamuxStream& stream) {
        if (!stream.in_turns) return;
        stream.in_turns = false;
        (stream.turn_before != nullptr ? stream.turn_before->turn_behind : first_) =
            stream.turn_behind;
        (stream.turn_behind != nullptr ? stream.turn_behind->turn_before : last_) =
            stream.turn_before;
    }

    /// The first, which leaves. Not empty.
    [[nodiscard]] YamuxStream& next() {
        YamuxStream& stream = *first_;
        leave(stream);
        return stream;
    }

    void clear() {
        while (first_ != nullptr)
            leave(*first_);
    }

private:
    YamuxStream* first_ = nullptr;
    YamuxStream* last_ = nullptr;
};

}  // namespace kwaai::p2p
