// What a QUIC connection knows of one stream. Only QuicCore changes it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "p2p/muxer/receive_buffer.hpp"
#include "p2p/quic/send_buffer.hpp"

namespace kwaai::p2p {

struct QuicStream {
    enum class Fin : std::uint8_t { none, wanted, sent };
    enum class End : std::uint8_t { none, reset_by_peer, out_of_memory, session_ended };

    QuicStream(std::int64_t number, bool is_of_peer, ChunkPool& incoming, ChunkPool& outgoing)
        : id(number), is_inbound(is_of_peer), received(incoming), sending(outgoing) {}

    std::int64_t id;
    bool is_inbound;
    End end = End::none;  // of the receiving side
    std::uint64_t reset_code = 0;

    ReceiveBuffer received;
    std::uint64_t unannounced = 0;  // read, and the peer not told that there is room again
    bool is_finished_by_peer = false;

    SendBuffer sending;
    std::span<const Bytes> parts;  // of the write under way; the first from `offset` on
    std::size_t offset = 0;
    std::size_t unsent = 0;  // of them, not in `sending` yet
    bool is_writing = false;
    bool is_cut = false;      // a write ended before all of it was taken
    bool is_refused = false;  // the peer wants no more of it, or we send no more
    Fin fin = Fin::none;

    bool is_released = false;  // nobody reads or writes any more
    bool is_over = false;      // for the library
    bool in_ready = false;
    bool in_changed = false;
};

}  // namespace kwaai::p2p
