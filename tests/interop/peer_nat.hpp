// AutoNAT of a node that other libraries' nodes are tested against.
#pragma once
#include <string>

#include "io/clock.hpp"
#include "io/network.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/nat/autonat.hpp"

namespace kwaai::interop {

class NatNode {
public:
    /// `second` is the identity of the dials.
    NatNode(io::Network& network, io::Clock& clock, p2p::Host& host, crypto::PrivateKey second);

    io::Task<void> run();
    /// Asks the peer at `address` about this node: one JSON object, as peers/README.md describes
    /// it.
    io::Task<std::string> ask(std::string address);

private:
    io::Task<std::string> ask_v2(p2p::PeerId server, p2p::Multiaddr address);
    io::Task<std::string> ask_v1(p2p::PeerId server, p2p::Multiaddr address);

    p2p::Host& host_;
    p2p::AddressManager addresses_;
    p2p::Autonat autonat_;
};

}  // namespace kwaai::interop
