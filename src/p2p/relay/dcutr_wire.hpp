// The message of DCUtR, direct connection upgrade through relay (libp2p specs, relay/DCUtR;
// libp2p.md §1.16).
#pragma once
#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p::relay {

inline constexpr const char* kDcutrProtocol = "/libp2p/dcutr";

enum class HolePunchType : std::uint16_t { connect = 100, sync = 300 };

/// HolePunch { type = 1, ObsAddrs = 2 }.
struct HolePunchMessage {
    HolePunchType type = HolePunchType::connect;
    std::vector<Multiaddr> addresses;
};

/// The length and the message.
[[nodiscard]] codec::Buffer encode_hole_punch(const HolePunchMessage& message);

/// `Errc::malformed`, also for a message without a type or with one that is not known. The first
/// `addresses_max` addresses that can be parsed and lead over no relay are read.
[[nodiscard]] Result<HolePunchMessage> decode_hole_punch(Bytes bytes, std::size_t addresses_max);

}  // namespace kwaai::p2p::relay
