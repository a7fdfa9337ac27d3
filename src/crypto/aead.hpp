// ChaCha20-Poly1305 (RFC 8439) with Noise's nonces.
#pragma once
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kwaai::crypto {

constexpr std::size_t kTagBytes = 16;

/// One direction of a channel: the key is set once, the nonce of message n is 4 zero bytes and n as
/// 64 bits, little end first. No allocation per message.
class ChaChaPoly {
public:
    /// @param key 32 bytes
    explicit ChaChaPoly(Bytes key);
    ChaChaPoly(ChaChaPoly&&) noexcept;
    ChaChaPoly& operator=(ChaChaPoly&&) noexcept;
    ~ChaChaPoly();

    /// Encrypts `plain` into `sealed` [plain.size() + 16]; they may be the same memory.
    void seal(std::uint64_t nonce, Bytes associated, Bytes plain, MutableBytes sealed);

    /// Decrypts `sealed` into `plain` [sealed.size() - 16]; they may be the same memory.
    /// `Errc::malformed` where it is shorter than a tag or the tag is wrong.
    [[nodiscard]] Result<> open(std::uint64_t nonce,
                                Bytes associated,
                                Bytes sealed,
                                MutableBytes plain);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::crypto
