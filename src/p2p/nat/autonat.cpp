#include "p2p/nat/autonat.hpp"

#include <utility>

namespace kwaai::p2p {

Autonat::Autonat(io::Network& network,
                 io::Clock& clock,
                 Host& host,
                 AddressManager& addresses,
                 const AutonatOptions& options)
    : dial_back_(network, clock, options.dialler, options.dial_back),
      server_(host,
              clock,
              dial_back_,
              {.limits = options.limits,
               .random = options.dialler.random,
               .is_own =
                   [&addresses](const Multiaddr& address) {
                       return addresses.is_own(address);
                   }}),
      client_(
          host, clock, addresses, {.limits = options.limits, .random = options.dialler.random}) {}

io::Task<void> Autonat::run() {
    co_await io::with_group(&Autonat::run_parts, std::ref(*this));
}

io::Task<void> Autonat::run_parts(io::TaskGroup& group, Autonat& self) {
    group.spawn(&DialBack::run, std::ref(self.dial_back_));
    group.spawn(&AutonatClient::run, std::ref(self.client_));
    co_return;
}

}  // namespace kwaai::p2p
