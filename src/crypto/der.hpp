// The little of ASN.1 DER that keys are made of, read strictly: one value has one encoding.
#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace kwaai::crypto::detail {

constexpr std::uint8_t kDerInteger = 0x02;
constexpr std::uint8_t kDerBitString = 0x03;
constexpr std::uint8_t kDerOctetString = 0x04;
constexpr std::uint8_t kDerNull = 0x05;
constexpr std::uint8_t kDerOid = 0x06;
constexpr std::uint8_t kDerSequence = 0x30;

/// Walks the elements of a DER value. Lengths are minimal and below 65536.
class DerReader {
public:
    explicit DerReader(Bytes bytes) : rest_(bytes) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    /// The content of the next element where it has that tag; nothing, and no step, otherwise.
    [[nodiscard]] std::optional<Bytes> element(std::uint8_t tag);
    /// The next element as a number that is not negative: its big-endian bytes, without leading
    /// zeros (no bytes for 0).
    [[nodiscard]] std::optional<Bytes> unsigned_integer();

private:
    Bytes rest_;
};

/// Appends an element; `content` is shorter than 65536 bytes.
void append_der(SecretBytes& out, std::uint8_t tag, Bytes content);

}  // namespace kwaai::crypto::detail
