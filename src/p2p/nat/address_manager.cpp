#include "p2p/nat/address_manager.hpp"

#include <utility>

#include "io/interfaces.hpp"

namespace kwaai::p2p {

AddressManager::AddressManager(Host& host, io::Clock& clock, AddressManagerOptions options)
    : host_(host),
      clock_(clock),
      options_(std::move(options)),
      state_(options_.limits, options_.is_relayed_only) {
    if (!options_.interfaces) options_.interfaces = io::interface_addresses;
    state_.set_addresses(AddressSource::declared, options_.declared);
    host_.set_told_addresses([this](const std::vector<Multiaddr>& listening) {
        if (listening != listening_) read_interfaces(listening);
        return state_.told(clock_.now());
    });
    observing_ = host_.observe([this](const PeerInfo& info, ConnectionChange change) {
        if (change != ConnectionChange::identified || !info.observed || !info.connected) return;
        state_.observe(*info.connected, *info.observed, info.is_inbound, clock_.now());
        refresh();
    });
    last_told_ = told();
    last_reachability_ = reachability();
}

AddressManager::~AddressManager() {
    host_.set_told_addresses({});
}

void AddressManager::read_interfaces(const std::vector<Multiaddr>& listening) {
    listening_ = listening;
    std::vector<Multiaddr> all;
    for (const Multiaddr& address : listening)
        for (Multiaddr& at : at_interfaces(address, options_.interfaces))
            all.push_back(std::move(at));
    state_.set_listening(std::move(all));
}

// Peers are told only what is news.
void AddressManager::refresh() {
    std::vector<Multiaddr> now_told = told();
    const Reachability now_reachable = reachability();
    if (now_told == last_told_ && now_reachable == last_reachability_) return;
    const bool is_told_new = now_told != last_told_;
    last_told_ = std::move(now_told);
    last_reachability_ = now_reachable;
    ++epoch_;
    changed_.notify_all();
    if (is_told_new) host_.told_addresses_changed();
}

io::Task<void> AddressManager::run() {
    while (true) {
        read_interfaces(listening_);
        refresh();
        co_await clock_.sleep_for(options_.poll_interval);
    }
}

io::Task<void> AddressManager::wait_for_change(std::uint64_t known) {
    while (epoch_ == known)
        co_await changed_.wait();
}

void AddressManager::set_addresses(AddressSource source, const std::vector<Multiaddr>& addresses) {
    state_.set_addresses(source, addresses);
    refresh();
}

void AddressManager::set_verdict(const Multiaddr& address, Reachability verdict) {
    state_.set_verdict(address, verdict, clock_.now());
    refresh();
}

void AddressManager::set_node_verdict(Reachability verdict) {
    state_.set_node_verdict(verdict);
    refresh();
}

std::vector<Multiaddr> AddressManager::told() const {
    return host_.told_addresses();  // where it listens may have changed
}

std::vector<Multiaddr> AddressManager::external() const {
    return state_.external(clock_.now());
}

std::vector<Multiaddr> AddressManager::candidates() const {
    return state_.candidates(clock_.now());
}

Reachability AddressManager::reachability() const {
    return state_.reachability(clock_.now());
}

Reachability AddressManager::verdict(const Multiaddr& address) const {
    return state_.verdict(address, clock_.now());
}

bool AddressManager::is_own(const Multiaddr& address) const {
    return state_.is_own(address, clock_.now());
}

}  // namespace kwaai::p2p
