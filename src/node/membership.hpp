// How a node comes into its network, and back into it.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/event.hpp"
#include "io/loop.hpp"
#include "io/offload.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/discovery/mdns.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/kad/dht_archive.hpp"

namespace kwaai::node {

struct MembershipOptions {
    std::vector<p2p::Multiaddr> bootstrap;  // nodes of the network, with /p2p or /dnsaddr
    bool finds_neighbours = false;          // joins those of the local network (mDNS)
    /// Where what is known of the network is kept, 0600; empty: nowhere.
    std::string file;
    /// Other processes use the file, too: it is open only while it is read or written.
    bool shares_file = false;
};

/// The ways in, in the order in which they are tried: nodes that were named, those that answered in
/// an earlier run, those of the local network. Confined to the loop's thread; the other parts
/// outlive it, and nothing of it may be under way when it ends.
class Membership {
public:
    using Note = std::function<void(const std::string&)>;

    Membership(io::Loop& loop, p2p::Host& host, p2p::kad::Dht& dht, MembershipOptions options);
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
    /// Saves what is known of the network, where there is anything.
    ~Membership();

    /// Reads the file, before Dht::run: a node works without it, and run() notes why. Errors of
    /// io::open_multicast where it finds neighbours.
    [[nodiscard]] Result<> open();

    /// Looks for neighbours, saves now and then, and joins the network: as long as nobody of it is
    /// known, again and again. Until cancelled. `on_note`, which may be empty, is told.
    io::Task<void> run(Note on_note);

    /// Beside run(), for a client, which is of no use alone: waits until a node is known.
    /// `Errc::unavailable` where all ways in were tried once and nobody was there,
    /// `Errc::invalid_argument` where there is no way in.
    io::Task<Result<>> joined();

private:
    static io::Task<void> run_all(io::TaskGroup& group, Membership& self, Note on_note);
    io::Task<void> stay_joined(Note on_note);
    [[nodiscard]] Error why_alone(std::optional<Error> named) const;
    io::Task<Result<std::size_t>> join(Note on_note);
    io::Task<void> meet(std::vector<p2p::Multiaddr> found);
    io::Task<void> wait_for_neighbour();
    io::Task<void> save_joined();
    [[nodiscard]] Result<> open_mdns();
    void open_archive();
    [[nodiscard]] Result<> save(const p2p::kad::KeptDht& kept);

    io::Loop& loop_;
    p2p::Host& host_;
    p2p::kad::Dht& dht_;
    MembershipOptions options_;
    std::optional<p2p::Mdns> mdns_;
    io::TaskGroup* running_ = nullptr;             // of run_all(), while it runs
    std::optional<p2p::kad::DhtArchive> archive_;  // not where the file is shared
    std::string archive_note_;
    std::optional<Error> failure_;  // of the last try to join
    io::Event changed_;             // a node is known, or a try has failed
    io::WorkerThreads saving_{1};
};

}  // namespace kwaai::node
