// Has the router forward the ports where a node listens.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/clock.hpp"
#include "io/offload.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/nat/gateway.hpp"

namespace kwaai::p2p {

struct PortMapperOptions {
    std::chrono::seconds lifetime{3600};     // asked for; renewed after half of what is granted
    std::chrono::seconds lifetime_min{120};  // a router that grants less is asked no more often
    std::chrono::seconds retry{300};         // where no router answers
    std::size_t ports_max = 4;
};

/// Asks each gateway in turn, off the loop's thread, and tells `addresses` what was mapped.
/// Confined to the loop's thread.
class PortMapper {
public:
    /// `host`, `clock`, `addresses` and `work` outlive it.
    PortMapper(Host& host,
               io::Clock& clock,
               AddressManager& addresses,
               io::WorkQueue& work,
               std::vector<std::shared_ptr<Gateway>> gateways,
               PortMapperOptions options);

    /// Maps and renews until cancelled; `work` removes the mappings afterwards.
    io::Task<void> run();

private:
    struct Mapped {
        std::shared_ptr<Gateway> gateway;
        std::uint16_t port = 0;  // ours
        PortMapping mapping;
    };

    class Held;
    io::Task<bool> map_port(std::uint16_t port, Held& held);
    [[nodiscard]] std::vector<std::uint16_t> ports() const;
    [[nodiscard]] std::vector<Multiaddr> mapped_addresses(const Held& held) const;

    Host& host_;
    io::Clock& clock_;
    AddressManager& addresses_;
    io::WorkQueue& work_;
    std::vector<std::shared_ptr<Gateway>> gateways_;
    PortMapperOptions options_;
};

}  // namespace kwaai::p2p
