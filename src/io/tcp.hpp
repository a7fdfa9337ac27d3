// TCP over the operating system's sockets.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/address.hpp"
#include "io/loop.hpp"
#include "io/network.hpp"
#include "io/stream.hpp"

namespace kwaai::io {

/// Listens at once; the address may be taken again right after an earlier listener has gone.
/// `Errc::invalid_argument` for a host that is no IP address or not of this machine,
/// `unavailable` where the port is in use or not permitted:
/// "cannot listen on 127.0.0.1:8080: address already in use".
[[nodiscard]] Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const Address& address);

/// Connects, without a time limit of its own (see with_timeout). `Errc::unavailable` where nothing
/// answers: "cannot connect to 127.0.0.1:8080: connection refused".
Task<Result<std::unique_ptr<Stream>>> connect_tcp(Loop& loop, Address address);

/// As Network::connect_from.
Task<Result<std::unique_ptr<Stream>>> connect_tcp_from(Loop& loop, Address local, Address address);

/// The machine's TCP, UDP and resolver. `loop` outlives it.
class TcpNetwork final : public Network {
public:
    /// TXT records are asked of `name_server`, by IP address, where there is one; else of those
    /// that the system is set up with.
    explicit TcpNetwork(Loop& loop, std::optional<Address> name_server = std::nullopt);
    /// Waits for look-ups of TXT records that are under way.
    ~TcpNetwork() override;

    Task<Result<std::unique_ptr<Stream>>> connect(Address address) override;
    Task<Result<std::unique_ptr<Stream>>> connect_from(Address local, Address address) override;
    [[nodiscard]] Result<std::unique_ptr<Listener>> listen(const Address& address) override;
    [[nodiscard]] Result<std::unique_ptr<UdpSocket>> open_udp(const Address& address) override;
    /// Cancellation unwinds it at once, although the system's look-up goes on. At most 64 look-ups
    /// are under way, one after the other; `Errc::unavailable` beyond.
    Task<Result<std::vector<std::string>>> resolve(std::string name, IpFamily family) override;
    /// The same; four are under way beside each other.
    Task<Result<std::vector<std::string>>> resolve_text(std::string name) override;

private:
    class Resolver;
    Loop& loop_;
    std::unique_ptr<Resolver> resolver_;
};

}  // namespace kwaai::io
