#include "p2p/multiaddr.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "codec/varint.hpp"
#include "p2p/ip_text.hpp"
#include "p2p/multiaddr_value.hpp"

namespace kwaai::p2p {
namespace {

using detail::AddrProtocol;
using detail::ValueKind;

constexpr std::size_t kBytesMax = 1024;
constexpr std::size_t kMultiaddrTextMax = 4096;
constexpr std::size_t kPartsMax = 32;
constexpr std::size_t kShownMax = 32;  // of a protocol's name, in messages

struct ReadPart {
    const AddrProtocol* protocol = nullptr;
    Bytes value;
    std::size_t size = 0;  // with code and length
};

Result<std::uint64_t> take_varint(Bytes& rest) {
    KWAAI_TRY(const auto number, codec::read_varint(rest));
    if (!number) return fail(Errc::malformed, "an address is cut short");
    rest = rest.subspan(number->size);
    return number->value;
}

/// The part at the front of `bytes`, its value not yet checked.
Result<ReadPart> read_part(Bytes bytes) {
    Bytes rest = bytes;
    KWAAI_TRY(const std::uint64_t code, take_varint(rest));
    const AddrProtocol* const protocol = detail::find_protocol(code);
    if (protocol == nullptr)
        return fail(Errc::unsupported,
                    "an address with the unknown protocol " + std::to_string(code));
    std::uint64_t size = 0;
    if (const auto fixed = detail::fixed_size(protocol->kind)) {
        size = *fixed;
    } else {
        KWAAI_TRY(size, take_varint(rest));
    }
    if (size > rest.size()) return fail(Errc::malformed, "an address is cut short");
    const Bytes value = rest.first(static_cast<std::size_t>(size));
    return ReadPart{protocol, value, bytes.size() - rest.size() + value.size()};
}

// The first part of an address that was checked when it was made.
AddrPart take_checked(Bytes& rest) {
    const Result<ReadPart> part = read_part(rest);
    KWAAI_CHECK(part.has_value(), "an address was checked when it was made");
    rest = rest.subspan(part->size);
    return {part->protocol->code, part->value};
}

void append_part(std::string& bytes, const AddrProtocol& protocol, Bytes value) {
    codec::Buffer part;
    codec::append_varint(part, static_cast<std::uint64_t>(protocol.code));
    if (!detail::fixed_size(protocol.kind)) codec::append_varint(part, value.size());
    codec::append(part, value);
    bytes += as_text(part);
}

Error in_part(Error error, const AddrProtocol& protocol) {
    return std::move(error).with("address part /" + std::string(protocol.name));
}

/// The text between the front and the next slash, and takes it off with that slash.
std::string_view take_segment(std::string_view& text) {
    const std::size_t slash = text.find('/');
    const std::string_view segment = text.substr(0, slash);
    text.remove_prefix(slash == std::string_view::npos ? text.size() : slash + 1);
    return segment;
}

/// The next protocol of `text` with its value; both are taken off.
Result<> parse_part(std::string& bytes, std::string_view& text) {
    const std::string_view name = take_segment(text);
    const AddrProtocol* const protocol = detail::find_protocol(name);
    if (protocol == nullptr) {
        const std::string shown(name.substr(0, kShownMax));
        return fail(Errc::unsupported, "an address with the unknown protocol \"" + shown + "\"");
    }
    std::string path;
    std::string_view value_text;
    if (protocol->kind == ValueKind::path) {
        path.append("/").append(std::exchange(text, {}));
        value_text = path;
    } else if (protocol->kind != ValueKind::none) {
        value_text = take_segment(text);
    }
    auto value = detail::parse_value(protocol->kind, value_text);
    if (!value) return std::unexpected(in_part(std::move(value).error(), *protocol));
    append_part(bytes, *protocol, *value);
    return {};
}

std::uint16_t port_of(Bytes value) {
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(value[0]) << 8 |
                                      std::to_integer<unsigned>(value[1]));
}

/// The first part where that is an IP address; an IPv4-mapped one as IPv4.
Bytes first_ip(const std::vector<AddrPart>& parts) {
    if (parts.empty()) return {};
    if (parts[0].code == AddrCode::ip4) return parts[0].value;
    if (parts[0].code != AddrCode::ip6) return {};
    return is_ip4_mapped(parts[0].value) ? parts[0].value.last(4) : parts[0].value;
}

}  // namespace

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
    if (text.size() > kMultiaddrTextMax)
        return fail(Errc::limit_exceeded,
                    "an address of " + std::to_string(text.size()) + " characters");
    if (!text.starts_with('/')) return fail(Errc::malformed, "an address begins with a slash");
    text.remove_prefix(1);
    while (text.ends_with('/'))
        text.remove_suffix(1);
    if (text.empty()) return fail(Errc::malformed, "an address is empty");
    std::string bytes;
    std::size_t count = 0;
    while (!text.empty()) {
        KWAAI_CHECKED(parse_part(bytes, text));
        if (++count > kPartsMax || bytes.size() > kBytesMax)
            return fail(Errc::limit_exceeded, "an address of more than 32 parts or 1024 bytes");
    }
    return Multiaddr(std::move(bytes));
}

