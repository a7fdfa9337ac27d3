#include "p2p/multiaddr_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/check.hpp"
#include "codec/multibase.hpp"
#include "codec/multihash.hpp"
#include "p2p/ip_text.hpp"

namespace kwaai::p2p::detail {
namespace {

constexpr std::array<AddrProtocol, 29> kProtocols = {{
    {AddrCode::ip4, "ip4", ValueKind::ip4},
    {AddrCode::tcp, "tcp", ValueKind::port},
    {AddrCode::ip6, "ip6", ValueKind::ip6},
    {AddrCode::ip6zone, "ip6zone", ValueKind::name},
    {AddrCode::ipcidr, "ipcidr", ValueKind::prefix_length},
    {AddrCode::dns, "dns", ValueKind::name},
    {AddrCode::dns4, "dns4", ValueKind::name},
    {AddrCode::dns6, "dns6", ValueKind::name},
    {AddrCode::dnsaddr, "dnsaddr", ValueKind::name},
    {AddrCode::udp, "udp", ValueKind::port},
    {AddrCode::webrtc_direct, "webrtc-direct", ValueKind::none},
    {AddrCode::webrtc, "webrtc", ValueKind::none},
    {AddrCode::p2p_circuit, "p2p-circuit", ValueKind::none},
    {AddrCode::unix_path, "unix", ValueKind::path},
    {AddrCode::p2p, "p2p", ValueKind::peer},
    {AddrCode::https, "https", ValueKind::none},
    {AddrCode::onion3, "onion3", ValueKind::onion3},
    {AddrCode::tls, "tls", ValueKind::none},
    {AddrCode::sni, "sni", ValueKind::name},
    {AddrCode::noise, "noise", ValueKind::none},
    {AddrCode::quic, "quic", ValueKind::none},
    {AddrCode::quic_v1, "quic-v1", ValueKind::none},
    {AddrCode::webtransport, "webtransport", ValueKind::none},
    {AddrCode::certhash, "certhash", ValueKind::certhash},
    {AddrCode::ws, "ws", ValueKind::none},
    {AddrCode::wss, "wss", ValueKind::none},
    {AddrCode::http, "http", ValueKind::none},
    {AddrCode::http_path, "http-path", ValueKind::percent},
    {AddrCode::memory, "memory", ValueKind::number64},
}};

constexpr std::size_t kOnionBytes = 35;
constexpr std::size_t kShownMax = 64;  // of a wrong value, in messages

std::unexpected<Error> malformed(std::string_view text, std::string_view problem) {
    std::string message = "\"";
    message.append(text.substr(0, kShownMax)).append("\" ").append(problem);
    return fail(Errc::malformed, std::move(message));
}

template <class T>
Result<codec::Buffer> parse_number(std::string_view text) {
    T value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || text.empty() || stop != text.data() + text.size())
        return malformed(text,
                         "is no number from 0 to " + std::to_string(std::numeric_limits<T>::max()));
    codec::Buffer bytes;
    for (std::size_t i = sizeof(T); i-- > 0;)
        bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
    return bytes;
}

std::uint64_t number_of(Bytes big_endian) {
    std::uint64_t value = 0;
    for (const std::byte byte : big_endian)
        value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return value;
}

/// Names and paths come from strangers and go to logs and resolvers: no control characters.
bool has_control_characters(std::string_view text) {
    return std::ranges::any_of(text, [](char c) {
        const auto code = static_cast<unsigned char>(c);
        return code <= 0x20 || code == 0x7f;
    });
}

Result<> check_name(std::string_view name) {
    if (name.empty()) return fail(Errc::malformed, "its name is empty");
    if (name.find('/') != std::string_view::npos || has_control_characters(name))
        return fail(Errc::malformed, "its name has a slash or a control character");
    return {};
}

/// With a slash in front and none behind: the only form that reads back from text.
Result<> check_path(std::string_view path) {
    if (path.size() < 2 || !path.starts_with('/') || path.ends_with('/') ||
        has_control_characters(path))
        return fail(Errc::malformed, "its path is no absolute path of a file");
    return {};
}

Result<> check_multihash(Bytes value) {
    KWAAI_TRY(const codec::Multihash hash, codec::read_multihash(value));
    if (hash.size != value.size())
        return fail(Errc::malformed, "it has bytes behind its multihash");
    return {};
}

Result<codec::Buffer> parse_onion3(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return malformed(text, "has no port");
    KWAAI_TRY(codec::Buffer bytes, codec::decode_base(codec::Base::base32, text.substr(0, colon)));
    if (bytes.size() != kOnionBytes) return malformed(text, "is no onion address of version 3");
    KWAAI_TRY(const codec::Buffer port, parse_number<std::uint16_t>(text.substr(colon + 1)));
    codec::append(bytes, port);
    return bytes;
}

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

Result<codec::Buffer> parse_percent(std::string_view text) {
    codec::Buffer bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            bytes.push_back(static_cast<std::byte>(text[i]));
            continue;
        }
        if (text.size() - i < 3) return malformed(text, "ends inside a percent sign's digits");
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low) return malformed(text, "has a percent sign without two hex digits");
        bytes.push_back(static_cast<std::byte>(*high << 4 | *low));
        i += 2;
    }
    return bytes;
}

