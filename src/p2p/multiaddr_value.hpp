// The protocols that an address may name, and their values as bytes and as text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p::detail {

enum class ValueKind : std::uint8_t {
    none,
    ip4,
    ip6,
    port,           // of TCP or UDP, the big end first
    prefix_length,  // one byte
    number64,       // the big end first
    name,           // text without a slash
    path,           // text that takes the rest of the address
    percent,        // any bytes, as text percent-encoded
    peer,           // a multihash
    certhash,       // a multihash, as text in multibase
    onion3          // 35 bytes and a port
};

struct AddrProtocol {
    AddrCode code;
    std::string_view name;
    ValueKind kind;
};

/// Nothing for a protocol that is not in multiaddr.hpp's table.
[[nodiscard]] const AddrProtocol* find_protocol(std::uint64_t code);
/// Also by the alias "ipfs" of "p2p".
[[nodiscard]] const AddrProtocol* find_protocol(std::string_view name);

/// The bytes of a value of that kind; nothing where a length prefix says it.
[[nodiscard]] std::optional<std::size_t> fixed_size(ValueKind kind);

/// Whether the bytes are a value of that kind; `Errc::malformed` says why not.
[[nodiscard]] Result<> check_value(ValueKind kind, Bytes value);
/// The bytes of a value that people wrote, checked.
[[nodiscard]] Result<codec::Buffer> parse_value(ValueKind kind, std::string_view text);
/// The text of a checked value; for `path` with its leading slash.
[[nodiscard]] std::string value_text(ValueKind kind, Bytes value);

}  // namespace kwaai::p2p::detail
