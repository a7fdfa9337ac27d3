#include "interop/peer_relay.hpp"

#include <chrono>
#include <cstdint>
#include <utility>

namespace kwaai::interop {
namespace {

std::uint64_t unix_seconds() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

p2p::relay::AutoRelayOptions keeping(
    std::vector<p2p::Multiaddr> relays,
    std::function<void(const std::vector<p2p::Multiaddr>& relayed)> told) {
    p2p::relay::AutoRelayOptions options;
    options.relays = std::move(relays);
    options.told = std::move(told);
    return options;
}

}  // namespace

RelayNode::RelayNode(p2p::Host& host, io::Clock& clock, RelayNodeOptions options)
    : host_(host),
      options_(std::move(options)),
      client_(host, clock, {.limits = {}, .unix_seconds = unix_seconds}),
      puncher_(host, clock, {}),
      keeper_(host, clock, client_, keeping(options_.reserve, [this](const auto& relayed) {
                  tell(relayed);
              })) {
    if (!options_.serves.empty()) {
        p2p::relay::RelayLimits limits;
        if (options_.serves == "unlimited") limits.circuit.reset();
        service_.emplace(
            host,
            clock,
            p2p::relay::RelayServiceOptions{.limits = limits, .unix_seconds = unix_seconds});
    }
    if (!options_.reserve.empty() || options_.is_punching)
        host_.set_told_addresses(
            [this](std::vector<p2p::Multiaddr> listening) { return choose(std::move(listening)); });
}

RelayNode::~RelayNode() {
    if (!options_.reserve.empty() || options_.is_punching) host_.set_told_addresses({});
}

void RelayNode::start(io::TaskGroup& group) {
    if (options_.is_punching) group.spawn(&p2p::relay::HolePuncher::run, std::ref(puncher_));
    if (!options_.reserve.empty()) group.spawn(&p2p::relay::AutoRelay::run, std::ref(keeper_));
}

void RelayNode::tell(const std::vector<p2p::Multiaddr>& relayed) {
    host_.told_addresses_changed();
    if (!relayed.empty()) options_.on_reached(relayed);
}

std::vector<p2p::Multiaddr> RelayNode::choose(std::vector<p2p::Multiaddr> listening) const {
    std::erase_if(listening,
                  [](const p2p::Multiaddr& address) { return address.is_unspecified(); });
    for (p2p::Multiaddr& address : keeper_.addresses())
        listening.push_back(std::move(address));
    return listening;
}

}  // namespace kwaai::interop