/// Leaves the characters that Go's url.PathEscape leaves in a segment.
std::string percent_text(Bytes value) {
    constexpr std::string_view kPlain = "-_.~$&+=:@";
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string text;
    for (const char c : as_text(value)) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (is_letter || (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos) {
            text.push_back(c);
            continue;
        }
        const auto code = static_cast<unsigned char>(c);
        text.push_back('%');
        text.push_back(kHex[code >> 4]);
        text.push_back(kHex[code & 15]);
    }
    return text;
}

Result<codec::Buffer> parse_unchecked(ValueKind kind, std::string_view text) {
    switch (kind) {
        case ValueKind::none: return codec::Buffer();
        case ValueKind::ip4: {
            const auto ip = parse_ip4(text);
            if (!ip) return malformed(text, "is no IPv4 address");
            return codec::to_buffer(*ip);
        }
        case ValueKind::ip6: {
            const auto ip = parse_ip6(text);
            if (!ip) return malformed(text, "is no IPv6 address");
            return codec::to_buffer(*ip);
        }
        case ValueKind::port: return parse_number<std::uint16_t>(text);
        case ValueKind::prefix_length: return parse_number<std::uint8_t>(text);
        case ValueKind::number64: return parse_number<std::uint64_t>(text);
        case ValueKind::name:
        case ValueKind::path: return codec::to_buffer(as_bytes(text));
        case ValueKind::percent: return parse_percent(text);
        case ValueKind::peer: {
            KWAAI_TRY(const PeerId peer, PeerId::parse(text));
            return codec::to_buffer(peer.bytes());
        }
        case ValueKind::certhash: return codec::decode_multibase(text);
        case ValueKind::onion3: return parse_onion3(text);
    }
    return fail(Errc::invalid_argument, "a kind of value that is none of ours");
}

}  // namespace

const AddrProtocol* find_protocol(std::uint64_t code) {
    const auto found = std::ranges::find_if(kProtocols, [&](const AddrProtocol& protocol) {
        return static_cast<std::uint64_t>(protocol.code) == code;
    });
    return found == kProtocols.end() ? nullptr : &*found;
}

const AddrProtocol* find_protocol(std::string_view name) {
    if (name == "ipfs") name = "p2p";
    const auto found = std::ranges::find(kProtocols, name, &AddrProtocol::name);
    return found == kProtocols.end() ? nullptr : &*found;
}

std::optional<std::size_t> fixed_size(ValueKind kind) {
    switch (kind) {
        case ValueKind::none: return 0;
        case ValueKind::ip4: return 4;
        case ValueKind::ip6: return 16;
        case ValueKind::port: return 2;
        case ValueKind::prefix_length: return 1;
        case ValueKind::number64: return 8;
        case ValueKind::onion3: return kOnionBytes + 2;
        case ValueKind::name:
        case ValueKind::path:
        case ValueKind::percent:
        case ValueKind::peer:
        case ValueKind::certhash: return std::nullopt;
    }
    return std::nullopt;
}

Result<> check_value(ValueKind kind, Bytes value) {
    if (const auto size = fixed_size(kind); size && *size != value.size())
        return fail(Errc::malformed,
                    "its value has " + std::to_string(value.size()) + " bytes instead of " +
                        std::to_string(*size));
    switch (kind) {
        case ValueKind::none:
        case ValueKind::ip4:
        case ValueKind::ip6:
        case ValueKind::port:
        case ValueKind::prefix_length:
        case ValueKind::number64: return {};
        case ValueKind::name: return check_name(as_text(value));
        case ValueKind::path: return check_path(as_text(value));
        case ValueKind::percent:
            if (value.empty()) return fail(Errc::malformed, "its path is empty");
            return {};
        case ValueKind::peer: KWAAI_CHECKED(PeerId::from_bytes(value)); return {};
        case ValueKind::certhash: return check_multihash(value);
        case ValueKind::onion3:
            if (number_of(value.last(2)) == 0) return fail(Errc::malformed, "its port is 0");
            return {};
    }
    return {};
}

Result<codec::Buffer> parse_value(ValueKind kind, std::string_view text) {
    KWAAI_TRY(codec::Buffer value, parse_unchecked(kind, text));
    KWAAI_CHECKED(check_value(kind, value));
    return value;
}

std::string value_text(ValueKind kind, Bytes value) {
    switch (kind) {
        case ValueKind::none: return {};
        case ValueKind::ip4: return ip4_text(value);
        case ValueKind::ip6: return ip6_text(value);
        case ValueKind::port:
        case ValueKind::prefix_length:
        case ValueKind::number64: return std::to_string(number_of(value));
        case ValueKind::name:
        case ValueKind::path: return std::string(as_text(value));
        case ValueKind::percent: return percent_text(value);
        case ValueKind::peer: return codec::encode_base(codec::Base::base58, value);
        case ValueKind::certhash: return codec::encode_multibase(codec::Base::base64url, value);
        case ValueKind::onion3:
            return codec::encode_base(codec::Base::base32, value.first(kOnionBytes)) + ":" +
                   std::to_string(number_of(value.last(2)));
    }
    return {};
}

}  // namespace kwaai::p2p::detail
