#include "testing/sim_host.hpp"

#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "testing/sim_udp.hpp"

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

SimListener::SimListener(std::shared_ptr<SimWorld> world, HostIndex host, io::Address address)
    : world_(std::move(world)), host_(host), address_(std::move(address)) {
    world_->hosts[host_]->listeners[address_.port] = this;
}

bool SimListener::accepts(const std::string& host) const {
    return is_loopback(host) ? is_loopback(address_.host) || is_any_address(address_.host)
                             : !is_loopback(address_.host);
}

bool SimListener::is_full() const {
    return backlog_.size() >= kBacklogMax;
}

void SimListener::close() {
    if (is_closed_) return;
    is_closed_ = true;
    world_->hosts[host_]->listeners.erase(address_.port);
    backlog_.clear();
    changed_.notify_all();
}

SimHost::SimHost(SimWorld& world, HostIndex index, std::string ip)
    : world_(world), index_(index), ip_(std::move(ip)), next_port_(kFirstChosenPort) {}

// Whom others may meet, for as long as it goes on.
class SimHost::Dialling {
public:
    Dialling(SimHost& host, SimDial& dial) : host_(host), dial_(dial) {
        host_.dials_.push_back(&dial_);
    }

    Dialling(const Dialling&) = delete;
    Dialling& operator=(const Dialling&) = delete;

    ~Dialling() { std::erase(host_.dials_, &dial_); }

private:
    SimHost& host_;
    SimDial& dial_;
};

std::uint16_t SimHost::choose_port() {
    const std::uint16_t port = next_port_++;
    next_port_ = std::max(next_port_, kFirstChosenPort);  // after 65535
    return port;
}

SimDial* SimHost::dial_of(std::uint16_t port, const io::Address& remote) const {
    for (SimDial* const dial : dials_)
        if (dial->local.port == port && dial->remote.port == remote.port &&
            dial->remote.host == remote.host)
            return dial;
    return nullptr;
}

std::optional<SimHost::Way> SimHost::way_to(const io::Address& local,
                                            const io::Address& to,
                                            bool is_udp) {
    if (is_loopback(to.host)) return Way{.target = index_, .port = to.port, .source = local};
    const auto place = world_.indices.find(to.host);
    const auto router = world_.nats.find(to.host);
    const bool is_known = place != world_.indices.end();
    const SimHost* const seen = is_known ? world_.hosts[place->second].get() : nullptr;
    if (seen != nullptr && seen->nat == nat)
        return Way{.target = seen->index_, .port = to.port, .source = local};
    const io::Address source =
        nat == nullptr ? local
                       : nat->send({.host = index_, .port = local.port, .is_udp = is_udp}, to);
    if (seen != nullptr && seen->nat == nullptr)
        return Way{.target = seen->index_, .port = to.port, .source = source};
    // Nobody is reached at an address behind another router, nor from behind at one's own router.
    if (router == world_.nats.end() || router->second.get() == nat) return std::nullopt;
    const auto owner = router->second->owner(to.port);
    if (!owner || owner->is_udp != is_udp) return std::nullopt;
    return Way{
        .target = owner->host, .port = owner->port, .source = source, .nat = router->second.get()};
}

io::Task<Result<std::unique_ptr<io::Stream>>> SimHost::connect(io::Address address) {
    io::Address local{.host = is_loopback(address.host) ? address.host : ip_,
                      .port = choose_port()};
    auto stream = co_await connect_from(std::move(local), std::move(address));
    co_return stream;
}

io::Task<void> SimHost::wait_until_met(SimDial& dial) {
    while (!dial.is_met)
        co_await dial.met.wait();
}

io::Task<Result<std::unique_ptr<io::Stream>>> SimHost::connect_from(io::Address local,
                                                                    io::Address address) {
    const std::string doing = "cannot connect to " + io::to_string(address);
    if (is_any_address(local.host)) local.host = is_loopback(address.host) ? address.host : ip_;
    if (dial_of(local.port, address) != nullptr)
        co_return fail(Errc::invalid_argument, doing + ": address already in use");
    SimDial dial{.local = std::move(local), .remote = std::move(address), .stream = {}, .met = {}};
    const Dialling dialling(*this, dial);
    io::Duration retry = kFirstRetry;
    for (int attempts = 0; attempts < 7; ++attempts) {
        const io::TimePoint next = world_.clock.now() + retry;
        retry *= 2;
        Result<std::unique_ptr<io::Stream>> stream = co_await attempt(dial);
        if (dial.stream != nullptr) co_return std::move(dial.stream);
        if (!stream) co_return forward_error(stream, doing);
        if (*stream) co_return stream;
        io::Task<void> waiting = wait_until_met(dial);
        const bool is_met = co_await io::finishes_within(
            world_.clock, next - world_.clock.now(), std::move(waiting));
        if (is_met && dial.stream != nullptr) co_return std::move(dial.stream);
    }
    co_return fail(Errc::timed_out, doing + ": connection timed out");
}

