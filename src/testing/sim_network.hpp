// A network in memory, on virtual time: latency, bandwidth, loss, and all that goes wrong between
// machines. The same seed gives the same run, to the byte and the nanosecond.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/network.hpp"
#include "testing/virtual_clock.hpp"

namespace kwaai::testing {

/// How bytes travel from one host to another.
struct SimLink {
    io::Duration latency = std::chrono::milliseconds(1);  // one way
    io::Duration jitter{0};                               // up to that much more, evenly spread
    std::uint64_t bytes_per_second = 0;                   // shared by all connections; 0: unlimited
    /// The share of segments that are lost; each time TCP sends one again, it and all behind it
    /// come `retransmission` later (twice as long each time).
    double loss = 0;
    double duplication = 0;  // the share of UDP packets that come twice
    io::Duration retransmission = std::chrono::milliseconds(200);
};

struct SimNetworkOptions {
    std::uint64_t seed = 1;
    SimLink link;  // of all pairs of hosts but those of set_link()
    /// Bytes of one direction of a connection that were sent and not yet read; a write waits for
    /// room.
    std::size_t queue_bytes_max = std::size_t{256} << 10;
    bool is_splitting_reads = true;
};

/// How a router translates addresses.
enum class SimNatKind : std::uint8_t {
    cone,       // a port inside has one port outside, whoever it speaks to
    symmetric,  // and here another one for each place that it speaks to
};

struct SimWorld;

/// Hosts that reach each other by IP address. Faults take effect at the present moment of the
/// clock; what was delivered stays delivered. Confined to the simulation's thread.
///
/// Connecting: nothing answers at a host that is frozen, cut off or unknown, and the attempt ends
/// with `Errc::timed_out` after the 127 s that Linux takes; `unavailable` (refused) where nobody
/// listens.
class SimNetwork {
public:
    /// `clock` outlives it and all that it made.
    SimNetwork(VirtualClock& clock, const SimNetworkOptions& options);
    SimNetwork(const SimNetwork&) = delete;
    SimNetwork& operator=(const SimNetwork&) = delete;
    ~SimNetwork();

    /// The network as the host `ip` sees it; the first call makes the host. A host listens on its
    /// own address, on 0.0.0.0 or [::] (both mean all), or on 127.0.0.1 or ::1 (for itself only).
    [[nodiscard]] io::Network& host(const std::string& ip);

    /// The host is behind the router with this address: others see it there, and reach it only
    /// where it has sent something. All hosts behind one router are given the same kind.
    void put_behind_nat(const std::string& ip, const std::string& public_ip, SimNatKind kind);

    /// What `name` resolves to, on all hosts.
    void set_name(const std::string& name, std::vector<std::string> addresses);
    /// The TXT records of `name`, on all hosts.
    void set_text(const std::string& name, std::vector<std::string> records);

    /// Both directions between two hosts.
    void set_link(const std::string& one, const std::string& other, const SimLink& link);

    /// Bytes between the two silently stop, in both directions, until heal(): they arrive then.
    void cut(const std::string& one, const std::string& other);
    void heal(const std::string& one, const std::string& other);
    /// Cuts every host of one side from every host of the other.
    void partition(const std::vector<std::string>& one, const std::vector<std::string>& other);
    void heal_all();

    /// The process ends: its listeners are gone, its connections broken, and its peers are told as
    /// far as they can be reached. The host may listen and connect again.
    void crash(const std::string& ip);
    /// As SIGSTOP: nothing is delivered to the host and nothing leaves it, until thaw().
    void freeze(const std::string& ip);
    void thaw(const std::string& ip);

    /// Breaks every connection between the two, at both ends at once.
    void reset(const std::string& one, const std::string& other);
    /// While it is on, what arrives at `to` from `from` is random bytes of the same number.
    void set_garbage(const std::string& from, const std::string& to, bool is_on);

    /// A digest of all deliveries so far: time, from, to, size.
    [[nodiscard]] std::uint64_t trace_hash() const;
    [[nodiscard]] std::uint64_t delivery_count() const;
    /// Connections of which an end is still held.
    [[nodiscard]] std::size_t connection_count() const;

private:
    std::shared_ptr<SimWorld> world_;
};

}  // namespace kwaai::testing