Result<Multiaddr> Multiaddr::from_bytes(Bytes bytes) {
    if (bytes.empty()) return fail(Errc::malformed, "an address is empty");
    if (bytes.size() > kBytesMax)
        return fail(Errc::limit_exceeded,
                    "an address of " + std::to_string(bytes.size()) + " bytes");
    std::size_t count = 0;
    for (Bytes rest = bytes; !rest.empty();) {
        KWAAI_TRY(const ReadPart part, read_part(rest));
        if (++count > kPartsMax)
            return fail(Errc::limit_exceeded, "an address of more than 32 parts");
        auto checked = detail::check_value(part.protocol->kind, part.value);
        if (!checked) return std::unexpected(in_part(std::move(checked).error(), *part.protocol));
        rest = rest.subspan(part.size);
        if (part.protocol->kind == ValueKind::path && !rest.empty())
            return fail(Errc::malformed, "an address has parts behind its path");
    }
    return Multiaddr(std::string(as_text(bytes)));
}

Result<Multiaddr> Multiaddr::of(const io::Address& address,
                                Transport transport,
                                std::string_view server_name) {
    std::string bytes;
    if (const auto ip4 = parse_ip4(address.host)) {
        append_part(bytes, *detail::find_protocol("ip4"), *ip4);
    } else if (const auto ip6 = parse_ip6(address.host)) {
        append_part(bytes, *detail::find_protocol("ip6"), *ip6);
    } else {
        return fail(Errc::invalid_argument, "\"" + address.host + "\" is no IP address");
    }
    const std::array<std::byte, 2> port = {static_cast<std::byte>(address.port >> 8),
                                           static_cast<std::byte>(address.port & 0xff)};
    const bool is_quic = transport == Transport::quic;
    append_part(bytes, *detail::find_protocol(is_quic ? "udp" : "tcp"), port);
    switch (transport) {
        case Transport::tcp: break;
        case Transport::quic: append_part(bytes, *detail::find_protocol("quic-v1"), {}); break;
        case Transport::secure_websocket:
            append_part(bytes, *detail::find_protocol("tls"), {});
            if (!server_name.empty())
                append_part(bytes, *detail::find_protocol("sni"), as_bytes(server_name));
            [[fallthrough]];
        case Transport::websocket: append_part(bytes, *detail::find_protocol("ws"), {}); break;
    }
    return Multiaddr(std::move(bytes));
}

std::string Multiaddr::to_text() const {
    std::string text;
    for (const AddrPart& part : parts()) {
        const AddrProtocol& protocol =
            *detail::find_protocol(static_cast<std::uint64_t>(part.code));
        text.append("/").append(protocol.name);
        if (protocol.kind == ValueKind::none) continue;
        if (protocol.kind != ValueKind::path) text.append("/");
        text.append(detail::value_text(protocol.kind, part.value));
    }
    return text;
}

std::vector<AddrPart> Multiaddr::parts() const {
    std::vector<AddrPart> parts;
    for (Bytes rest = bytes(); !rest.empty();)
        parts.push_back(take_checked(rest));
    return parts;
}

std::optional<AddrPart> Multiaddr::part(std::size_t index) const {
    Bytes rest = bytes();
    for (std::size_t i = 0; !rest.empty(); ++i) {
        const AddrPart part = take_checked(rest);
        if (i == index) return part;
    }
    return std::nullopt;
}

std::optional<PeerId> Multiaddr::peer() const {
    const std::vector<AddrPart> all = parts();
    if (all.empty() || all.back().code != AddrCode::p2p) return std::nullopt;
    auto peer = PeerId::from_bytes(all.back().value);
    KWAAI_CHECK(peer.has_value(), "an address was checked when it was made");
    return std::move(*peer);
}

