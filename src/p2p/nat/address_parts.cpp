#include "p2p/nat/address_parts.hpp"

#include <algorithm>
#include <utility>

#include "codec/buffer.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kIp4PartBytes = 5;
constexpr std::size_t kIp6PartBytes = 17;
constexpr std::size_t kPortPartBytes = 4;  // the longest code, of udp, and the port

bool is_port_code(AddrCode code) {
    return code == AddrCode::tcp || code == AddrCode::udp;
}

// IP and port, as bytes; empty where the address has not both.
Bytes socket_parts(const Multiaddr& address) {
    const Bytes ip = ip_part(address);
    const std::vector<AddrPart> parts = address.parts();
    if (ip.empty() || parts.size() < 2 || !is_port_code(parts[1].code)) return {};
    const std::size_t port_bytes =
        parts[1].code == AddrCode::udp ? kPortPartBytes : kPortPartBytes - 1;
    return address.bytes().first(ip.size() + port_bytes);
}

}  // namespace

Bytes ip_part(const Multiaddr& address) {
    const std::vector<AddrPart> parts = address.parts();
    if (parts.empty()) return {};
    if (parts.front().code == AddrCode::ip4) return address.bytes().first(kIp4PartBytes);
    if (parts.front().code == AddrCode::ip6) return address.bytes().first(kIp6PartBytes);
    return {};
}

bool have_same_ip(const Multiaddr& one, const Multiaddr& other) {
    const Bytes first = ip_part(one);
    return !first.empty() && std::ranges::equal(first, ip_part(other));
}

std::optional<Multiaddr> with_ip_of(const Multiaddr& address, const Multiaddr& place) {
    const Bytes old_ip = ip_part(address);
    const Bytes new_ip = ip_part(place);
    if (old_ip.empty() || new_ip.empty()) return std::nullopt;
    codec::Buffer bytes = codec::to_buffer(new_ip);
    codec::append(bytes, address.bytes().subspan(old_ip.size()));
    auto moved = Multiaddr::from_bytes(bytes);
    if (!moved) return std::nullopt;
    return std::move(*moved);
}

std::uint16_t port_of(const Multiaddr& address) {
    const std::vector<AddrPart> parts = address.parts();
    if (parts.size() < 2 || !is_port_code(parts[1].code)) return 0;
    const Bytes value = parts[1].value;
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(value[0]) << 8 |
                                      std::to_integer<unsigned>(value[1]));
}

bool have_same_socket(const Multiaddr& one, const Multiaddr& other) {
    const Bytes first = socket_parts(one);
    return !first.empty() && std::ranges::equal(first, socket_parts(other));
}

std::vector<Multiaddr> at_interfaces(const Multiaddr& address, const Interfaces& interfaces) {
    if (!address.is_unspecified()) return {address};
    const bool is_v4 = address.parts().front().code == AddrCode::ip4;
    std::vector<Multiaddr> all;
    for (const std::string& ip : interfaces(is_v4 ? io::IpFamily::v4 : io::IpFamily::v6)) {
        const auto place = Multiaddr::parse((is_v4 ? "/ip4/" : "/ip6/") + ip);
        if (!place) continue;
        if (auto at = with_ip_of(address, *place)) all.push_back(std::move(*at));
    }
    return all;
}

}  // namespace kwaai::p2p
