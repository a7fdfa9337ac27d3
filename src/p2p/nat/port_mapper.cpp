#include "p2p/nat/port_mapper.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p {

// The mappings of a run; removed when it ends, however that is.
class PortMapper::Held {
public:
    Held(AddressManager& addresses, io::WorkQueue& work) : addresses_(addresses), work_(work) {}

    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    ~Held() {
        addresses_.set_addresses(AddressSource::mapped, {});
        if (all.empty()) return;
        // The caller may be cancelled: nothing is waited for. A full queue leaves the mappings to
        // their lifetime.
        const bool is_taken = work_.submit([gone = std::move(all)] {
            for (const Mapped& one : gone)
                one.gateway->unmap(one.port, one.mapping);
        });
        static_cast<void>(is_taken);
    }

    std::vector<Mapped> all;

private:
    AddressManager& addresses_;
    io::WorkQueue& work_;
};

PortMapper::PortMapper(Host& host,
                       io::Clock& clock,
                       AddressManager& addresses,
                       io::WorkQueue& work,
                       std::vector<std::shared_ptr<Gateway>> gateways,
                       PortMapperOptions options)
    : host_(host),
      clock_(clock),
      addresses_(addresses),
      work_(work),
      gateways_(std::move(gateways)),
      options_(options) {}

std::vector<std::uint16_t> PortMapper::ports() const {
    std::vector<std::uint16_t> all;
    for (const Multiaddr& address : host_.addresses()) {
        const auto target = address.tcp_target();
        if (!target || target->kind != AddrCode::ip4 || address.is_loopback()) continue;
        if (std::ranges::find(all, target->port) == all.end() && all.size() < options_.ports_max)
            all.push_back(target->port);
    }
    return all;
}

// Every transport of a port that is mapped.
std::vector<Multiaddr> PortMapper::mapped_addresses(const Held& held) const {
    std::vector<Multiaddr> all;
    for (const Mapped& one : held.all)
        for (const Multiaddr& address : host_.addresses()) {
            const auto target = address.tcp_target();
            if (!target || target->kind != AddrCode::ip4 || target->port != one.port) continue;
            const bool is_named = target->server_name != target->host;
            auto outer = Multiaddr::of({.host = one.mapping.ip, .port = one.mapping.port},
                                       target->transport,
                                       is_named ? target->server_name : "");
            if (outer) all.push_back(std::move(*outer));
        }
    return all;
}

// The gateway that mapped it before goes first: another one would map it twice.
io::Task<bool> PortMapper::map_port(std::uint16_t port, Held& held) {
    const auto is_it = [port](const Mapped& one) {
        return one.port == port;
    };
    std::vector<std::shared_ptr<Gateway>> order = gateways_;
    const auto before = std::ranges::find_if(held.all, is_it);
    if (before != held.all.end())
        std::ranges::partition(order,
                               [&](const auto& gateway) { return gateway == before->gateway; });
    for (const std::shared_ptr<Gateway>& gateway : order) {
        const auto ask = [gateway, port, lifetime = options_.lifetime] {
            return gateway->map(port, lifetime);
        };
        auto mapping = co_await io::offload(work_, ask);
        if (!mapping) continue;
        std::erase_if(held.all, is_it);
        held.all.push_back({.gateway = gateway, .port = port, .mapping = std::move(*mapping)});
        co_return true;
    }
    std::erase_if(held.all, is_it);
    co_return false;
}

io::Task<void> PortMapper::run() {
    Held held(addresses_, work_);
    while (true) {
        bool is_complete = true;
        for (const std::uint16_t port : ports()) {
            const bool is_mapped = co_await map_port(port, held);
            is_complete = is_complete && is_mapped;
        }
        addresses_.set_addresses(AddressSource::mapped, mapped_addresses(held));
        std::chrono::seconds pause = is_complete ? options_.lifetime / 2 : options_.retry;
        for (const Mapped& one : held.all)
            if (one.mapping.lifetime.count() > 0) pause = std::min(pause, one.mapping.lifetime / 2);
        co_await clock_.sleep_for(std::max(pause, options_.lifetime_min / 2));
    }
}

}  // namespace kwaai::p2p
