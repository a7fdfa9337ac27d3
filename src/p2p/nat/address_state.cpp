#include "p2p/nat/address_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "p2p/kad/address_scope.hpp"
#include "p2p/nat/address_parts.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kIp6GroupBytes = 8;  // code and /56, what one household has

bool reaches_everywhere(const Multiaddr& address) {
    return !address.is_relayed() && kad::scope_of(address) == kad::Scope::everywhere;
}

bool holds(const std::vector<Multiaddr>& all, const Multiaddr& address) {
    return std::ranges::find(all, address) != all.end();
}

void add_new(std::vector<Multiaddr>& all, const Multiaddr& address, std::size_t max) {
    if (all.size() < max && !holds(all, address)) all.push_back(address);
}

bool over_quic(const Multiaddr& address) {
    const auto target = address.target();
    return target && target->transport == Transport::quic;
}

// Peers that one party can have many of count as one.
std::string group_of(const Multiaddr& observer) {
    const Bytes ip = ip_part(observer);
    return std::string(as_text(ip.first(std::min(ip.size(), kIp6GroupBytes))));
}

}  // namespace

void AddressState::set_listening(std::vector<Multiaddr> listening) {
    std::erase_if(listening, [](const Multiaddr& address) {
        return kad::scope_of(address) == kad::Scope::none;
    });
    listening_ = std::move(listening);
}

void AddressState::set_addresses(AddressSource source, const std::vector<Multiaddr>& addresses) {
    std::vector<Multiaddr>& kept = set_[static_cast<std::size_t>(source)];
    kept.clear();
    for (const Multiaddr& address : addresses) {
        if (source == AddressSource::mapped && !reaches_everywhere(address)) continue;
        if (source == AddressSource::relay && !address.is_relayed()) continue;
        // A relayed address without its last /p2p still names the relay: only the last is ours.
        add_new(kept, address.without_peer(), limits_.set_max);
    }
}

void AddressState::observe(const Multiaddr& observer,
                           const Multiaddr& observed,
                           bool is_inbound,
                           io::TimePoint now) {
    if (!reaches_everywhere(observer) || !reaches_everywhere(observed)) return;
    const std::string group = group_of(observer);
    if (group.empty() || ip_part(observed).empty()) return;
    const Multiaddr seen = observed.without_peer();
    if (is_inbound) {
        note_observer(seen, false, group, now);
        return;
    }
    if (const auto guess = guess_from(seen)) note_observer(*guess, true, group, now);
}

// A peer that this node has dialled saw it there: QUIC leaves from the port that listens, TCP from
// any, of which the IP alone tells something.
std::optional<Multiaddr> AddressState::guess_from(const Multiaddr& seen) const {
    const bool is_quic = over_quic(seen);
    std::optional<Multiaddr> guess;
    for (const Multiaddr& listening : listening_) {
        // An IP of the other family says nothing about this port.
        if (listening.is_loopback() || ip_part(listening).size() != ip_part(seen).size()) continue;
        if (is_quic && over_quic(listening)) return seen;
        if (!guess) guess = with_ip_of(listening, seen);
    }
    return guess;
}

void AddressState::note_observer(const Multiaddr& address,
                                 bool is_guessed,
                                 const std::string& group,
                                 io::TimePoint now) {
    Observed* const entry = place_for(address, is_guessed, now);
    if (entry == nullptr) return;
    if (!is_guessed) entry->is_guessed = false;
    if (entry->observers.size() >= limits_.observers_max && !entry->observers.contains(group))
        return;
    entry->observers[group] = now;
}

// A newcomer replaces one that nobody sees any more, or that a single peer does; never one that
// more peers agree on.
AddressState::Observed* AddressState::place_for(const Multiaddr& address,
                                                bool is_guessed,
                                                io::TimePoint now) {
    for (Observed& entry : observed_) {
        std::erase_if(entry.observers, [&](const auto& one) {
            return one.second + limits_.observation_lifetime <= now;
        });
        if (entry.address == address && entry.is_guessed == is_guessed) return &entry;
    }
    std::erase_if(observed_, [](const Observed& entry) { return entry.observers.empty(); });
    if (observed_.size() >= limits_.observed_max) {
        const auto weakest = std::ranges::min_element(
            observed_, {}, [](const Observed& entry) { return entry.observers.size(); });
        if (weakest->observers.size() > 1) return nullptr;
        observed_.erase(weakest);
    }
    observed_.push_back(
        {.address = address, .is_guessed = is_guessed, .since = now, .observers = {}});
    return &observed_.back();
}

void AddressState::set_verdict(const Multiaddr& address, Reachability verdict, io::TimePoint now) {
    std::erase_if(verdicts_,
                  [&](const auto& one) { return one.second.at + limits_.verdict_lifetime <= now; });
    if (!verdicts_.contains(address) && verdicts_.size() >= 2 * limits_.candidates_max) return;
    verdicts_[address] = {.reachability = verdict, .at = now};
}

