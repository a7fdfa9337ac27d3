// What a node of the table needs of its host.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p::kad {

/// Each function as the one of Host with its name. Implementations: HostNetwork; simulations of a
/// thousand nodes have one without handshakes. Confined to the loop's thread.
class DhtNetwork {
public:
    DhtNetwork() = default;
    DhtNetwork(const DhtNetwork&) = delete;
    DhtNetwork& operator=(const DhtNetwork&) = delete;
    virtual ~DhtNetwork() = default;

    [[nodiscard]] virtual const PeerId& id() const = 0;
    [[nodiscard]] virtual std::vector<Multiaddr> addresses() const = 0;
    virtual void handle(std::string protocol, StreamHandler handler) = 0;
    virtual void stop_handling(const std::string& protocol) = 0;

    virtual void add_address(const PeerId& peer, const Multiaddr& address) = 0;
    [[nodiscard]] virtual std::vector<Multiaddr> known_addresses(const PeerId& peer) const = 0;
    [[nodiscard]] virtual bool is_connected(const PeerId& peer) const = 0;

    virtual io::Task<Result<PeerId>> connect(Multiaddr address) = 0;
    virtual io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer,
                                                           std::string protocol,
                                                           OpenOptions options) = 0;
    virtual io::Task<Result<PeerInfo>> identify(PeerId peer) = 0;

    /// Nothing to do where no connection is ever closed for want of room.
    virtual void protect(const PeerId& /*peer*/, const std::string& /*tag*/) {}

    virtual void unprotect(const PeerId& /*peer*/, const std::string& /*tag*/) {}
};

/// Over a host, which outlives it.
class HostNetwork final : public DhtNetwork {
public:
    explicit HostNetwork(Host& host) : host_(host) {}

    [[nodiscard]] const PeerId& id() const override { return host_.id(); }

    [[nodiscard]] std::vector<Multiaddr> addresses() const override { return host_.addresses(); }

    void handle(std::string protocol, StreamHandler handler) override;
    void stop_handling(const std::string& protocol) override;
    void add_address(const PeerId& peer, const Multiaddr& address) override;
    [[nodiscard]] std::vector<Multiaddr> known_addresses(const PeerId& peer) const override;
    [[nodiscard]] bool is_connected(const PeerId& peer) const override;
    io::Task<Result<PeerId>> connect(Multiaddr address) override;
    io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer,
                                                   std::string protocol,
                                                   OpenOptions options) override;
    io::Task<Result<PeerInfo>> identify(PeerId peer) override;
    void protect(const PeerId& peer, const std::string& tag) override;
    void unprotect(const PeerId& peer, const std::string& tag) override;

private:
    Host& host_;
};

}  // namespace kwaai::p2p::kad
