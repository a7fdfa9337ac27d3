// Packets from and to any machine: UDP.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/address.hpp"
#include "io/task.hpp"

namespace kwaai::io {

class Loop;

/// An IP address and a port as packets carry them.
struct Endpoint {
    std::array<std::byte, 16> ip{};  // of IPv4 the first 4
    std::uint16_t port = 0;
    bool is_v6 = false;

    bool operator==(const Endpoint&) const = default;
};

/// `Errc::invalid_argument` where the host is no IP address; "localhost" is 127.0.0.1.
[[nodiscard]] Result<Endpoint> to_endpoint(const Address& address);
[[nodiscard]] Address to_address(const Endpoint& endpoint);

struct Packet {
    Endpoint from;
    Bytes bytes;
};

constexpr std::size_t kUdpBatchBytesMax = 64'000;  // of one send()
constexpr std::size_t kUdpBatchPacketsMax = 60;    // the system takes 64

/// One receive() and any number of wait_writable() are under way at a time. Confined to the loop's
/// thread. Implementations: open_udp, and SimNetwork's. Packets are never cut into fragments:
/// those that are too large for the way are lost, as any packet may be.
class UdpSocket {
public:
    UdpSocket() = default;
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;
    virtual ~UdpSocket() = default;

    /// Sends packets of `packet_bytes` each, the last may be shorter: at most kUdpBatchBytesMax in
    /// kUdpBatchPacketsMax. False, and nothing is sent, where the system has no room now.
    [[nodiscard]] virtual bool send(const Endpoint& to, Bytes bytes, std::size_t packet_bytes) = 0;
    /// Returns when there may be room; also after close().
    virtual Task<void> wait_writable() = 0;
    /// What has come, at least one packet; valid until the next call. `Errc::closed` after close().
    virtual Task<Result<std::span<const Packet>>> receive() = 0;
    virtual void close() = 0;
    /// With the port that the system chose.
    [[nodiscard]] virtual Endpoint local() const = 0;
};

/// Bound to an address of this machine, or all of one family (0.0.0.0, [::]). Errors as listen_tcp.
[[nodiscard]] Result<std::unique_ptr<UdpSocket>> open_udp(Loop& loop, const Address& address);

}  // namespace kwaai::io
