#include "p2p/security/noise_state.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.hpp"
#include "crypto/secret.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kProtocolName = "Noise_XX_25519_ChaChaPoly_SHA256";
constexpr std::size_t kKeyBytes = 32;

// Two outputs are all that the handshake needs; wiped with the pair.
struct DerivedKeys {
    DerivedKeys() = default;
    DerivedKeys(const DerivedKeys&) = delete;
    DerivedKeys& operator=(const DerivedKeys&) = delete;

    ~DerivedKeys() {
        crypto::wipe(first);
        crypto::wipe(second);
    }

    crypto::Digest first{};
    crypto::Digest second{};
};

// HKDF of the Noise specification, §4.3.
void derive(Bytes chaining_key, Bytes secret, DerivedKeys& keys) {
    crypto::Digest extracted = crypto::hmac_sha256(chaining_key, secret);
    const std::array<std::byte, 1> one{std::byte{1}};
    keys.first = crypto::hmac_sha256(extracted, one);
    std::array<std::byte, kKeyBytes + 1> expanded{};
    std::ranges::copy(keys.first, expanded.begin());
    expanded.back() = std::byte{2};
    keys.second = crypto::hmac_sha256(extracted, expanded);
    crypto::wipe(extracted);
    crypto::wipe(expanded);
}

Result<> check_nonce(std::uint64_t nonce) {
    if (nonce != std::numeric_limits<std::uint64_t>::max()) return {};
    return fail(Errc::limit_exceeded, "the channel has carried all messages that its key can seal");
}

}  // namespace

Result<> NoiseCipher::seal(Bytes associated, Bytes plain, MutableBytes sealed) {
    KWAAI_CHECKED(check_nonce(nonce_));
    cipher_.seal(nonce_, associated, plain, sealed);
    ++nonce_;
    return {};
}

Result<> NoiseCipher::open(Bytes associated, Bytes sealed, MutableBytes plain) {
    KWAAI_CHECKED(check_nonce(nonce_));
    KWAAI_CHECKED(cipher_.open(nonce_, associated, sealed, plain));
    ++nonce_;
    return {};
}

NoiseHandshake::NoiseHandshake(NoiseRole role, NoiseKeys keys, Bytes prologue)
    : role_(role), keys_(std::move(keys)) {
    static_assert(kProtocolName.size() == sizeof(crypto::Digest), "else it would be hashed");
    std::memcpy(chaining_key_.data(), kProtocolName.data(), kProtocolName.size());
    hash_ = chaining_key_;
    mix_hash(prologue);
}

NoiseHandshake::~NoiseHandshake() {
    crypto::wipe(chaining_key_);
}

Result<codec::Buffer> NoiseHandshake::write_message(Bytes payload) {
    KWAAI_CHECK(is_our_turn(), "a handshake message out of turn");
    codec::Buffer message;
    for (const Token token : tokens())
        KWAAI_CHECKED(write_token(token, message));
    if (payload.size() > kNoisePlainBytesMax - message.size())
        return fail(Errc::limit_exceeded,
                    "a handshake payload of " + std::to_string(payload.size()) +
                        " bytes does not fit a message");
    KWAAI_CHECKED(encrypt_and_hash(payload, message));
    ++message_count_;
    return message;
}

Result<codec::Buffer> NoiseHandshake::read_message(Bytes message) {
    KWAAI_CHECK(!is_our_turn() && !is_finished(), "a handshake message out of turn");
    if (message.size() > kNoiseMessageBytesMax)
        return fail(Errc::malformed, "a handshake message of more than 65535 bytes");
    ByteReader reader(message);
    for (const Token token : tokens())
        KWAAI_CHECKED(read_token(token, reader));
    KWAAI_TRY(const Bytes sealed, reader.take(reader.remaining()));
    KWAAI_TRY(codec::Buffer payload, decrypt_and_hash(sealed));
    ++message_count_;
    return payload;
}

bool NoiseHandshake::is_our_turn() const {
    return !is_finished() && (message_count_ % 2 == 0) == (role_ == NoiseRole::initiator);
}

const crypto::X25519Public& NoiseHandshake::remote_static() const {
    KWAAI_CHECK(remote_static_.has_value(), "the peer's static key before it was read");
    return *remote_static_;
}

