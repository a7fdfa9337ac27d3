// What is done about packets that belong to no connection.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "io/clock.hpp"
#include "io/udp.hpp"
#include "p2p/quic/quic_core.hpp"
#include "p2p/quic/quic_id.hpp"
#include "p2p/quic/quic_identity.hpp"

namespace kwaai::p2p {

/// The connection that a packet is for; nothing where it is no QUIC packet.
[[nodiscard]] std::optional<QuicId> quic_destination(Bytes packet);

struct QuicVerdict {
    enum class Kind : std::uint8_t {
        drop,
        hello,   // a client begins a connection
        retry,   // `answer` asks it to prove its address first
        answer,  // `answer` says that the version is not spoken, or that there is no connection
    };

    Kind kind = Kind::drop;
    QuicHello hello;
    std::vector<std::byte> answer;  // always shorter than the packet
};

/// Pure but for random bytes. Nothing is remembered of who sends.
/// @param needs_proof whether clients have to show by a token that they get what is sent to `from`
[[nodiscard]] QuicVerdict judge_quic_packet(const QuicIdentity& identity,
                                            const io::Endpoint& from,
                                            Bytes packet,
                                            bool needs_proof,
                                            io::TimePoint now);

}  // namespace kwaai::p2p
