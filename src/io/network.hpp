// Where connections come from: the machine's TCP, or a test's simulated network.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/address.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "io/udp.hpp"

namespace kwaai::io {

enum class IpFamily : std::uint8_t { any, v4, v6 };

constexpr std::size_t kTextRecordsMax = 64;  // of one name

/// Opens and takes connections. Implementations: TcpNetwork (`tcp.hpp`), and
/// `testing::SimNetwork`. Confined to the loop's thread; outlives what it made.
class Network {
public:
    Network() = default;
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;
    virtual ~Network() = default;

    /// As connect_tcp: `address.host` is an IP address. No time limit of its own.
    virtual Task<Result<std::unique_ptr<Stream>>> connect(Address address) = 0;

    /// As connect(), from a local address at which this network may listen, too: where a peer does
    /// the same towards us at the same time the two meet, and routers that translate addresses
    /// give the connection the port that they give our listener. `Errc::invalid_argument` where
    /// the local address cannot be used for that peer now, e.g. since there is such a connection.
    virtual Task<Result<std::unique_ptr<Stream>>> connect_from(Address local, Address address) = 0;

    /// As listen_tcp.
    [[nodiscard]] virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;

    /// As open_udp.
    [[nodiscard]] virtual Result<std::unique_ptr<UdpSocket>> open_udp(const Address& address) = 0;

    /// The IP addresses of a name, at most 16. `Errc::not_found` where it has none of that family,
    /// `unavailable` where nobody could be asked.
    virtual Task<Result<std::vector<std::string>>> resolve(std::string name, IpFamily family) = 0;

    /// The TXT records of a name, at most kTextRecordsMax, the strings of each joined (any bytes).
    /// Errors as resolve().
    virtual Task<Result<std::vector<std::string>>> resolve_text(std::string name) = 0;
};

}  // namespace kwaai::io
