// Under which addresses of this machine a host can be dialled.
#pragma once
#include <vector>

#include "p2p/host.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::node {

/// Without /p2p. One for each address of the machine where it listens on all of them, loopback
/// first.
[[nodiscard]] std::vector<p2p::Multiaddr> dialable_addresses(const p2p::Host& host);

}  // namespace kwaai::node