Reachability AddressState::verdict(const Multiaddr& address, io::TimePoint now) const {
    const auto found = verdicts_.find(address);
    if (found == verdicts_.end() || found->second.at + limits_.verdict_lifetime <= now)
        return Reachability::unknown;
    return found->second.reachability;
}

std::size_t AddressState::observers_of(const Observed& entry, io::TimePoint now) const {
    return static_cast<std::size_t>(std::ranges::count_if(entry.observers, [&](const auto& one) {
        return one.second + limits_.observation_lifetime > now;
    }));
}

// Those with the most observers first, then the oldest.
std::vector<const AddressState::Observed*> AddressState::ranked_observed(io::TimePoint now) const {
    std::vector<const Observed*> ranked;
    for (const Observed& entry : observed_)
        if (observers_of(entry, now) > 0) ranked.push_back(&entry);
    std::ranges::sort(ranked, [&](const Observed* one, const Observed* other) {
        const std::size_t ones = observers_of(*one, now);
        const std::size_t others = observers_of(*other, now);
        if (ones != others) return ones > others;
        return std::tie(one->since, one->address) < std::tie(other->since, other->address);
    });
    return ranked;
}

std::vector<Multiaddr> AddressState::believed_observed(io::TimePoint now) const {
    std::vector<Multiaddr> all;
    for (const Observed* const entry : ranked_observed(now)) {
        if (entry->is_guessed || observers_of(*entry, now) < limits_.observers_needed) continue;
        if (entry->since + limits_.observed_grace > now) continue;
        add_new(all, entry->address, limits_.observed_told_max);
    }
    return all;
}

// v1 speaks of the node as a whole: against what the router or observers say, not against what was
// confirmed one by one.
bool AddressState::is_refuted(const Multiaddr& address, io::TimePoint now) const {
    const Reachability about_it = verdict(address, now);
    if (about_it != Reachability::unknown) return about_it == Reachability::unreachable;
    return node_verdict_ == Reachability::unreachable;
}

std::vector<Multiaddr> AddressState::external(io::TimePoint now) const {
    std::vector<Multiaddr> all = of(AddressSource::declared);
    for (const auto& [address, verdict_of] : verdicts_)
        if (verdict(address, now) == Reachability::reachable)
            add_new(all, address, limits_.told_max);
    for (const Multiaddr& address : of(AddressSource::mapped))
        if (!is_refuted(address, now)) add_new(all, address, limits_.told_max);
    for (const Multiaddr& address : believed_observed(now))
        if (!is_refuted(address, now)) add_new(all, address, limits_.told_max);
    return all;
}

std::vector<Multiaddr> AddressState::told(io::TimePoint now) const {
    std::vector<Multiaddr> relays = of(AddressSource::relay);
    if (is_relayed_only_) return relays;
    if (reachability(now) == Reachability::reachable) relays.clear();
    std::vector<Multiaddr> all = external(now);
    const std::size_t room = limits_.told_max - std::min(relays.size(), limits_.told_max);
    for (const Multiaddr& address : listening_)
        if (verdict(address, now) != Reachability::unreachable) add_new(all, address, room);
    for (const Multiaddr& address : relays)
        add_new(all, address, limits_.told_max);
    return all;
}

std::vector<Multiaddr> AddressState::candidates(io::TimePoint now) const {
    std::vector<Multiaddr> all;
    const auto add = [&](const Multiaddr& address) {
        if (!holds(of(AddressSource::declared), address))
            add_new(all, address, limits_.candidates_max);
    };
    for (const Multiaddr& address : of(AddressSource::mapped))
        add(address);
    for (const auto& [address, verdict_of] : verdicts_)
        if (verdict(address, now) == Reachability::reachable) add(address);
    for (const Multiaddr& address : listening_)
        if (reaches_everywhere(address)) add(address);
    for (const Observed* const entry : ranked_observed(now))
        add(entry->address);
    return all;
}

Reachability AddressState::reachability(io::TimePoint now) const {
    if (!of(AddressSource::declared).empty()) return Reachability::reachable;
    bool is_refused = false;
    for (const auto& [address, verdict_of] : verdicts_) {
        const Reachability one = verdict(address, now);
        if (one == Reachability::reachable) return one;
        is_refused |= one == Reachability::unreachable;
    }
    if (node_verdict_ != Reachability::unknown) return node_verdict_;
    if (!external(now).empty()) return Reachability::reachable;
    return is_refused ? Reachability::unreachable : Reachability::unknown;
}

bool AddressState::is_own(const Multiaddr& address, io::TimePoint now) const {
    const auto is_it = [&](const Multiaddr& own) {
        return have_same_socket(own, address);
    };
    if (address.is_relayed()) return false;
    return std::ranges::any_of(listening_, is_it) || std::ranges::any_of(external(now), is_it);
}

}  // namespace kwaai::p2p
