#include "testing/sim_network.hpp"

#include <algorithm>
#include <deque>
#include <optional>

#include "base/check.hpp"
#include "testing/sim_flow.hpp"

namespace kwaai::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBacklogMax = 128;
constexpr std::uint16_t kFirstChosenPort = 40000;
constexpr io::Duration kFirstRetry = 1s;  // then twice as long, seven times: 127 s, as Linux

bool is_any_address(const std::string& host) {
    return host == "0.0.0.0" || host == "::";
}

bool is_loopback(const std::string& host) {
    return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

bool is_v6(const std::string& ip) {
    return ip.find(':') != std::string::npos;
}

}  // namespace

class SimListener final : public io::Listener {
public:
    SimListener(std::shared_ptr<SimWorld> world, HostIndex host, io::Address address);

    ~SimListener() override { SimListener::close(); }

    io::Task<Result<std::unique_ptr<io::Stream>>> accept() override {
        while (backlog_.empty() && !is_closed_)
            co_await changed_.wait();
        if (is_closed_)
            co_return fail(Errc::closed,
                           "accepting a connection on " + local_address() + ": closed");
        std::unique_ptr<io::Stream> next = std::move(backlog_.front());
        backlog_.pop_front();
        co_return next;
    }

    void close() override;

    [[nodiscard]] std::string local_address() const override { return io::to_string(address_); }

    [[nodiscard]] bool accepts(const std::string& host) const {
        return is_loopback(host) ? is_loopback(address_.host) || is_any_address(address_.host)
                                 : !is_loopback(address_.host);
    }

    [[nodiscard]] bool is_full() const { return backlog_.size() >= kBacklogMax; }

    void push(std::unique_ptr<io::Stream> stream) {
        backlog_.push_back(std::move(stream));
        changed_.notify_all();
    }

private:
    std::shared_ptr<SimWorld> world_;
    HostIndex host_;
    io::Address address_;
    std::deque<std::unique_ptr<io::Stream>> backlog_;
    io::Event changed_;
    bool is_closed_ = false;
};

class SimHost final : public io::Network {
public:
    SimHost(SimWorld& world, HostIndex index, std::string ip)
        : world_(world), index_(index), ip_(std::move(ip)) {}

    io::Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address address) override;
    Result<std::unique_ptr<io::Listener>> listen(const io::Address& address) override;
    io::Task<Result<std::vector<std::string>>> resolve(std::string name,
                                                       io::IpFamily family) override;

    [[nodiscard]] const std::string& ip() const { return ip_; }

    /// Set by the SimNetwork; what it makes shares the world.
    std::weak_ptr<SimWorld> shared_world;
    std::map<std::uint16_t, SimListener*> listeners;

private:
    io::Task<Result<std::unique_ptr<io::Stream>>> attempt(io::Address address, HostPair pair);
    std::unique_ptr<io::Stream> join(SimListener& listener,
                                     const io::Address& address,
                                     HostPair pair);
    [[nodiscard]] std::optional<HostIndex> find(const std::string& host) const;

    SimWorld& world_;
    HostIndex index_;
    std::string ip_;
    std::uint16_t next_port_ = kFirstChosenPort;
};

SimListener::SimListener(std::shared_ptr<SimWorld> world, HostIndex host, io::Address address)
    : world_(std::move(world)), host_(host), address_(std::move(address)) {
    world_->hosts[host_]->listeners[address_.port] = this;
}

void SimListener::close() {
    if (is_closed_) return;
    is_closed_ = true;
    world_->hosts[host_]->listeners.erase(address_.port);
    backlog_.clear();
    changed_.notify_all();
}

std::optional<HostIndex> SimHost::find(const std::string& host) const {
    if (is_loopback(host)) return index_;
    const auto place = world_.indices.find(host);
    if (place == world_.indices.end()) return std::nullopt;
    return place->second;
}

