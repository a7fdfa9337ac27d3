// What a node of the table is made of; for the dht_*.cpp files of this folder.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "p2p/bounds/served_count.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/kad/kad_wire.hpp"
#include "p2p/kad/known_peers.hpp"
#include "p2p/kad/lookup_state.hpp"
#include "p2p/kad/peer_timings.hpp"
#include "p2p/kad/record_store.hpp"
#include "p2p/kad/routing_table.hpp"

namespace kwaai::p2p::kad {

/// A message and where the connection leads on which it came.
struct Reply {
    Message message;
    Multiaddr told_by;
};

/// A lookup under way; lives in the frame that runs it.
struct Lookup {
    Message request;
    LookupState state;
    /// Called with each reply, before what is closer is taken over; may stop the lookup.
    std::function<void(const PeerId& peer, const Reply& reply)> on_reply;
    std::optional<PeerId> wanted;  // a connection to this peer ends it
    io::Event changed;
};

/// Peers that are given the same message, `parallel` at a time.
struct Spread {
    Message message;
    std::vector<PeerId> peers;
    std::size_t next = 0;
    std::size_t taken = 0;  // by how many
    std::string last_failure;
};

struct Dht::State {
    State(DhtNetwork& its_host, io::Clock& its_clock, DhtOptions its_options);

    // dht_rpc.cpp
    enum class Patience : std::uint8_t { usual, longest };

    /// Sends a request and waits for its reply, as long as the peer's earlier ones suggest or as
    /// long as is ever done. Tells the timings and the table how it went.
    io::Task<Result<Reply>> ask(PeerId peer, Message request, Patience patience);
    /// Sends what has no reply, and waits until the peer has read it, which is all that it shows.
    io::Task<Result<>> tell(PeerId peer, Message message);
    io::Task<Result<Reply>> exchange(Stream& stream, Message request);
    io::Task<Result<>> deliver(Stream& stream, Message message);
    io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer, Patience patience);
    void note_failure(const PeerId& peer, const Error& error);
    /// Keeps the connections to the nearest peers of the table (Host::protect).
    void protect_neighbours();

    // dht_lookup.cpp
    [[nodiscard]] Lookup make_lookup(MessageType type, codec::Buffer key, std::size_t paths);
    /// Runs until it is over, or for `lookup_timeout`.
    io::Task<Result<>> run_lookup(Lookup& lookup);
    io::Task<void> drive(io::TaskGroup& lookup_group, Lookup& lookup);
    io::Task<void> ask_for(Lookup& lookup, PeerId peer);
    void lose_patience(Lookup& lookup, const PeerId& peer, io::Duration patience);
    /// Takes over where it is said to be; whether it can be dialled now.
    [[nodiscard]] bool knows_where(const WirePeer& entry, const Multiaddr& told_by);
    void take_closer(Lookup& lookup, const PeerId& peer, const Reply& reply);
    [[nodiscard]] std::vector<PeerAddresses> with_addresses(const std::vector<PeerId>& peers) const;
    io::Task<Result<std::vector<PeerId>>> closest_peers(codec::Buffer key);
    io::Task<void> spread(Spread& spread);
    io::Task<void> spread_some(Spread& spread);

    // dht_store.cpp
    io::Task<Result<std::size_t>> publish(codec::Buffer key, codec::Buffer value);
    io::Task<Result<std::size_t>> announce(codec::Buffer key);
    io::Task<void> correct(Spread spread);
    [[nodiscard]] std::vector<Multiaddr> own_addresses() const;

    // dht_serve.cpp
    /// The reply to a request; none where the protocol has none. Errors end the stream.
    [[nodiscard]] Result<std::optional<Message>> answer(const Stream& stream, Message request);
    [[nodiscard]] Result<Message> take_value(Message request);
    [[nodiscard]] Result<> take_provider(const Stream& stream, Message request);
    [[nodiscard]] std::vector<WirePeer> closer_peers(const Stream& stream,
                                                     const codec::Buffer& key) const;
    [[nodiscard]] WirePeer describe(const PeerId& peer, const Multiaddr& asker) const;

    // dht_maintain.cpp
    struct Candidate {
        PeerId peer;
        bool has_answered = false;  // a request of ours
    };

    /// Has it checked for the table, unless it is there or enough are waiting.
    void offer(const PeerId& peer, bool has_answered);
    io::Task<void> check(Candidate candidate);
    io::Task<void> check_candidates();
    io::Task<void> keep_fresh();
    io::Task<void> refresh();
    void note_known();
    io::Task<void> try_known();
    io::Task<void> publish_again();
    io::Task<void> forget_expired();
    [[nodiscard]] std::optional<codec::Buffer> key_of_prefix(unsigned prefix);

    DhtNetwork& host;
    io::Clock& clock;
    DhtOptions options;
    RoutingTable table;
    PeerTimings timings;
    KnownPeers known_peers;
    RecordStore records;
    ProviderStore providers;
    std::map<codec::Buffer, codec::Buffer> published;
    std::set<codec::Buffer> provided;
    std::deque<Candidate> candidates;
    std::set<PeerId> checking;
    std::set<PeerId> neighbours;  // protected
    io::Event candidates_changed;
    io::TaskGroup* group = nullptr;  // of run(), while it runs
    ServedCount served;              // streams
    CounterRandom random;
    bool is_handling = false;  // the protocol
};

/// Answers the requests of one stream.
io::Task<void> serve(std::shared_ptr<Dht::State> state, std::unique_ptr<Stream> stream);

}  // namespace kwaai::p2p::kad
