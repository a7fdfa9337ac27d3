// Addresses seen as an IP address and what is behind it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/network.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

/// The IP addresses of this machine: io::interface_addresses, or a test's.
using Interfaces = std::function<std::vector<std::string>(io::IpFamily family)>;

/// The first part, where that is ip4 or ip6 (code and value); empty where it is something else. A
/// view into `address`.
[[nodiscard]] Bytes ip_part(const Multiaddr& address);
[[nodiscard]] bool have_same_ip(const Multiaddr& one, const Multiaddr& other);
/// `address` with the IP of `place` in place of its own; nothing where one of them has none.
[[nodiscard]] std::optional<Multiaddr> with_ip_of(const Multiaddr& address, const Multiaddr& place);
/// Of its TCP or UDP part, which is the second one; 0 where there is none.
[[nodiscard]] std::uint16_t port_of(const Multiaddr& address);
/// Both have the same IP and the same port of the same protocol.
[[nodiscard]] bool have_same_socket(const Multiaddr& one, const Multiaddr& other);

/// What 0.0.0.0 or :: in `address` stands for; any other address as it is.
[[nodiscard]] std::vector<Multiaddr> at_interfaces(const Multiaddr& address,
                                                   const Interfaces& interfaces);

}  // namespace kwaai::p2p
