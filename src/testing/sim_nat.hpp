// The inside of SimNetwork: a router that gives hosts behind it places at its own address.
#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "io/address.hpp"
#include "testing/sim_network.hpp"

namespace kwaai::testing {

/// Maps and filters. Lets in only what comes from where the same place has sent to, as most home
/// routers do. Mappings last for ever. No port outside is used for both TCP and UDP.
class SimNat {
public:
    struct Inside {
        std::uint32_t host = 0;
        std::uint16_t port = 0;
        bool is_udp = false;

        auto operator<=>(const Inside&) const = default;
    };

    SimNat(std::string public_ip, SimNatKind kind)
        : public_ip_(std::move(public_ip)), kind_(kind) {}

    /// As whom `remote` sees what this place sends there; it may answer from now on.
    io::Address send(Inside inside, const io::Address& remote);
    /// Whose public port that is.
    [[nodiscard]] std::optional<Inside> owner(std::uint16_t port) const;
    /// Whether what `remote` sends to that port is let in.
    [[nodiscard]] bool lets_in(std::uint16_t port, const io::Address& remote) const;

private:
    std::string public_ip_;
    SimNatKind kind_;
    std::map<std::pair<Inside, std::string>, std::uint16_t> ports_;
    std::map<std::uint16_t, Inside> owners_;
    std::set<std::pair<std::uint16_t, std::string>> permits_;
    std::uint16_t next_port_ = 20001;
};

}  // namespace kwaai::testing
