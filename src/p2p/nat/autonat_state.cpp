#include "p2p/nat/autonat_state.hpp"

#include <algorithm>
#include <utility>

#include "p2p/kad/address_scope.hpp"
#include "p2p/nat/address_parts.hpp"

namespace kwaai::p2p {
namespace {

bool is_dialable(const Multiaddr& address, const AutonatLimits& limits) {
    if (address.is_relayed() || ip_part(address).empty() || !address.target()) return false;
    const kad::Scope scope = kad::scope_of(address);
    return scope == kad::Scope::everywhere || (limits.allows_private && scope != kad::Scope::none);
}

}  // namespace

std::vector<Multiaddr> v1_dialable(const Multiaddr& observed,
                                   const std::vector<Multiaddr>& asked,
                                   const AutonatLimits& limits) {
    std::vector<Multiaddr> chosen;
    if (!is_dialable(observed, limits)) return chosen;
    const auto add = [&](const Multiaddr& address) {
        const auto there = with_ip_of(address.without_peer(), observed);
        if (!there || !is_dialable(*there, limits) || chosen.size() >= limits.v1_dials_max) return;
        if (std::ranges::find(chosen, *there) == chosen.end()) chosen.push_back(*there);
    };
    for (const Multiaddr& address : asked)
        add(address);
    add(observed);
    return chosen;
}

std::optional<V2Choice> v2_choice(const Multiaddr& observed,
                                  const std::vector<std::optional<Multiaddr>>& asked,
                                  const AutonatLimits& limits) {
    if (observed.is_relayed()) return std::nullopt;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if (!asked[i] || !is_dialable(*asked[i], limits)) continue;
        return V2Choice{.index = i,
                        .address = asked[i]->without_peer(),
                        .costs_data = !have_same_ip(*asked[i], observed)};
    }
    return std::nullopt;
}

std::optional<PeerId> AskedServers::choose(const std::vector<PeerId>& servers,
                                           io::TimePoint now) const {
    std::optional<PeerId> best;
    io::TimePoint best_time{};
    for (const PeerId& server : servers) {
        const auto found = not_before_.find(server);
        const io::TimePoint time =
            found == not_before_.end() ? io::TimePoint::min() : found->second;
        if (time > now || (best && time >= best_time)) continue;
        best = server;
        best_time = time;
    }
    return best;
}

void AskedServers::asked(const PeerId& server, io::TimePoint now) {
    pause(server, now + limits_.server_pause);
}

void AskedServers::refused(const PeerId& server, io::TimePoint now) {
    pause(server, now + limits_.refused_pause);
}

void AskedServers::pause(const PeerId& server, io::TimePoint until) {
    if (not_before_.size() >= limits_.servers_max && !not_before_.contains(server))
        not_before_.erase(std::ranges::min_element(
            not_before_, {}, &std::pair<const PeerId, io::TimePoint>::second));
    not_before_[server] = until;
}

void V1Verdict::answered(Reachability answer, io::TimePoint now) {
    if (answer == verdict_) {
        confidence_ = std::min(confidence_ + 1, limits_.confidence_max);
    } else if (answer == Reachability::reachable || confidence_ == 0) {
        verdict_ = answer;
        confidence_ = 0;
    } else {
        --confidence_;
    }
    const bool is_certain =
        verdict_ != Reachability::unknown && confidence_ >= limits_.confidence_max;
    due_ = now + (is_certain ? std::chrono::seconds(limits_.v1_refresh) : limits_.retry);
}

std::optional<Multiaddr> V2Verdicts::next(const std::vector<Multiaddr>& candidates,
                                          io::TimePoint now) {
    std::erase_if(entries_, [&](const auto& entry) {
        return std::ranges::find(candidates, entry.first) == candidates.end();
    });
    for (const Multiaddr& candidate : candidates) {
        const auto found = entries_.find(candidate);
        if (found == entries_.end() || found->second.due <= now) return candidate;
    }
    return std::nullopt;
}

Reachability V2Verdicts::answered(const Multiaddr& address,
                                  const PeerId& server,
                                  Reachability answer,
                                  io::TimePoint now) {
    Entry& entry = entries_[address];
    if (answer == Reachability::reachable) {
        entry = {.failures = 0, .refuters = {}, .due = now + limits_.v2_refresh};
        return answer;
    }
    entry.due = now + limits_.retry;
    if (answer == Reachability::unknown) return answer;
    entry.failures = std::min(entry.failures + 1, limits_.v2_failures_needed);
    if (entry.refuters.size() < limits_.v2_servers_needed) entry.refuters.insert(server);
    if (entry.failures < limits_.v2_failures_needed ||
        entry.refuters.size() < limits_.v2_servers_needed)
        return Reachability::unknown;
    entry.due = now + limits_.v2_refresh;
    return Reachability::unreachable;
}

Reachability v2_outcome(const autonat_v2::DialResponse& response, bool is_nonce_back) {
    if (response.status != autonat_v2::Status::ok) return Reachability::unknown;
    // Whatever the server says of it: the nonce came where it was sent.
    if (is_nonce_back && response.dial_status != autonat_v2::DialStatus::dial_error)
        return Reachability::reachable;
    return response.dial_status == autonat_v2::DialStatus::dial_error ? Reachability::unreachable
                                                                      : Reachability::unknown;
}

}  // namespace kwaai::p2p
