#include "p2p/peer_id.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "codec/multibase.hpp"
#include "codec/multihash.hpp"
#include "codec/varint.hpp"
#include "crypto/hash.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kEmbeddedKeyBytesMax = 42;
constexpr std::size_t kPeerIdTextMax = 128;  // base16 of the longest has 93
constexpr std::uint64_t kCidVersion = 1;
constexpr std::uint64_t kLibp2pKey = 0x72;  // multicodec

/// The multihash inside a CIDv1 of a libp2p key.
Result<Bytes> inside_cid(Bytes bytes) {
    for (const std::uint64_t wanted : {kCidVersion, kLibp2pKey}) {
        KWAAI_TRY(const auto number, codec::read_varint(bytes));
        if (!number || number->value != wanted)
            return fail(Errc::malformed,
                        "a peer id as CID has another version than 1 or another "
                        "codec than libp2p-key");
        bytes = bytes.subspan(number->size);
    }
    return bytes;
}

}  // namespace

PeerId::PeerId(Bytes bytes) : size_(static_cast<std::uint8_t>(bytes.size())) {
    KWAAI_CHECK(bytes.size() <= kBytesMax, "a peer id was checked when it was read");
    std::ranges::copy(bytes, bytes_.begin());
}

PeerId PeerId::of(const crypto::PublicKey& key) {
    const Bytes bytes = key.protobuf();
    const bool is_embedded = bytes.size() <= kEmbeddedKeyBytesMax;
    const codec::Buffer hash =
        is_embedded ? codec::make_multihash(codec::HashCode::identity, bytes)
                    : codec::make_multihash(codec::HashCode::sha2_256, crypto::sha256(bytes));
    return PeerId(Bytes(hash));
}

Result<PeerId> PeerId::from_bytes(Bytes bytes) {
    auto hash = codec::read_multihash(bytes);
    if (!hash) return fail(Errc::malformed, "a peer id: " + hash.error().context);
    if (hash->size != bytes.size())
        return fail(Errc::malformed, "a peer id has bytes behind its multihash");
    switch (hash->code) {
        case codec::HashCode::sha2_256: return PeerId(bytes);
        case codec::HashCode::identity: {
            if (hash->digest.size() > kEmbeddedKeyBytesMax)
                return fail(Errc::malformed, "a peer id that holds more than 42 bytes");
            const auto key = crypto::PublicKey::from_protobuf(hash->digest);
            if (!key) return fail(Errc::malformed, "a peer id's key: " + key.error().context);
            return PeerId(bytes);
        }
        case codec::HashCode::sha1:
        case codec::HashCode::sha2_512: break;
    }
    return fail(Errc::malformed, "a peer id is neither a SHA-256 multihash nor holds its key");
}

Result<PeerId> PeerId::parse(std::string_view text) {
    const auto failed = [&](const Error& error) -> Result<PeerId> {
        std::string context =
            "\"" + std::string(text.substr(0, kPeerIdTextMax)) + "\" is no peer id: ";
        return fail(Errc::malformed, std::move(context += error.context));
    };
    if (text.size() > kPeerIdTextMax) return failed({Errc::malformed, "it is too long"});
    const bool is_bare = text.starts_with('1') || text.starts_with("Qm");
    const auto bytes =
        is_bare ? codec::decode_base(codec::Base::base58, text) : codec::decode_multibase(text);
    if (!bytes) return failed(bytes.error());
    Bytes hash = *bytes;
    if (!is_bare) {
        const auto inside = inside_cid(hash);
        if (!inside) return failed(inside.error());
        hash = *inside;
    }
    auto peer = from_bytes(hash);
    if (!peer) return failed(peer.error());
    return peer;
}

std::string PeerId::to_text() const {
    return codec::encode_base(codec::Base::base58, bytes());
}

std::string PeerId::short_text() const {
    const std::string text = to_text();
    return text.substr(text.size() - std::min<std::size_t>(6, text.size()));
}

std::optional<crypto::PublicKey> PeerId::embedded_key() const {
    const auto hash = codec::read_multihash(bytes());
    KWAAI_CHECK(hash.has_value(), "a peer id is a multihash");
    if (hash->code != codec::HashCode::identity) return std::nullopt;
    auto key = crypto::PublicKey::from_protobuf(hash->digest);
    KWAAI_CHECK(key.has_value(), "an embedded key was checked when the id was read");
    return std::move(*key);
}

Error wrong_peer_error(const PeerId& shown, const PeerId& expected) {
    return {Errc::wrong_peer,
            "the peer shows the key of " + shown.to_text() + ", not that of " + expected.to_text()};
}

}  // namespace kwaai::p2p
