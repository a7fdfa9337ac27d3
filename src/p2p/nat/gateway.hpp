// Routers that forward a port to this machine on request.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"

namespace kwaai::p2p {

struct PortMapping {
    std::string ip;  // IPv4, the router's outer one
    std::uint16_t port = 0;
    std::chrono::seconds lifetime{};  // 0: until it is removed
};

/// Blocks: for a thread of an io::WorkQueue, one call at a time.
class Gateway {
public:
    Gateway() = default;
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;
    virtual ~Gateway() = default;

    /// Forwards a TCP port to `port` of this machine, or renews that. `Errc::unavailable` where no
    /// such router answers or it refuses.
    [[nodiscard]] virtual Result<PortMapping> map(std::uint16_t port,
                                                  std::chrono::seconds lifetime) = 0;
    virtual void unmap(std::uint16_t port, const PortMapping& mapping) = 0;
};

/// UPnP's Internet Gateway Device through libminiupnpc; looks for the router by multicast, for
/// two seconds.
/// @param url of the router's description, where it is known: it is not looked for then
[[nodiscard]] std::shared_ptr<Gateway> make_upnp_gateway(std::string url = {});

/// NAT-PMP (RFC 6886) through libnatpmp; three seconds for an answer.
/// @param ip of the router, where it is known: else the default route's
[[nodiscard]] std::shared_ptr<Gateway> make_natpmp_gateway(std::string ip = {});

}  // namespace kwaai::p2p