io::Task<Result<std::unique_ptr<io::Stream>>> SimHost::connect(io::Address address) {
    const std::string doing = "cannot connect to " + io::to_string(address);
    const std::optional<HostIndex> target = find(address.host);
    io::Duration retry = kFirstRetry;
    for (int attempts = 0; attempts < 7; ++attempts) {
        const io::TimePoint next = world_.clock.now() + retry;
        retry *= 2;
        if (target) {
            Result<std::unique_ptr<io::Stream>> stream =
                co_await attempt(address, HostPair(index_, *target));
            if (!stream) co_return forward_error(stream, doing);
            if (*stream) co_return stream;
        }
        co_await world_.clock.sleep_until(next);
    }
    co_return fail(Errc::timed_out, doing + ": connection timed out");
}

// One SYN and its answer; a null stream where either was lost.
io::Task<Result<std::unique_ptr<io::Stream>>> SimHost::attempt(io::Address address, HostPair pair) {
    std::unique_ptr<io::Stream> stream;
    bool is_refused = false;
    const HostPair back(pair.second, pair.first);
    co_await world_.clock.sleep_for(world_.line(pair).link.latency);
    if (!world_.is_blocked(pair)) {
        const auto& open = world_.hosts[pair.second]->listeners;
        const auto place = open.find(address.port);
        is_refused = place == open.end() || !place->second->accepts(address.host);
        if (!is_refused && !place->second->is_full()) stream = join(*place->second, address, pair);
    }
    co_await world_.clock.sleep_for(world_.line(back).link.latency);
    if (world_.is_blocked(back))
        stream.reset();
    else if (is_refused)
        co_return fail(Errc::unavailable, "connection refused");
    co_return std::move(stream);
}

std::unique_ptr<io::Stream> SimHost::join(SimListener& listener,
                                          const io::Address& address,
                                          HostPair pair) {
    const std::shared_ptr<SimWorld> world = shared_world.lock();
    const auto up = std::make_shared<SimFlow>(world, pair);
    const auto down = std::make_shared<SimFlow>(world, HostPair(pair.second, pair.first));
    up->set_reverse(down);
    down->set_reverse(up);
    const io::Address ours{.host = is_loopback(address.host) ? address.host : ip_,
                           .port = next_port_++};
    next_port_ = std::max(next_port_, kFirstChosenPort);  // after 65535
    listener.push(make_sim_stream(up, down, io::to_string(ours)));
    return make_sim_stream(down, up, io::to_string(address));
}

Result<std::unique_ptr<io::Listener>> SimHost::listen(const io::Address& address) {
    const std::string doing = "cannot listen on " + io::to_string(address);
    if (address.host != ip_ && !is_loopback(address.host) && !is_any_address(address.host))
        return fail(Errc::invalid_argument, doing + ": cannot assign requested address");
    io::Address chosen = address;
    while (chosen.port == 0 || (address.port == 0 && listeners.contains(chosen.port))) {
        chosen.port = next_port_++;
        next_port_ = std::max(next_port_, kFirstChosenPort);
    }
    if (listeners.contains(chosen.port))
        return fail(Errc::unavailable, doing + ": address already in use");
    return std::make_unique<SimListener>(shared_world.lock(), index_, std::move(chosen));
}

io::Task<Result<std::vector<std::string>>> SimHost::resolve(std::string name, io::IpFamily family) {
    const std::string doing = "cannot look up \"" + name + "\"";
    co_await world_.clock.sleep_for(world_.options.link.latency);
    if (world_.frozen.contains(index_)) co_return fail(Errc::unavailable, doing + ": no answer");
    std::vector<std::string> addresses;
    const auto place = world_.names.find(name);
    if (place != world_.names.end()) addresses = place->second;
    if (world_.indices.contains(name)) addresses = {name};
    if (name == "localhost") addresses = {"127.0.0.1"};
    std::erase_if(addresses, [family](const std::string& ip) {
        return family != io::IpFamily::any && is_v6(ip) != (family == io::IpFamily::v6);
    });
    if (addresses.empty()) co_return fail(Errc::not_found, doing + ": host not found");
    co_return addresses;
}

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

void SimNetwork::set_name(const std::string& name, std::vector<std::string> addresses) {
    world_->names[name] = std::move(addresses);
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
