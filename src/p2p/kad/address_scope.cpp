#include "p2p/kad/address_scope.hpp"

#include <algorithm>
#include <optional>

#include "p2p/ip_text.hpp"

namespace kwaai::p2p::kad {
namespace {

unsigned octet(Bytes ip, std::size_t index) {
    return std::to_integer<unsigned>(ip[index]);
}

bool is_all(Bytes bytes, std::byte value) {
    return std::ranges::all_of(bytes, [value](std::byte byte) { return byte == value; });
}

Scope scope_of_ip4(Bytes ip) {
    const unsigned first = octet(ip, 0);
    const unsigned second = octet(ip, 1);
    if (first == 0 || first >= 224) return Scope::none;
    if (first == 127) return Scope::loopback;
    const bool is_private = first == 10 || (first == 172 && (second & 0xf0) == 16) ||
                            (first == 192 && second == 168) || (first == 169 && second == 254) ||
                            (first == 100 && (second & 0xc0) == 64);
    return is_private ? Scope::private_network : Scope::everywhere;
}

Scope scope_of_ip6(Bytes ip) {
    if (is_ip4_mapped(ip)) return scope_of_ip4(ip.subspan(12));
    if (is_all(ip.first(15), std::byte{0}))
        return octet(ip, 15) == 1 ? Scope::loopback : Scope::none;
    const unsigned first = octet(ip, 0);
    if (first == 0xff) return Scope::none;
    const bool is_private =
        (first & 0xfe) == 0xfc || (first == 0xfe && (octet(ip, 1) & 0xc0) == 0x80);
    return is_private ? Scope::private_network : Scope::everywhere;
}

// Port 0 stands for one that the system chooses: nobody is there.
bool has_no_port(const Multiaddr& address) {
    const std::optional<AddrPart> second = address.part(1);
    return second && (second->code == AddrCode::tcp || second->code == AddrCode::udp) &&
           is_all(second->value, std::byte{0});
}

}  // namespace

Scope scope_of(const Multiaddr& address) {
    const std::optional<AddrPart> first = address.part(0);
    if (!first || has_no_port(address)) return Scope::none;
    if (first->code == AddrCode::ip4) return scope_of_ip4(first->value);
    if (first->code == AddrCode::ip6) return scope_of_ip6(first->value);
    return Scope::everywhere;
}

std::vector<Multiaddr> believable(std::vector<Multiaddr> addresses, const Multiaddr& told_by) {
    const Scope nearest = std::max(scope_of(told_by), Scope::loopback);
    std::erase_if(addresses,
                  [nearest](const Multiaddr& address) { return scope_of(address) < nearest; });
    return addresses;
}

std::optional<std::string> network_of(const Multiaddr& address, bool is_private_exempt) {
    const Scope scope = scope_of(address);
    if (scope == Scope::none || (is_private_exempt && scope != Scope::everywhere))
        return std::nullopt;
    const AddrPart first = address.part(0).value();
    if (first.code == AddrCode::ip4) return std::string(as_text(first.value.first(2)));
    if (first.code != AddrCode::ip6) return std::nullopt;
    if (is_ip4_mapped(first.value)) return std::string(as_text(first.value.subspan(12, 2)));
    return std::string(as_text(first.value.first(4)));
}

}  // namespace kwaai::p2p::kad
