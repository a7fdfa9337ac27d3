// Packets to and from a group of machines on the local network.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/address.hpp"
#include "io/loop.hpp"
#include "io/task.hpp"

namespace kwaai::io {

struct Datagram {
    std::vector<std::byte> bytes;
    Address from;
};

/// A member of a multicast group. One receive() is under way at a time. Confined to the loop's
/// thread. Implementations: open_multicast, and fakes of tests.
class MulticastSocket {
public:
    MulticastSocket() = default;
    MulticastSocket(const MulticastSocket&) = delete;
    MulticastSocket& operator=(const MulticastSocket&) = delete;
    virtual ~MulticastSocket() = default;

    /// To all members, this machine's others included, over each interface. What cannot be sent is
    /// lost, as packets are.
    virtual void send(Bytes bytes) = 0;
    /// The next packet that any member sent, ours included; longer ones are cut at 9000 bytes.
    /// `Errc::closed` after close().
    virtual Task<Result<Datagram>> receive() = 0;
    virtual void close() = 0;
};

/// Joins an IPv4 group on these interfaces (by their addresses), beside other programs that have
/// the port open. `Errc::unavailable` where none can be joined.
[[nodiscard]] Result<std::unique_ptr<MulticastSocket>> open_multicast(
    Loop& loop, const Address& group, const std::vector<std::string>& interfaces);

}  // namespace kwaai::io