NoiseCiphers NoiseHandshake::split() const {
    KWAAI_CHECK(is_finished(), "channel keys before the end of the handshake");
    DerivedKeys keys;
    derive(chaining_key_, Bytes(), keys);
    if (role_ == NoiseRole::initiator)
        return NoiseCiphers{.sending = NoiseCipher(keys.first),
                            .receiving = NoiseCipher(keys.second)};
    return NoiseCiphers{.sending = NoiseCipher(keys.second), .receiving = NoiseCipher(keys.first)};
}

// The pattern XX: -> e; <- e, ee, s, es; -> s, se.
std::span<const NoiseHandshake::Token> NoiseHandshake::tokens() const {
    static constexpr std::array kFirst{Token::e};
    static constexpr std::array kSecond{Token::e, Token::ee, Token::s, Token::es};
    static constexpr std::array kThird{Token::s, Token::se};
    switch (message_count_) {
        case 0: return kFirst;
        case 1: return kSecond;
        default: return kThird;
    }
}

Result<> NoiseHandshake::write_token(Token token, codec::Buffer& out) {
    switch (token) {
        case Token::e:
            codec::append(out, keys_.ephemeral.public_key);
            mix_hash(keys_.ephemeral.public_key);
            return {};
        case Token::s: return encrypt_and_hash(keys_.local_static.public_key, out);
        case Token::ee:
        case Token::es:
        case Token::se: return mix_shared(token);
    }
    return {};
}

Result<> NoiseHandshake::read_token(Token token, ByteReader& reader) {
    switch (token) {
        case Token::e: {
            KWAAI_TRY(const Bytes key, reader.take(kKeyBytes));
            std::ranges::copy(key, remote_ephemeral_.emplace().begin());
            mix_hash(key);
            return {};
        }
        case Token::s: {
            KWAAI_TRY(const Bytes sealed, reader.take(kKeyBytes + crypto::kTagBytes));
            KWAAI_TRY(const codec::Buffer key, decrypt_and_hash(sealed));
            std::ranges::copy(key, remote_static_.emplace().begin());
            return {};
        }
        case Token::ee:
        case Token::es:
        case Token::se: return mix_shared(token);
    }
    return {};
}

// The first letter names the initiator's key, the second the responder's.
Result<> NoiseHandshake::mix_shared(Token token) {
    const bool is_initiator = role_ == NoiseRole::initiator;
    const bool is_ours_static = token == (is_initiator ? Token::se : Token::es);
    const bool is_theirs_static = token == (is_initiator ? Token::es : Token::se);
    const crypto::X25519Pair& ours = is_ours_static ? keys_.local_static : keys_.ephemeral;
    const std::optional<crypto::X25519Public>& theirs =
        is_theirs_static ? remote_static_ : remote_ephemeral_;
    KWAAI_CHECK(theirs.has_value(), "the pattern mixes a key before it was read");
    KWAAI_TRY(const crypto::SecretBytes secret, crypto::x25519(ours.secret, *theirs));
    mix_key(secret);
    return {};
}

void NoiseHandshake::mix_hash(Bytes bytes) {
    crypto::Sha256 hash;
    hash.update(hash_);
    hash.update(bytes);
    hash_ = hash.finish();
}

void NoiseHandshake::mix_key(Bytes secret) {
    DerivedKeys keys;
    derive(chaining_key_, secret, keys);
    chaining_key_ = keys.first;
    cipher_.emplace(keys.second);
}

Result<> NoiseHandshake::encrypt_and_hash(Bytes plain, codec::Buffer& out) {
    const std::size_t begin = out.size();
    codec::append(out, plain);
    if (cipher_) {
        out.resize(out.size() + crypto::kTagBytes);
        const MutableBytes sealed = MutableBytes(out).subspan(begin);
        KWAAI_CHECKED(cipher_->seal(hash_, sealed.first(plain.size()), sealed));
    }
    mix_hash(Bytes(out).subspan(begin));
    return {};
}

Result<codec::Buffer> NoiseHandshake::decrypt_and_hash(Bytes sealed) {
    codec::Buffer plain = codec::to_buffer(sealed);
    if (cipher_) {
        if (sealed.size() < crypto::kTagBytes)
            return fail(Errc::malformed, "a handshake message is cut short");
        plain.resize(sealed.size() - crypto::kTagBytes);
        KWAAI_CHECKED(cipher_->open(hash_, sealed, plain));
    }
    mix_hash(sealed);
    return plain;
}

}  // namespace kwaai::p2p
