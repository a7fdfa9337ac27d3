#include "p2p/relay/relay_state.hpp"

#include <algorithm>

namespace kwaai::p2p::relay {
namespace {

constexpr std::size_t kIp6Bytes = 7;  // a /56

void drop_one(std::map<PeerId, std::size_t>& counts, const PeerId& peer) {
    const auto entry = counts.find(peer);
    if (entry == counts.end()) return;
    if (--entry->second == 0) counts.erase(entry);
}

std::size_t count_of(const std::map<PeerId, std::size_t>& counts, const PeerId& peer) {
    const auto entry = counts.find(peer);
    return entry == counts.end() ? 0 : entry->second;
}

}  // namespace

std::string source_of(const Multiaddr& address) {
    if (address.is_loopback()) return {};
    const std::vector<AddrPart> parts = address.parts();
    if (parts.empty()) return {};
    const std::string_view ip = as_text(parts.front().value);
    if (parts.front().code == AddrCode::ip4) return std::string(ip);
    if (parts.front().code == AddrCode::ip6) return std::string(ip.substr(0, kIp6Bytes));
    return {};
}

bool RelayState::begin_request(const PeerId& peer, const std::string& source, io::TimePoint now) {
    if (requests_ >= limits_.requests_max ||
        count_of(requests_of_, peer) >= limits_.requests_per_peer_max)
        return false;
    // A network first: its peers' names cost nothing, and their rates take room.
    if (!source.empty() && !take_token("network " + source, limits_.requests_of_ip_per_minute, now))
        return false;
    const std::string name = "peer " + std::string(as_text(peer.bytes()));
    if (!take_token(name, limits_.requests_of_peer_per_minute, now)) return false;
    ++requests_;
    ++requests_of_[peer];
    return true;
}

void RelayState::end_request(const PeerId& peer) {
    --requests_;
    drop_one(requests_of_, peer);
}

// A bucket holds as many tokens as come back in a minute.
bool RelayState::take_token(const std::string& key, std::size_t per_minute, io::TimePoint now) {
    const auto most = static_cast<double>(per_minute);
    auto entry = rates_.find(key);
    if (entry == rates_.end()) {
        if (rates_.size() >= limits_.rates_max) forget_rates(now);
        if (rates_.size() >= limits_.rates_max) return false;
        entry = rates_.emplace(key, Rate{.tokens = most, .counted_at = now}).first;
    }
    Rate& rate = entry->second;
    const double minutes = std::chrono::duration<double>(now - rate.counted_at).count() / 60;
    rate.tokens = std::min(most, rate.tokens + minutes * most);
    rate.counted_at = now;
    if (rate.tokens < 1) return false;
    rate.tokens -= 1;
    return true;
}

// After a minute each bucket is full again, as one that is made anew.
void RelayState::forget_rates(io::TimePoint now) {
    std::erase_if(rates_, [now](const auto& entry) {
        return now - entry.second.counted_at >= std::chrono::minutes(1);
    });
}

void RelayState::expire(io::TimePoint now) {
    std::erase_if(reservations_, [now](const auto& entry) { return entry.second.expires <= now; });
}

Status RelayState::reserve(const PeerId& peer, const std::string& source, io::TimePoint now) {
    expire(now);
    const auto renewed = reservations_.find(peer);
    if (renewed == reservations_.end()) {
        if (reservations_.size() >= limits_.reservations_max) return Status::reservation_refused;
    }
    if (!source.empty()) {
        std::size_t beside = 0;
        for (const auto& [other, reservation] : reservations_)
            if (other != peer && reservation.source == source) ++beside;
        if (beside >= limits_.reservations_per_ip_max) return Status::reservation_refused;
    }
    reservations_.insert_or_assign(
        peer, Reservation{.source = source, .expires = now + limits_.reservation_duration});
    return Status::ok;
}

bool RelayState::has_reservation(const PeerId& peer, io::TimePoint now) const {
    const auto entry = reservations_.find(peer);
    return entry != reservations_.end() && entry->second.expires > now;
}

Status RelayState::begin_circuit(const PeerId& source,
                                 const PeerId& destination,
                                 io::TimePoint now) {
    if (source == destination) return Status::permission_denied;
    if (!has_reservation(destination, now)) return Status::no_reservation;
    if (circuits_ >= limits_.circuits_max ||
        count_of(circuits_of_, source) >= limits_.circuits_per_peer_max ||
        count_of(circuits_of_, destination) >= limits_.circuits_per_peer_max)
        return Status::resource_limit_exceeded;
    ++circuits_;
    ++circuits_of_[source];
    ++circuits_of_[destination];
    return Status::ok;
}

void RelayState::end_circuit(const PeerId& source, const PeerId& destination) {
    --circuits_;
    drop_one(circuits_of_, source);
    drop_one(circuits_of_, destination);
}

}  // namespace kwaai::p2p::relay
