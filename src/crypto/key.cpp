#include "crypto/key.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "crypto/key_kinds.hpp"

namespace kwaai::crypto {
namespace {

constexpr std::size_t kDataBytesMax = 8192;  // no key of ours has more

struct TypedData {
    KeyType type;
    Bytes data;
};

/// {Type = 1, Data = 2} in its only deterministic form: both fields, in this order, nothing else.
/// By hand, since a peer id hashes exactly these bytes.
Result<TypedData> parse_typed(Bytes bytes) {
    const auto malformed = [](const char* what) {
        return fail(Errc::malformed, std::string("a serialized key ") + what);
    };
    const auto at = [&](std::size_t i) {
        return std::to_integer<std::size_t>(bytes[i]);
    };
    if (bytes.size() < 4) return malformed("is cut short");
    if (at(0) != 0x08 || at(2) != 0x12)
        return malformed("does not have the fields Type and Data in this order");
    if (at(1) > static_cast<std::size_t>(KeyType::ecdsa))
        return fail(Errc::unsupported, "a key of the unknown type " + std::to_string(at(1)));
    const auto type = static_cast<KeyType>(at(1));

    std::size_t length = at(3);
    std::size_t header = 4;
    if (length >= 0x80) {
        if (bytes.size() < 5) return malformed("is cut short");
        if (at(4) == 0 || at(4) >= 0x80)
            return malformed("has a length that is no length of a key");
        length = (length & 0x7f) | at(4) << 7;
        header = 5;
    }
    if (bytes.size() - header != length)
        return malformed("has a length that is not that of its data");
    return TypedData{type, bytes.subspan(header)};
}

template <class Container>
Container make_typed(KeyType type, Bytes data) {
    KWAAI_CHECK(data.size() <= kDataBytesMax, "a key's data is small");
    Container bytes;
    bytes.reserve(data.size() + 5);
    bytes.push_back(std::byte{0x08});
    bytes.push_back(static_cast<std::byte>(type));
    bytes.push_back(std::byte{0x12});
    if (data.size() < 0x80) {
        bytes.push_back(static_cast<std::byte>(data.size()));
    } else {
        bytes.push_back(static_cast<std::byte>((data.size() & 0x7f) | 0x80));
        bytes.push_back(static_cast<std::byte>(data.size() >> 7));
    }
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

Result<detail::Pkey> read_public(KeyType type, Bytes data) {
    switch (type) {
        case KeyType::rsa: return detail::read_rsa_public(data);
        case KeyType::ed25519: return detail::read_ed25519_public(data);
        case KeyType::secp256k1: return detail::read_secp256k1_public(data);
        case KeyType::ecdsa: return detail::read_p256_public(data);
    }
    return fail(Errc::unsupported, "a key of an unknown type");
}

Result<detail::PrivateParts> read_private(KeyType type, Bytes data) {
    switch (type) {
        case KeyType::rsa: return detail::read_rsa_private(data);
        case KeyType::ed25519: return detail::read_ed25519_private(data);
        case KeyType::secp256k1: return detail::read_secp256k1_private(data);
        case KeyType::ecdsa: return detail::read_p256_private(data);
    }
    return fail(Errc::unsupported, "a key of an unknown type");
}

Result<SecretBytes> generate_data(KeyType type, unsigned rsa_bits) {
    switch (type) {
        case KeyType::rsa: return detail::generate_rsa(rsa_bits);
        case KeyType::ed25519: return detail::generate_ed25519();
        case KeyType::secp256k1: return detail::generate_secp256k1();
        case KeyType::ecdsa: return detail::generate_p256();
    }
    return fail(Errc::invalid_argument, "a key of an unknown type was asked for");
}

/// Ed25519 hashes by itself.
const char* digest_name(KeyType type) {
    return type == KeyType::ed25519 ? nullptr : "SHA256";
}

}  // namespace

detail::Pkey detail::pkey_from_params(const char* type, int selection, OSSL_PARAM* params) {
    const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* pkey = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &pkey, selection, params) != 1)
        return nullptr;
    return Pkey(pkey);
}

