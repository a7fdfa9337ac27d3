// The message of identify and identify push (libp2p specs, identify; libp2p.md §1.11).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

inline constexpr const char* kIdentifyProtocol = "/ipfs/id/1.0.0";
inline constexpr const char* kIdentifyPushProtocol = "/ipfs/id/push/1.0.0";

/// Identify { publicKey = 1, listenAddrs = 2, protocols = 3, observedAddr = 4, protocolVersion = 5,
/// agentVersion = 6, signedPeerRecord = 8 }. Absent fields mean "unchanged" in a push.
struct IdentifyMessage {
    codec::Buffer public_key;                 // protobuf PublicKey
    std::vector<Multiaddr> listen_addresses;  // without /p2p
    std::vector<std::string> protocols;
    std::optional<Multiaddr> observed;
    std::string protocol_version;
    std::string agent;
    codec::Buffer signed_record;  // an envelope
};

/// Fields in the order of their tags.
[[nodiscard]] codec::Buffer encode_identify(const IdentifyMessage& message);

/// `Errc::malformed`, `limit_exceeded` for more protocols than the limit. Addresses that cannot be
/// parsed are left out, as are those beyond the limit.
[[nodiscard]] Result<IdentifyMessage> decode_identify(Bytes bytes, const Limits& limits);

/// Takes over what `news` says: go-libp2p may spread one message over several.
void merge_identify(IdentifyMessage& known, IdentifyMessage news);

}  // namespace kwaai::p2p
