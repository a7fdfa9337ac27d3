// What a node says it can do for others, signed by itself.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

inline constexpr std::size_t kCapabilityRecordBytesMax = 8 << 10;  // sealed
inline constexpr std::size_t kCapabilitiesMax = 64;                // also addresses
inline constexpr std::size_t kCapabilityBytesMax = 128;            // of one name
inline constexpr std::size_t kModelOffersMax = 16;

/// Blocks [begin, end) of a model.
struct ModelOffer {
    std::string name;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::string rows;  // what travels: "f32", "f16" or "bf16"

    bool operator==(const ModelOffer&) const = default;
};

/// Capability { sequence = 1, expires = 2, address = 3, name = 4, model = 5 { name = 1, begin = 2,
/// end = 3, rows = 4 }, memory_bytes = 6, rows_per_second = 7 }: docs/protocols/discovery.md.
struct Capability {
    std::uint64_t sequence = 0;        // a later record of the same peer has a higher one
    std::uint64_t expires = 0;         // seconds since 1970
    std::vector<Multiaddr> addresses;  // without /p2p
    std::vector<std::string> names;    // "inference:SmolLM2-135M-Instruct"
    std::vector<ModelOffer> models;
    std::uint64_t memory_bytes = 0;  // free for texts under way
    double rows_per_second = 0;      // measured; 0: not known

    [[nodiscard]] bool offers(std::string_view name) const;
};

/// What `peer` says of itself, its signature checked.
struct CapabilityRecord {
    PeerId peer;
    Capability capability;
};

/// An envelope with the signature of `key`. `Errc::limit_exceeded`, `malformed` for what a reader
/// would not take.
[[nodiscard]] Result<codec::Buffer> seal_capability(const crypto::PrivateKey& key,
                                                    const Capability& capability);

/// The signer's record. `Errc::malformed` where the signature is wrong or numbers make no sense,
/// `limit_exceeded` past a limit above. The caller looks at `expires`. Addresses that cannot be
/// parsed are left out.
[[nodiscard]] Result<CapabilityRecord> open_capability(Bytes envelope);

}  // namespace kwaai::p2p
