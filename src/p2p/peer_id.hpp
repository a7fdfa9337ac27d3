// Who a peer is: the multihash of its public key.
#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"

namespace kwaai::p2p {

/// A libp2p peer id (libp2p specs, peer-ids.md): an identity multihash that holds the key itself
/// where that has at most 42 bytes (Ed25519, secp256k1), else a SHA-256 multihash. A value, of a
/// fixed size: copies allocate nothing.
class PeerId {
public:
    static constexpr std::size_t kBytesMax = 44;  // kind, length, 42 bytes

    static PeerId of(const crypto::PublicKey& key);
    /// `Errc::malformed` for anything but an identity multihash of at most 42 bytes that holds a
    /// key, or a SHA-256 multihash.
    static Result<PeerId> from_bytes(Bytes bytes);
    /// Base58 ("12D3KooW…", "Qm…") or a CIDv1 with codec libp2p-key in any multibase ("bafz…",
    /// "k51…").
    static Result<PeerId> parse(std::string_view text);

    [[nodiscard]] Bytes bytes() const { return Bytes(bytes_).first(size_); }

    /// Base58.
    [[nodiscard]] std::string to_text() const;
    /// The last six characters of the text, for lines that people read.
    [[nodiscard]] std::string short_text() const;

    /// The key that the id itself holds; nothing for a hashed one.
    [[nodiscard]] std::optional<crypto::PublicKey> embedded_key() const;

    /// Whether this is the id of `key`.
    [[nodiscard]] bool matches(const crypto::PublicKey& key) const { return of(key) == *this; }

    bool operator==(const PeerId&) const = default;
    auto operator<=>(const PeerId&) const = default;

private:
    explicit PeerId(Bytes bytes);

    std::array<std::byte, kBytesMax> bytes_{};  // zeros behind `size_`
    std::uint8_t size_ = 0;
};

/// Who was dialled and shows the key of another peer: `Errc::wrong_peer`, naming both.
[[nodiscard]] Error wrong_peer_error(const PeerId& shown, const PeerId& expected);

}  // namespace kwaai::p2p

template <>
struct std::hash<kwaai::p2p::PeerId> {
    std::size_t operator()(const kwaai::p2p::PeerId& id) const noexcept {
        return std::hash<std::string_view>()(kwaai::as_text(id.bytes()));
    }
};