// One SYN and its answer; a null stream where either was lost.
io::Task<Result<std::unique_ptr<io::Stream>>> SimHost::attempt(SimDial& dial) {
    const std::optional<Way> way = way_to(dial.local, dial.remote, false);
    if (!way) co_return nullptr;
    const HostPair pair(index_, way->target);
    const HostPair back(pair.second, pair.first);
    std::unique_ptr<io::Stream> stream;
    bool is_refused = false;
    co_await world_.clock.sleep_for(world_.line(pair).link.latency);
    if (!world_.is_blocked(pair)) stream = arrive(dial, *way, is_refused);
    co_await world_.clock.sleep_for(world_.line(back).link.latency);
    if (world_.is_blocked(back))
        stream.reset();
    else if (is_refused)
        co_return fail(Errc::unavailable, "connection refused");
    co_return std::move(stream);
}

// What the target does about a SYN: as TCP it prefers a connection that it is opening itself.
std::unique_ptr<io::Stream> SimHost::arrive(SimDial& dial, const Way& way, bool& is_refused) {
    if (way.nat != nullptr && !way.nat->lets_in(dial.remote.port, way.source)) return nullptr;
    SimHost& target = *world_.hosts[way.target];
    SimDial* const meeting = target.dial_of(way.port, way.source);
    const auto place = target.listeners.find(way.port);
    if (meeting != nullptr && (meeting->is_met || dial.is_met)) return nullptr;
    if (meeting == nullptr) {
        is_refused = place == target.listeners.end() || !place->second->accepts(dial.remote.host);
        if (is_refused || place->second->is_full()) return nullptr;
    }
    const std::shared_ptr<SimWorld> world = shared_world.lock();
    const auto up = std::make_shared<SimFlow>(world, HostPair(index_, way.target));
    const auto down = std::make_shared<SimFlow>(world, HostPair(way.target, index_));
    up->set_reverse(down);
    down->set_reverse(up);
    std::unique_ptr<io::Stream> theirs = make_sim_stream(up, down, io::to_string(way.source));
    if (meeting == nullptr) {
        place->second->push(std::move(theirs));
    } else {
        dial.is_met = meeting->is_met = true;
        meeting->stream = std::move(theirs);
        meeting->met.notify_all();
    }
    return make_sim_stream(down, up, io::to_string(dial.remote));
}

Result<std::unique_ptr<io::Listener>> SimHost::listen(const io::Address& address) {
    const std::string doing = "cannot listen on " + io::to_string(address);
    if (address.host != ip_ && !is_loopback(address.host) && !is_any_address(address.host))
        return fail(Errc::invalid_argument, doing + ": cannot assign requested address");
    io::Address chosen = address;
    while (chosen.port == 0 || (address.port == 0 && listeners.contains(chosen.port)))
        chosen.port = choose_port();
    if (listeners.contains(chosen.port))
        return fail(Errc::unavailable, doing + ": address already in use");
    return std::make_unique<SimListener>(shared_world.lock(), index_, std::move(chosen));
}

Result<std::unique_ptr<io::UdpSocket>> SimHost::open_udp(const io::Address& address) {
    const std::string doing = "cannot open UDP on " + io::to_string(address);
    if (address.host != ip_ && !is_loopback(address.host) && !is_any_address(address.host))
        return fail(Errc::invalid_argument, doing + ": cannot assign requested address");
    KWAAI_TRY(io::Endpoint chosen, io::to_endpoint(address));
    while (chosen.port == 0 || (address.port == 0 && udp_sockets.contains(chosen.port)))
        chosen.port = choose_port();
    if (udp_sockets.contains(chosen.port))
        return fail(Errc::unavailable, doing + ": address already in use");
    return std::make_unique<SimUdp>(shared_world.lock(), index_, chosen);
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

io::Task<Result<std::vector<std::string>>> SimHost::resolve_text(std::string name) {
    const std::string doing = "cannot look up the TXT records of \"" + name + "\"";
    co_await world_.clock.sleep_for(world_.options.link.latency);
    if (world_.frozen.contains(index_)) co_return fail(Errc::unavailable, doing + ": no answer");
    const auto place = world_.texts.find(name);
    if (place == world_.texts.end() || place->second.empty())
        co_return fail(Errc::not_found, doing + ": it has none");
    std::vector<std::string> records = place->second;
    if (records.size() > io::kTextRecordsMax) records.resize(io::kTextRecordsMax);
    co_return records;
}

}  // namespace kwaai::testing
