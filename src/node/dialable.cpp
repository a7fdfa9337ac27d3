#include "node/dialable.hpp"

#include <utility>

#include "io/interfaces.hpp"

namespace kwaai::node {
namespace {

std::vector<p2p::Multiaddr> at_interfaces(const p2p::Multiaddr& address) {
    if (!address.is_unspecified()) return {address};
    const auto target = address.tcp_target();
    if (!target) return {address};
    const bool is_v4 = target->kind == p2p::AddrCode::ip4;
    std::vector<p2p::Multiaddr> all;
    for (const std::string& host :
         io::interface_addresses(is_v4 ? io::IpFamily::v4 : io::IpFamily::v6)) {
        auto at = p2p::Multiaddr::of({.host = host, .port = target->port}, target->transport);
        if (at) all.push_back(std::move(*at));
    }
    return all;
}

}  // namespace

std::vector<p2p::Multiaddr> dialable_addresses(const p2p::Host& host) {
    std::vector<p2p::Multiaddr> all;
    for (const p2p::Multiaddr& address : host.addresses())
        for (p2p::Multiaddr& at : at_interfaces(address.without_peer()))
            all.push_back(std::move(at));
    return all;
}

}  // namespace kwaai::node
