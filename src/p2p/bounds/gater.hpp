// Who may be dialled, and who may come (libp2p.md §1.26; go-libp2p's ConnectionGater).
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "p2p/bounds/resource_manager.hpp"
#include "p2p/ip_text.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Asked on the host's thread; answers at once. Everything is allowed unless a subclass says no.
class ConnectionGater {
public:
    ConnectionGater() = default;
    ConnectionGater(const ConnectionGater&) = delete;
    ConnectionGater& operator=(const ConnectionGater&) = delete;
    virtual ~ConnectionGater() = default;

    /// Before anything is dialled.
    [[nodiscard]] virtual bool may_dial_peer(const PeerId& peer) const;
    /// Before this address is; for names again with each address that they stand for.
    /// @param ip empty while it is not known
    [[nodiscard]] virtual bool may_dial(const PeerId& peer, std::string_view ip) const;
    /// A connection has come, and nothing was read yet.
    [[nodiscard]] virtual bool may_accept(std::string_view ip) const;
    /// The handshake has told who it is.
    [[nodiscard]] virtual bool may_keep(const PeerId& peer,
                                        Direction direction,
                                        const Multiaddr& address) const;
};

/// The addresses that begin with the same bits.
class Subnet {
public:
    /// "192.0.2.0/24", "2001:db8::/32", or one address. `Errc::invalid_argument`.
    static Result<Subnet> parse(std::string_view text);

    /// An IPv4-mapped IPv6 address is the IPv4 address.
    [[nodiscard]] bool contains(std::string_view ip) const;

    bool operator==(const Subnet&) const = default;

private:
    Subnet(std::string bytes, unsigned bits) : bytes_(std::move(bytes)), bits_(bits) {}

    std::string bytes_;  // 4 or 16
    unsigned bits_;
};

/// The bytes of an IP address, 4 or 16, an IPv4-mapped one as 4; empty for other text.
[[nodiscard]] std::string ip_bytes(std::string_view ip);

/// Refuses listed peers and networks in both directions.
class BlockList final : public ConnectionGater {
public:
    void block(const PeerId& peer) { peers_.insert(peer); }

    void unblock(const PeerId& peer) { peers_.erase(peer); }

    void block(const Subnet& subnet);

    void unblock(const Subnet& subnet) { std::erase(subnets_, subnet); }

    [[nodiscard]] bool may_dial_peer(const PeerId& peer) const override;
    [[nodiscard]] bool may_dial(const PeerId& peer, std::string_view ip) const override;
    [[nodiscard]] bool may_accept(std::string_view ip) const override;
    [[nodiscard]] bool may_keep(const PeerId& peer,
                                Direction direction,
                                const Multiaddr& address) const override;

private:
    std::set<PeerId> peers_;
    std::vector<Subnet> subnets_;
};

}  // namespace kwaai::p2p