Multiaddr Multiaddr::without_peer() const {
    const std::vector<AddrPart> all = parts();
    if (all.empty() || all.back().code != AddrCode::p2p) return *this;
    const std::size_t value_size = all.back().value.size();
    const std::size_t header_size = codec::varint_size(static_cast<std::uint64_t>(AddrCode::p2p)) +
                                    codec::varint_size(value_size);
    return Multiaddr(bytes_.substr(0, bytes_.size() - value_size - header_size));
}

Multiaddr Multiaddr::with_peer(const PeerId& peer) const {
    Multiaddr address = without_peer();
    append_part(address.bytes_, *detail::find_protocol("p2p"), peer.bytes());
    return address;
}

namespace {

/// Takes the parts behind /tcp or /udp off that say what a connection begins with.
DialTarget take_transport(std::vector<AddrPart>& parts) {
    const auto take = [&parts](AddrCode code) {
        if (parts.empty() || parts.back().code != code) return false;
        parts.pop_back();
        return true;
    };
    DialTarget target{.kind = {}, .host = {}};
    if (take(AddrCode::quic_v1)) {
        target.transport = Transport::quic;
        return target;
    }
    if (take(AddrCode::wss)) {
        target.transport = Transport::secure_websocket;
        return target;
    }
    if (!take(AddrCode::ws)) return target;
    target.transport = Transport::websocket;
    if (!parts.empty() && parts.back().code == AddrCode::sni) {
        target.server_name = as_text(parts.back().value);
        parts.pop_back();
    }
    if (take(AddrCode::tls)) target.transport = Transport::secure_websocket;
    return target;
}

}  // namespace

std::optional<DialTarget> Multiaddr::tcp_target() const {
    std::optional<DialTarget> found = target();
    if (found && found->transport == Transport::quic) found.reset();
    return found;
}

std::optional<DialTarget> Multiaddr::target() const {
    std::vector<AddrPart> all = parts();
    if (!all.empty() && all.back().code == AddrCode::p2p) all.pop_back();
    DialTarget target = take_transport(all);
    const bool is_secure = target.transport == Transport::secure_websocket;
    if (!is_secure && !target.server_name.empty()) return std::nullopt;
    const AddrCode below = target.transport == Transport::quic ? AddrCode::udp : AddrCode::tcp;
    if (all.size() != 2 || all[1].code != below) return std::nullopt;
    switch (all[0].code) {
        case AddrCode::ip4:
        case AddrCode::ip6:
        case AddrCode::dns:
        case AddrCode::dns4:
        case AddrCode::dns6: break;
        default: return std::nullopt;
    }
    const AddrProtocol& protocol = *detail::find_protocol(static_cast<std::uint64_t>(all[0].code));
    target.kind = all[0].code;
    target.host = detail::value_text(protocol.kind, all[0].value);
    target.port = port_of(all[1].value);
    if (is_secure && target.server_name.empty()) target.server_name = target.host;
    return target;
}

bool Multiaddr::is_relayed() const {
    const auto is_circuit = [](const AddrPart& part) {
        return part.code == AddrCode::p2p_circuit;
    };
    return std::ranges::any_of(parts(), is_circuit);
}

Multiaddr Multiaddr::with_circuit() const {
    Multiaddr address = *this;
    append_part(address.bytes_, *detail::find_protocol("p2p-circuit"), {});
    return address;
}

std::optional<Multiaddr> Multiaddr::relay() const {
    Multiaddr front{std::string()};
    for (const AddrPart& part : parts()) {
        if (part.code == AddrCode::p2p_circuit) return front;
        append_part(front.bytes_,
                    *detail::find_protocol(static_cast<std::uint64_t>(part.code)),
                    part.value);
    }
    return std::nullopt;
}

bool Multiaddr::is_loopback() const {
    const std::vector<AddrPart> all = parts();
    const Bytes ip = first_ip(all);
    if (ip.size() == 4) return ip[0] == std::byte{127};
    return ip.size() == 16 && ip.back() == std::byte{1} &&
           std::ranges::all_of(ip.first(15), [](std::byte b) { return b == std::byte{0}; });
}

bool Multiaddr::is_unspecified() const {
    const std::vector<AddrPart> all = parts();
    const Bytes ip = first_ip(all);
    return !ip.empty() && std::ranges::all_of(ip, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace kwaai::p2p
