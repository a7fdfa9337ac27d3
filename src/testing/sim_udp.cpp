#include "testing/sim_udp.hpp"

#include <algorithm>

namespace kwaai::testing {
namespace {

constexpr std::size_t kQueuePacketsMax = 1024;
constexpr std::size_t kTakenMax = 32;
constexpr io::Duration kLineQueueMax = std::chrono::milliseconds(100);

bool is_unspecified(const io::Endpoint& endpoint) {
    return std::ranges::all_of(endpoint.ip, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

SimUdp::SimUdp(std::shared_ptr<SimWorld> world, HostIndex host, const io::Endpoint& address)
    : world_(std::move(world)),
      host_(host),
      address_(address),
      random_(random_bits(world_->options.seed, world_->next_number++)) {
    world_->hosts[host_]->udp_sockets[address_.port] = this;
}

bool SimUdp::send(const io::Endpoint& to, Bytes bytes, std::size_t packet_bytes) {
    while (!bytes.empty() && !is_closed_) {
        const Bytes packet = bytes.first(std::min(packet_bytes, bytes.size()));
        send_packet(to, packet);
        bytes = bytes.subspan(packet.size());
    }
    return true;
}

io::Task<void> SimUdp::wait_writable() {
    co_await io::yield();
}

void SimUdp::send_packet(const io::Endpoint& to, Bytes bytes) {
    SimHost& host = *world_->hosts[host_];
    const io::Address target = io::to_address(to);
    io::Address local = io::to_address(address_);
    const bool is_to_self = target.host == "127.0.0.1" || target.host == "::1";
    if (is_unspecified(address_)) local.host = is_to_self ? target.host : host.ip();
    const auto way = host.way_to(local, target, true);
    if (!way) return;
    const HostPair pair(host_, way->target);
    SimWorld::Line& line = world_->line(pair);
    const SimLink& link = line.link;
    if (random_.next_unit() < link.loss) return;
    io::TimePoint due = std::max(world_->clock.now(), line.is_free_at);
    if (due - world_->clock.now() > kLineQueueMax) return;
    if (link.bytes_per_second != 0) {
        const double seconds =
            static_cast<double>(bytes.size()) / static_cast<double>(link.bytes_per_second);
        due += std::chrono::duration_cast<io::Duration>(std::chrono::duration<double>(seconds));
        line.is_free_at = due;
    }
    const auto source = io::to_endpoint(way->source);
    if (!source) return;
    auto arrival = [world = std::weak_ptr<SimWorld>(world_),
                    pair,
                    nat = way->nat,
                    to_port = target.port,
                    port = way->port,
                    from = *source,
                    copy = std::vector<std::byte>(bytes.begin(), bytes.end())]() mutable {
        const std::shared_ptr<SimWorld> shared = world.lock();
        if (shared == nullptr || shared->is_blocked(pair)) return;
        if (nat != nullptr && !nat->lets_in(to_port, io::to_address(from))) return;
        const auto& sockets = shared->hosts[pair.second]->udp_sockets;
        const auto found = sockets.find(port);
        if (found == sockets.end()) return;
        shared->record(pair, copy.size());
        std::uint64_t bytes_turned = 0;
        if (shared->garbage.contains(pair))
            for (std::byte& byte : copy)
                byte = static_cast<std::byte>(random_bits(shared->trace, bytes_turned++));
        found->second->arrive(from, copy);
    };
    for (int copies = random_.next_unit() < link.duplication ? 2 : 1; copies > 0; --copies) {
        const double jitter = static_cast<double>(link.jitter.count()) * random_.next_unit();
        const auto late = io::Duration(static_cast<io::Duration::rep>(jitter));
        world_->clock.certainly_call_at(due + link.latency + late, arrival);
    }
}

void SimUdp::arrive(const io::Endpoint& from, std::vector<std::byte> bytes) {
    if (queue_.size() >= kQueuePacketsMax) return;
    queue_.push_back({.from = from, .bytes = std::move(bytes)});
    changed_.notify_all();
}

io::Task<Result<std::span<const io::Packet>>> SimUdp::receive() {
    while (queue_.empty() && !is_closed_)
        co_await changed_.wait();
    if (is_closed_) co_return fail(Errc::closed, "receiving packets: closed");
    taken_.clear();
    packets_.clear();
    while (!queue_.empty() && taken_.size() < kTakenMax) {
        taken_.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    for (const Arrived& arrived : taken_)
        packets_.push_back({.from = arrived.from, .bytes = arrived.bytes});
    co_return std::span<const io::Packet>(packets_);
}

void SimUdp::close() {
    if (is_closed_) return;
    is_closed_ = true;
    world_->hosts[host_]->udp_sockets.erase(address_.port);
    queue_.clear();
    changed_.notify_all();
}

}  // namespace kwaai::testing
