// Finding peers by what they can do: who provides a name in the DHT, and says so himself.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/buffer.hpp"
#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/discovery/capability_record.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"

namespace kwaai::p2p {

/// Whoever opens a stream gets the node's sealed record behind a varint length, then the end.
inline constexpr const char* kCapabilityProtocol = "/kwaai/capability/1.0.0";

struct DiscoveryOptions {
    /// Of the wall clock, since 1970.
    std::function<std::uint64_t()> unix_seconds;
    std::chrono::seconds validity{3600};           // of the records that this node hands out
    std::chrono::milliseconds ask_timeout{5000};   // for one peer's record
    std::chrono::milliseconds retry_pause{10000};  // after nobody took what is provided
    std::size_t asked_max = 64;                    // providers asked for one find()
    /// Called when peers were told that this node offers a name, and how many; may be empty.
    std::function<void(const std::string& name, std::size_t told)> on_provided;
};

/// A peer that offers what was asked for: it was reached, and signed what it offers.
struct FoundPeer {
    CapabilityRecord record;
    io::Duration answer_time{};  // of its record, a connection included
    Multiaddr address;           // where it was reached, with /p2p
};

/// Confined to the loop's thread.
class Discovery {
public:
    /// `host`, `clock` and `dht` outlive it, and the host's run() has ended before.
    Discovery(Host& host, io::Clock& clock, kad::Dht& dht, DiscoveryOptions options);
    Discovery(const Discovery&) = delete;
    Discovery& operator=(const Discovery&) = delete;
    ~Discovery();

    /// What this node offers from now on; `sequence`, `expires` and `addresses` are filled in here.
    /// Peers are told by run(). Errors of seal_capability.
    Result<> offer(Capability capability);

    /// Provides the names that are offered, until cancelled.
    io::Task<void> run();

    /// Has run() tell the network again, as after each change of this node's addresses.
    void addresses_changed();

    /// Peers that offer `name`, at most `count_max`, those that answer soonest and compute fastest
    /// first. Asks each who is said to provide it: who cannot be reached, offers something else or
    /// hands out a record that is not his or has expired is left out.
    io::Task<std::vector<FoundPeer>> find(std::string name, std::size_t count_max);

private:
    io::Task<void> serve(std::unique_ptr<Stream> stream);
    [[nodiscard]] std::vector<std::string> offered_names() const;
    io::Task<void> wait_for_offer();
    io::Task<bool> provide(std::vector<std::string> names, bool is_anew);
    io::Task<Result<CapabilityRecord>> request_record(PeerId peer);
    io::Task<void> ask(PeerId peer, const std::string& name, std::vector<FoundPeer>& found);
    static io::Task<void> ask_all(io::TaskGroup& group,
                                  Discovery& self,
                                  const std::vector<kad::PeerAddresses>& providers,
                                  const std::string& name,
                                  std::vector<FoundPeer>& found);

    Host& host_;
    io::Clock& clock_;
    kad::Dht& dht_;
    DiscoveryOptions options_;
    std::optional<Capability> offered_;
    std::vector<std::string> provided_;    // names that peers were told
    bool have_addresses_changed_ = false;  // since then
    io::Event offer_changed_;
};

}  // namespace kwaai::p2p
