#include "p2p/kad/dht_network.hpp"

#include <utility>

namespace kwaai::p2p::kad {

void HostNetwork::handle(std::string protocol, StreamHandler handler) {
    host_.handle(std::move(protocol), std::move(handler));
}

void HostNetwork::stop_handling(const std::string& protocol) {
    host_.stop_handling(protocol);
}

void HostNetwork::add_address(const PeerId& peer, const Multiaddr& address) {
    host_.add_address(peer, address);
}

std::vector<Multiaddr> HostNetwork::known_addresses(const PeerId& peer) const {
    return host_.known_addresses(peer);
}

bool HostNetwork::is_connected(const PeerId& peer) const {
    return host_.is_connected(peer);
}

io::Task<Result<PeerId>> HostNetwork::connect(Multiaddr address) {
    return host_.connect(std::move(address));
}

io::Task<Result<std::unique_ptr<Stream>>> HostNetwork::open(PeerId peer,
                                                            std::string protocol,
                                                            OpenOptions options) {
    return host_.open(std::move(peer), std::move(protocol), options);
}

io::Task<Result<PeerInfo>> HostNetwork::identify(PeerId peer) {
    return host_.identify(std::move(peer));
}

void HostNetwork::protect(const PeerId& peer, const std::string& tag) {
    host_.protect(peer, tag);
}

void HostNetwork::unprotect(const PeerId& peer, const std::string& tag) {
    host_.unprotect(peer, tag);
}

}  // namespace kwaai::p2p::kad