std::vector<std::byte> detail::sign_with(KeyType type, EVP_PKEY* pkey, Bytes message) {
    const MdContext context(EVP_MD_CTX_new());
    std::vector<std::byte> signature(static_cast<std::size_t>(EVP_PKEY_get_size(pkey)));
    std::size_t size = signature.size();
    if (!context ||
        EVP_DigestSignInit_ex(
            context.get(), nullptr, digest_name(type), nullptr, nullptr, pkey, nullptr) != 1 ||
        EVP_DigestSign(context.get(), out(signature), &size, in(message), message.size()) != 1)
        return {};
    signature.resize(size);
    if (type == KeyType::secp256k1 || type == KeyType::ecdsa)
        return with_low_s(type, std::move(signature));
    return signature;
}

bool detail::verify_with(KeyType type, EVP_PKEY* pkey, Bytes message, Bytes signature) {
    const MdContext context(EVP_MD_CTX_new());
    return context &&
           EVP_DigestVerifyInit_ex(
               context.get(), nullptr, digest_name(type), nullptr, nullptr, pkey, nullptr) == 1 &&
           EVP_DigestVerify(
               context.get(), in(signature), signature.size(), in(message), message.size()) == 1;
}

struct PublicKey::State {
    KeyType type;
    detail::Pkey pkey;
    std::vector<std::byte> protobuf;
    std::size_t data_offset;
};

PublicKey::PublicKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<PublicKey> PublicKey::from_data(KeyType type, Bytes data) {
    const detail::ErrorQueueGuard guard;
    KWAAI_TRY(detail::Pkey pkey, read_public(type, data));
    auto protobuf = make_typed<std::vector<std::byte>>(type, data);
    const std::size_t offset = protobuf.size() - data.size();
    return PublicKey(
        std::make_shared<const State>(type, std::move(pkey), std::move(protobuf), offset));
}

Result<PublicKey> PublicKey::from_protobuf(Bytes bytes) {
    KWAAI_TRY(const TypedData typed, parse_typed(bytes));
    return from_data(typed.type, typed.data);
}

KeyType PublicKey::type() const {
    return state_->type;
}

Bytes PublicKey::data() const {
    return Bytes(state_->protobuf).subspan(state_->data_offset);
}

Bytes PublicKey::protobuf() const {
    return state_->protobuf;
}

bool PublicKey::verify(Bytes message, Bytes signature) const {
    const detail::ErrorQueueGuard guard;
    return detail::verify_with(state_->type, state_->pkey.get(), message, signature);
}

bool PublicKey::operator==(const PublicKey& other) const {
    return state_ == other.state_ || state_->protobuf == other.state_->protobuf;
}

struct PrivateKey::State {
    PublicKey public_key;
    detail::Pkey pkey;
    SecretBytes data;
};

PrivateKey::PrivateKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<PrivateKey> PrivateKey::generate(KeyType type, unsigned rsa_bits) {
    KWAAI_TRY(const SecretBytes data, generate_data(type, rsa_bits));
    return from_data(type, data);
}

Result<PrivateKey> PrivateKey::from_data(KeyType type, Bytes data) {
    const detail::ErrorQueueGuard guard;
    KWAAI_TRY(detail::PrivateParts parts, read_private(type, data));
    KWAAI_TRY(PublicKey public_key, PublicKey::from_data(type, parts.public_data));
    return PrivateKey(std::make_shared<const State>(
        std::move(public_key), std::move(parts.pkey), std::move(parts.data)));
}

Result<PrivateKey> PrivateKey::from_protobuf(Bytes bytes) {
    KWAAI_TRY(const TypedData typed, parse_typed(bytes));
    return from_data(typed.type, typed.data);
}

PrivateKey PrivateKey::ed25519_from_seed(std::span<const std::byte, 32> seed) {
    Result<PrivateKey> key = from_data(KeyType::ed25519, detail::ed25519_data(seed));
    KWAAI_CHECK(key.has_value(), "every seed is a key");
    return std::move(*key);
}

const PublicKey& PrivateKey::public_key() const {
    return state_->public_key;
}

SecretBytes PrivateKey::protobuf() const {
    return make_typed<SecretBytes>(state_->public_key.type(), state_->data);
}

std::vector<std::byte> PrivateKey::sign(Bytes message) const {
    const detail::ErrorQueueGuard guard;
    std::vector<std::byte> signature =
        detail::sign_with(state_->public_key.type(), state_->pkey.get(), message);
    KWAAI_CHECK(!signature.empty(), "a key that was read signs");
    return signature;
}

}  // namespace kwaai::crypto
