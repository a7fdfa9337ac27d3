#include "p2p/bounds/source_limiter.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p {
namespace {

constexpr std::size_t kIp6SourceBytes = 7;  // /56
constexpr std::size_t kIp6SiteBytes = 6;    // /48

std::string source_of(const std::string& ip_bytes) {
    return ip_bytes.size() == sizeof(Ip6) ? ip_bytes.substr(0, kIp6SourceBytes) : ip_bytes;
}

template <class Counts>
std::size_t count_of(const Counts& counts, const std::string& source) {
    const auto found = counts.find(source);
    return found == counts.end() ? 0 : found->second;
}

template <class Counts>
SourceLease hold(const std::shared_ptr<Counts>& counts, std::string source) {
    ++(*counts)[source];
    return {static_cast<void*>(counts.get()), [counts, source = std::move(source)](void*) {
                const auto found = counts->find(source);
                if (--found->second == 0) counts->erase(found);
            }};
}

SourceLease hold_both(SourceLease one, SourceLease other) {
    return std::make_shared<std::pair<SourceLease, SourceLease>>(std::move(one), std::move(other));
}

}  // namespace

std::string source_key(std::string_view ip) {
    return source_of(ip_bytes(ip));
}

SourceLimiter::SourceLimiter(const Limits& limits, std::vector<Subnet> trusted)
    : limits_(limits),
      trusted_(std::move(trusted)),
      pending_(std::make_shared<Counts>()),
      connections_(std::make_shared<Counts>()),
      connections_48_(std::make_shared<Counts>()) {}

bool SourceLimiter::is_exempt(std::string_view ip) const {
    static const std::vector<Subnet> loopback{Subnet::parse("127.0.0.0/8").value(),
                                              Subnet::parse("::1").value()};
    const auto contains = [ip](const Subnet& subnet) {
        return subnet.contains(ip);
    };
    return std::ranges::any_of(loopback, contains) || std::ranges::any_of(trusted_, contains);
}

SourceLimiter::Admitted SourceLimiter::admit(std::string_view ip, io::TimePoint now) {
    if (is_exempt(ip))
        return {.pending = std::make_shared<int>(), .connection = std::make_shared<int>()};
    const std::string bytes = ip_bytes(ip);
    const bool is_ip6 = bytes.size() == sizeof(Ip6);
    const std::string source = source_of(bytes);
    const std::string site = is_ip6 ? bytes.substr(0, kIp6SiteBytes) : std::string();
    if (count_of(*pending_, source) >= limits_.pending_inbound_per_ip_max ||
        count_of(*connections_, source) >= limits_.connections_per_ip_max ||
        (is_ip6 && count_of(*connections_48_, site) >= limits_.connections_per_ip6_48_max) ||
        !take(source, now))
        return {};
    SourceLease connection = hold(connections_, source);
    if (is_ip6) connection = hold_both(std::move(connection), hold(connections_48_, site));
    return {.pending = hold(pending_, source), .connection = std::move(connection)};
}

bool SourceLimiter::is_quiet(std::string_view ip, io::TimePoint now) {
    if (is_exempt(ip)) return true;
    const std::string source = source_of(ip_bytes(ip));
    if (count_of(*pending_, source) >= limits_.pending_inbound_per_ip_max / 2) return false;
    const auto known = buckets_.find(source);
    if (known == buckets_.end()) return true;
    refill(known->second, now);
    return known->second.left > limits_.accept_burst / 2;
}

void SourceLimiter::refill(Bucket& bucket, io::TimePoint now) const {
    const auto periods = (now - bucket.filled_at) / limits_.accept_period;
    const auto gained = static_cast<std::size_t>(std::max<decltype(periods)>(periods, 0));
    bucket.filled_at += periods * limits_.accept_period;
    bucket.left = std::min(limits_.accept_burst, bucket.left + gained);
    if (bucket.left == limits_.accept_burst) bucket.filled_at = now;
}

// A token bucket: accept_burst at once, then one in each accept_period. Of too many places those
// that came longest ago are forgotten, which gives them a full bucket again.
bool SourceLimiter::take(const std::string& source, io::TimePoint now) {
    const auto known = buckets_.find(source);
    if (known == buckets_.end()) {
        if (buckets_.size() >= limits_.accept_sources_max && !ages_.empty()) {
            buckets_.erase(ages_.front());
            ages_.pop_front();
        }
        const auto age = ages_.insert(ages_.end(), source);
        buckets_.emplace(source,
                         Bucket{.left = limits_.accept_burst - 1, .filled_at = now, .age = age});
        return true;
    }
    Bucket& bucket = known->second;
    ages_.splice(ages_.end(), ages_, bucket.age);
    refill(bucket, now);
    if (bucket.left == 0) return false;
    --bucket.left;
    return true;
}

}  // namespace kwaai::p2p
