// Noise_XX_25519_ChaChaPoly_SHA256 without a stream: the handshake, then one cipher a direction
// (The Noise Protocol Framework, revision 34, §5 and §7).
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "crypto/x25519.hpp"

namespace kwaai::p2p {

constexpr std::size_t kNoiseMessageBytesMax = 65535;
constexpr std::size_t kNoisePlainBytesMax = kNoiseMessageBytesMax - crypto::kTagBytes;

enum class NoiseRole : std::uint8_t { initiator, responder };

/// A key and the number of the next message. After an error it is not used again.
class NoiseCipher {
public:
    /// @param key 32 bytes
    explicit NoiseCipher(Bytes key, std::uint64_t nonce = 0) : cipher_(key), nonce_(nonce) {}

    /// As crypto::ChaChaPoly. `Errc::limit_exceeded` once all nonces but the reserved 2^64-1 have
    /// been used.
    [[nodiscard]] Result<> seal(Bytes associated, Bytes plain, MutableBytes sealed);
    /// `Errc::malformed` for a wrong tag, `limit_exceeded` as seal().
    [[nodiscard]] Result<> open(Bytes associated, Bytes sealed, MutableBytes plain);

private:
    crypto::ChaChaPoly cipher_;
    std::uint64_t nonce_;
};

struct NoiseKeys {
    crypto::X25519Pair local_static;
    crypto::X25519Pair ephemeral;  // of this handshake alone
};

struct NoiseCiphers {
    NoiseCipher sending;
    NoiseCipher receiving;
};

/// One side of the three messages: the initiator writes the first and the last. After an error it
/// is not used again.
class NoiseHandshake {
public:
    NoiseHandshake(NoiseRole role, NoiseKeys keys, Bytes prologue = Bytes());
    NoiseHandshake(const NoiseHandshake&) = delete;
    NoiseHandshake& operator=(const NoiseHandshake&) = delete;
    ~NoiseHandshake();

    /// The next message, without a length in front; it is our turn. The payload of the first one is
    /// neither secret nor authentic. `Errc::limit_exceeded` for a message of more than 65535 bytes.
    [[nodiscard]] Result<codec::Buffer> write_message(Bytes payload);

    /// The payload of the peer's next message; it is the peer's turn. `Errc::malformed` for a
    /// message that is too long, cut short, not authentic, or holds a key that gives no secret.
    [[nodiscard]] Result<codec::Buffer> read_message(Bytes message);

    [[nodiscard]] bool is_our_turn() const;

    [[nodiscard]] bool is_finished() const { return message_count_ == 3; }

    /// The peer's static key: known after the initiator's first read, the responder's second.
    [[nodiscard]] const crypto::X25519Public& remote_static() const;

    /// What both sides agree on byte for byte; for channel bindings. The handshake is finished.
    [[nodiscard]] const crypto::Digest& hash() const { return hash_; }

    /// The keys of the channel. The handshake is finished.
    [[nodiscard]] NoiseCiphers split() const;

private:
    enum class Token : std::uint8_t { e, s, ee, es, se };

    [[nodiscard]] std::span<const Token> tokens() const;
    Result<> write_token(Token token, codec::Buffer& out);
    Result<> read_token(Token token, ByteReader& reader);
    Result<> mix_shared(Token token);
    void mix_hash(Bytes bytes);
    void mix_key(Bytes secret);
    Result<> encrypt_and_hash(Bytes plain, codec::Buffer& out);
    Result<codec::Buffer> decrypt_and_hash(Bytes sealed);

    NoiseRole role_;
    NoiseKeys keys_;
    crypto::Digest hash_;
    crypto::Digest chaining_key_;
    std::optional<NoiseCipher> cipher_;  // from the first shared secret on
    std::optional<crypto::X25519Public> remote_ephemeral_;
    std::optional<crypto::X25519Public> remote_static_;
    int message_count_ = 0;
};

}  // namespace kwaai::p2p
