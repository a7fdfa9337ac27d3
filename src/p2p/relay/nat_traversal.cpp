#include "p2p/relay/nat_traversal.hpp"

#include <utility>

#include "base/check.hpp"

namespace kwaai::p2p::relay {
namespace {

constexpr std::size_t kPlaces = 2;

}  // namespace

NatTraversal::NatTraversal(Host& host,
                           io::Clock& clock,
                           AddressManager* addresses,
                           NatTraversalOptions options)
    : clock_(clock),
      addresses_(addresses),
      options_(std::move(options)),
      client_(host,
              clock,
              {.limits = {}, .unix_seconds = options_.unix_seconds, .listens = options_.listens}) {
    if (options_.is_punching) puncher_.emplace(host, clock, HolePuncherOptions());
    if (options_.places != Use::never) {
        AutoRelayOptions keeping;
        keeping.relays = options_.relays;
        keeping.wanted = kPlaces;
        keeping.told = [this](const std::vector<Multiaddr>& places) {
            take_places(places);
        };
        keeping.on_failure = options_.on_failure;
        keeper_.emplace(host, clock, client_, std::move(keeping));
    }
    if (options_.service != Use::never)
        service_.emplace(host,
                         clock,
                         RelayServiceOptions{.limits = options_.limits,
                                             .unix_seconds = options_.unix_seconds,
                                             .is_serving = false,
                                             .on_use = options_.on_use});
    KWAAI_CHECK(addresses_ != nullptr || (!keeper_ && !service_),
                "who holds places or is a relay knows its addresses");
}

bool NatTraversal::is_due(Use use, Reachability when) const {
    return use == Use::always || (use == Use::automatic && addresses_->reachability() == when);
}

void NatTraversal::take_places(const std::vector<Multiaddr>& addresses) {
    addresses_->set_addresses(AddressSource::relay, addresses);
    if (options_.on_places) options_.on_places(addresses);
}

std::vector<Multiaddr> NatTraversal::places() const {
    return keeper_ ? keeper_->addresses() : std::vector<Multiaddr>();
}

io::Task<void> NatTraversal::run() {
    co_await io::with_group(&NatTraversal::run_parts, std::ref(*this));
}

io::Task<void> NatTraversal::run_parts(io::TaskGroup& group, NatTraversal& self) {
    if (self.puncher_) group.spawn(&HolePuncher::run, std::ref(*self.puncher_));
    if (self.keeper_) group.spawn(&NatTraversal::follow_places, std::ref(self));
    if (self.service_) group.spawn(&NatTraversal::follow_service, std::ref(self));
    co_return;
}

io::Task<void> NatTraversal::follow_service() {
    while (true) {
        const std::uint64_t known = addresses_->epoch();
        const bool is_wanted = is_due(options_.service, Reachability::reachable);
        if (is_wanted != service_->is_serving()) {
            service_->set_serving(is_wanted);
            if (options_.on_service) options_.on_service(is_wanted);
        }
        co_await addresses_->wait_for_change(known);
    }
}

io::Task<void> NatTraversal::follow_places() {
    while (true) {
        const std::uint64_t known = addresses_->epoch();
        if (is_due(options_.places, Reachability::unreachable))
            co_await io::with_group(&NatTraversal::hold_places, std::ref(*this));
        else
            co_await addresses_->wait_for_change(known);
    }
}

// As long as they are wanted.
io::Task<void> NatTraversal::hold_places(io::TaskGroup& group, NatTraversal& self) {
    group.spawn(&AutoRelay::run, std::ref(*self.keeper_));
    if (self.options_.find_relays) group.spawn(&NatTraversal::look_for_relays, std::ref(self));
    while (self.is_due(self.options_.places, Reachability::unreachable)) {
        const std::uint64_t known = self.addresses_->epoch();
        co_await self.addresses_->wait_for_change(known);
    }
    group.cancel();
}

io::Task<void> NatTraversal::look_for_relays() {
    while (true) {
        if (keeper_->place_count() < kPlaces) {
            auto finding = options_.find_relays();
            co_await std::move(finding);
        }
        co_await clock_.sleep_for(options_.find_pause);
    }
}

}  // namespace kwaai::p2p::relay
