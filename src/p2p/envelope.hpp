// Statements signed by a peer, and the one about its own addresses (libp2p RFC 0002, 0003).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Envelope { public_key = 1, payload_type = 2, payload = 3, signature = 5 }, its signature
/// checked.
struct Envelope {
    crypto::PublicKey signer;
    codec::Buffer payload_type;
    codec::Buffer payload;
};

[[nodiscard]] codec::Buffer seal_envelope(const crypto::PrivateKey& key,
                                          std::string_view domain,
                                          Bytes payload_type,
                                          Bytes payload);

/// `Errc::malformed` where it does not parse or the signature is not over `domain`, its type and
/// payload.
[[nodiscard]] Result<Envelope> open_envelope(Bytes bytes, std::string_view domain);

/// Where a peer says it can be reached; a higher `sequence` replaces a lower one.
struct PeerRecord {
    PeerId peer;
    std::uint64_t sequence = 0;
    std::vector<Multiaddr>
        addresses;  // at most 64 are read; those that we cannot parse are left out
};

/// In the form of go-libp2p and js-libp2p (domain "libp2p-peer-record", type 03 01).
[[nodiscard]] codec::Buffer seal_peer_record(const crypto::PrivateKey& key,
                                             const PeerRecord& record);

/// That form, or the one of the RFC's text. `Errc::malformed` also where the signer is not the
/// record's own peer (RUSTSEC-2022-0009).
[[nodiscard]] Result<PeerRecord> open_peer_record(Bytes envelope);

}  // namespace kwaai::p2p
