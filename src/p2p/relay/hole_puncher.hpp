// Makes direct connections out of relayed ones: both ends dial each other at the same moment, and
// their routers take what comes for answers.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/relay/dcutr_wire.hpp"

namespace kwaai::p2p::relay {

/// Sources: libp2p.md §1.16, and what go-libp2p 0.51 does.
struct HolePunchLimits {
    std::size_t message_bytes_max = 4 << 10;  // read
    std::size_t addresses_max = 16;           // read and sent
    std::size_t dials_max = 8;                // addresses of a peer dialled at the same time
    std::size_t punches_max = 32;             // peers under way that we began with
    std::size_t served_max = 32;              // and that began with us
    unsigned attempts = 3;
    std::chrono::milliseconds dial_timeout{10000};
    std::chrono::milliseconds exchange_timeout{15000};  // of the messages of one attempt
    /// How long streams wait for a direct connection after a relayed one, where nothing begins.
    std::chrono::milliseconds begin_timeout{5000};
};

struct HolePuncherOptions {
    HolePunchLimits limits;
};

/// Serves DCUtR, and begins it with peers that reach us through a relay. Confined to the loop's
/// thread.
class HolePuncher {
public:
    /// `host` and `clock` outlive it, and the host's run() has ended before its destruction.
    HolePuncher(Host& host, io::Clock& clock, HolePuncherOptions options);
    HolePuncher(const HolePuncher&) = delete;
    HolePuncher& operator=(const HolePuncher&) = delete;
    ~HolePuncher();

    /// Punches until cancelled; without it peers are only answered. While it runs, streams to a
    /// peer that is reached through a relay wait until it has succeeded or given up.
    io::Task<void> run();

    /// Where peers are told to dial us: where peers that the host has dialled from its listening
    /// port see it, and where it says that it listens. Of no relay.
    [[nodiscard]] std::vector<Multiaddr> own_addresses() const;

private:
    friend class PunchLease;

    /// A peer to which a direct connection may come.
    struct Expected {
        std::shared_ptr<void> lease;  // of Host::expect_direct
        io::TimePoint until{};        // but longer while an exchange is under way
    };

    struct Agreed {
        std::vector<Multiaddr> addresses;
        io::Duration round_trip{};
    };

    void take_change(const PeerInfo& info, ConnectionChange change);
    static io::Task<void> work(io::TaskGroup& group, HolePuncher& self);
    void watch(const PeerId& peer, io::Duration time);
    io::Task<void> give_up_later(PeerId peer, io::Duration time);
    io::Task<void> punch(PeerId peer);
    io::Task<Result<Agreed>> agree(PeerId peer);
    io::Task<void> serve(std::unique_ptr<Stream> stream);
    io::Task<Result<std::vector<Multiaddr>>> answer(Stream& stream);
    [[nodiscard]] bool is_ours_to_answer(const Stream& stream) const;
    [[nodiscard]] std::vector<Multiaddr> public_addresses(const PeerId& peer) const;

    io::Task<bool> dial_all(PeerId peer, std::vector<Multiaddr> addresses, DialOptions how);
    static io::Task<void> dial_until_met(io::TaskGroup& group,
                                         HolePuncher& self,
                                         PeerId peer,
                                         std::vector<Multiaddr> addresses,
                                         DialOptions how);
    static io::Task<void> dial_each(io::TaskGroup& group,
                                    HolePuncher& self,
                                    PeerId peer,
                                    std::vector<Multiaddr> addresses,
                                    DialOptions how);
    io::Task<void> dial_one(Multiaddr address, DialOptions how);
    io::Task<void> wait_until_met(io::TaskGroup& group, PeerId peer);

    Host& host_;
    io::Clock& clock_;
    HolePuncherOptions options_;
    bool is_running_ = false;
    std::deque<std::pair<PeerId, io::Duration>> to_watch_;
    std::deque<PeerId> to_punch_;
    std::multiset<PeerId> active_;  // exchanges under way, of both roles
    std::size_t served_ = 0;        // of those, the ones we answer
    std::map<PeerId, Expected> expected_;
    io::Event changed_;
    std::shared_ptr<void> observing_;
};

}  // namespace kwaai::p2p::relay
