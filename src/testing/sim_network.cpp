#include "testing/sim_network.hpp"

#include "base/check.hpp"
#include "testing/sim_flow.hpp"
#include "testing/sim_host.hpp"
#include "testing/sim_nat.hpp"
#include "testing/sim_udp.hpp"

namespace kwaai::testing {
namespace {

using namespace std::chrono_literals;

}  // namespace

SimWorld::SimWorld(VirtualClock& its_clock, const SimNetworkOptions& its_options)
    : clock(its_clock), options(its_options) {}

SimWorld::~SimWorld() = default;

HostIndex SimWorld::index_of(const std::string& ip) {
    const auto place = indices.find(ip);
    KWAAI_CHECK(place != indices.end(), "a simulated network has no such host");
    return place->second;
}

SimWorld::Line& SimWorld::line(HostPair pair) {
    const auto place = lines.find(pair);
    if (place != lines.end()) return place->second;
    Line fresh{.link = options.link};
    if (pair.first == pair.second) fresh.link = SimLink{.latency = 50us};
    return lines.emplace(pair, fresh).first->second;
}

bool SimWorld::is_blocked(HostPair pair) const {
    return frozen.contains(pair.first) || frozen.contains(pair.second) || cuts.contains(pair);
}

void SimWorld::resume() {
    for (const auto& [number, flow] : flows)
        flow->resume();
}

void SimWorld::record(HostPair pair, std::uint64_t size) {
    const auto time = static_cast<std::uint64_t>(clock.now().time_since_epoch().count());
    for (const std::uint64_t word :
         {time, std::uint64_t{pair.first}, std::uint64_t{pair.second}, size})
        trace = random_bits(trace ^ word, deliveries);
    ++deliveries;
}

SimNetwork::SimNetwork(VirtualClock& clock, const SimNetworkOptions& options)
    : world_(std::make_shared<SimWorld>(clock, options)) {}

SimNetwork::~SimNetwork() = default;

io::Network& SimNetwork::host(const std::string& ip) {
    const auto next = static_cast<HostIndex>(world_->hosts.size());
    const auto [place, is_new] = world_->indices.emplace(ip, next);
    if (is_new) {
        world_->hosts.push_back(std::make_unique<SimHost>(*world_, next, ip));
        world_->hosts.back()->shared_world = world_;
    }
    return *world_->hosts[place->second];
}

void SimNetwork::put_behind_nat(const std::string& ip,
                                const std::string& public_ip,
                                SimNatKind kind) {
    std::unique_ptr<SimNat>& router = world_->nats[public_ip];
    if (router == nullptr) router = std::make_unique<SimNat>(public_ip, kind);
    world_->hosts[world_->index_of(ip)]->nat = router.get();
}

void SimNetwork::set_name(const std::string& name, std::vector<std::string> addresses) {
    world_->names[name] = std::move(addresses);
}

void SimNetwork::set_text(const std::string& name, std::vector<std::string> records) {
    world_->texts[name] = std::move(records);
}

void SimNetwork::set_link(const std::string& one, const std::string& other, const SimLink& link) {
    const HostPair pair(world_->index_of(one), world_->index_of(other));
    world_->line(pair).link = link;
    world_->line(HostPair(pair.second, pair.first)).link = link;
}

void SimNetwork::cut(const std::string& one, const std::string& other) {
    const HostPair pair(world_->index_of(one), world_->index_of(other));
    world_->cuts.insert(pair);
    world_->cuts.insert(HostPair(pair.second, pair.first));
}

void SimNetwork::heal(const std::string& one, const std::string& other) {
    const HostPair pair(world_->index_of(one), world_->index_of(other));
    world_->cuts.erase(pair);
    world_->cuts.erase(HostPair(pair.second, pair.first));
    world_->resume();
}

void SimNetwork::partition(const std::vector<std::string>& one,
                           const std::vector<std::string>& other) {
    for (const std::string& left : one)
        for (const std::string& right : other)
            cut(left, right);
}

void SimNetwork::heal_all() {
    world_->cuts.clear();
    world_->resume();
}

void SimNetwork::crash(const std::string& ip) {
    const HostIndex host = world_->index_of(ip);
    auto& listeners = world_->hosts[host]->listeners;
    while (!listeners.empty())
        listeners.begin()->second->close();
    auto& udp_sockets = world_->hosts[host]->udp_sockets;
    while (!udp_sockets.empty())
        udp_sockets.begin()->second->close();
    for (const auto& [number, flow] : world_->flows) {
        if (flow->pair().second != host) continue;
        flow->break_receiver();
        if (const auto out = flow->reverse()) out->end(SimEnding::broken);
    }
}

void SimNetwork::freeze(const std::string& ip) {
    world_->frozen.insert(world_->index_of(ip));
}

void SimNetwork::thaw(const std::string& ip) {
    world_->frozen.erase(world_->index_of(ip));
    world_->resume();
}

void SimNetwork::reset(const std::string& one, const std::string& other) {
    const HostPair pair(world_->index_of(one), world_->index_of(other));
    for (const auto& [number, flow] : world_->flows)
        if (flow->pair() == pair || flow->pair() == HostPair(pair.second, pair.first))
            flow->break_receiver();
}

void SimNetwork::set_garbage(const std::string& from, const std::string& to, bool is_on) {
    const HostPair pair(world_->index_of(from), world_->index_of(to));
    if (is_on)
        world_->garbage.insert(pair);
    else
        world_->garbage.erase(pair);
}

std::uint64_t SimNetwork::trace_hash() const {
    return world_->trace;
}

std::uint64_t SimNetwork::delivery_count() const {
    return world_->deliveries;
}

std::size_t SimNetwork::connection_count() const {
    return world_->flows.size() / 2;
}

}  // namespace kwaai::testing
