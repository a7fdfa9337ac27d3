// How far an address reaches, and which network it is of.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "p2p/multiaddr.hpp"

namespace kwaai::p2p::kad {

enum class Scope : std::uint8_t {
    none,             // unspecified, multicast, broadcast, port 0: leads nowhere
    loopback,         // this machine
    private_network,  // RFC 1918, 6598, 4193, link-local
    everywhere,       // public addresses and names
};

[[nodiscard]] Scope scope_of(const Multiaddr& address);

/// Those of `addresses` that may be dialled on the word of a peer at `told_by`: none that reach
/// less far than its own (a public peer could have us scan our private network).
[[nodiscard]] std::vector<Multiaddr> believable(std::vector<Multiaddr> addresses,
                                                const Multiaddr& told_by);

/// The /16 of an IPv4 address or the /32 of an IPv6 address, as bytes; nothing for names and, where
/// `is_private_exempt`, for addresses that do not reach everywhere.
[[nodiscard]] std::optional<std::string> network_of(const Multiaddr& address,
                                                    bool is_private_exempt);

}  // namespace kwaai::p2p::kad
