// What a host is made of; for the host_*.cpp files of this room.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/event.hpp"
#include "io/task_group.hpp"
#include "io/udp.hpp"
#include "p2p/bounds/black_hole.hpp"
#include "p2p/bounds/connection_manager.hpp"
#include "p2p/bounds/dial_ranking.hpp"
#include "p2p/bounds/pending_handshakes.hpp"
#include "p2p/bounds/resource_manager.hpp"
#include "p2p/bounds/signature_limiter.hpp"
#include "p2p/bounds/source_limiter.hpp"
#include "p2p/connection.hpp"
#include "p2p/host.hpp"
#include "p2p/muxer/window_memory.hpp"
#include "p2p/peer_book.hpp"
#include "p2p/protocol_stream.hpp"
#include "p2p/security/secure_channel.hpp"

namespace kwaai::p2p {

class QuicEndpoint;
class QuicIdentity;
class QuicSession;
struct QuicArrival;

inline constexpr const char* kYamuxProtocol = "/yamux/1.0.0";

struct Host::State {
    struct Listening {
        std::shared_ptr<io::Listener> listener;
        io::Address socket;  // with the port that the system chose
        bool is_websocket_told = false;
        bool is_accepting = false;
    };

    /// A UDP socket: one that listens, or one that is dialled from.
    struct QuicPort {
        std::shared_ptr<QuicEndpoint> endpoint;
        io::Address socket;  // with the port that the system chose
        bool is_listening = false;
        bool is_receiving = false;
    };

    /// A connection ready for streams, and what it began with.
    struct Upgraded {
        SecureChannel channel;
        Transport transport = Transport::tcp;
    };

    /// A connection that came and whose handshake is under way: over TCP, or over QUIC.
    struct Arrival {
        Arrival();
        Arrival(const Arrival&) = delete;
        Arrival& operator=(const Arrival&) = delete;
        ~Arrival();

        /// Its place is free at once; it unwinds.
        void end();

        ConnectionPlace place;
        SourceLease source;
        PendingHandshakes::Lease lease;
        std::unique_ptr<io::Stream> raw;
        std::unique_ptr<QuicSession> session;  // dies before the account that it has
        io::Endpoint from;                     // of `session`
        io::TaskGroup* group = nullptr;        // runs it alone
        bool is_ended = false;
    };

    /// One stream in the accounts, until it dies.
    struct StreamUse {
        StreamUse(std::shared_ptr<ConnectionManager> some_manager,
                  ConnectionManager::Key some_key,
                  Direction some_direction,
                  std::shared_ptr<StreamScope> some_scope);
        StreamUse(const StreamUse&) = delete;
        StreamUse& operator=(const StreamUse&) = delete;
        ~StreamUse();

        std::shared_ptr<ConnectionManager> manager;
        ConnectionManager::Key key;
        Direction direction;
        std::shared_ptr<StreamScope> scope;
    };

    /// Several addresses of one peer that are dialled side by side.
    struct Race {
        std::shared_ptr<Connection> winner;
        std::size_t in_flight = 0;
        io::TimePoint end{};  // then all have failed
        std::vector<std::pair<Multiaddr, Error>> failures;
        io::Event changed;
    };

    State(io::Network& some_network, io::Clock& some_clock, HostOptions some_options);

    // host_dial.cpp
    io::Task<Result<std::shared_ptr<Connection>>> connection_to(PeerId peer);
    io::Task<Result<std::shared_ptr<Connection>>> dial(PeerId peer);
    io::Task<Result<std::shared_ptr<Connection>>> dial_ready(PeerId peer,
                                                             std::vector<RankedAddress> ranked);
    static io::Task<void> race_addresses(io::TaskGroup& racers,
                                         State& state,
                                         PeerId peer,
                                         std::vector<RankedAddress> ranked,
                                         Race& race);
    io::Task<void> race_one(PeerId peer, Multiaddr address, Race& race);
    [[nodiscard]] std::vector<RankedAddress> rank(const PeerId& peer, std::vector<Multiaddr> ready);
    io::Task<Result<std::shared_ptr<Connection>>> dial_address(PeerId peer,
                                                               Multiaddr address,
                                                               DialOptions how);
    io::Task<Result<std::shared_ptr<Connection>>> dial_ip(PeerId peer,
                                                          Multiaddr address,
                                                          std::string ip,
                                                          DialOptions how);
    io::Task<Result<std::unique_ptr<io::Stream>>> connect_socket(io::Address socket,
                                                                 DialOptions how);
    [[nodiscard]] std::optional<io::Address> listening_beside(const io::Address& socket) const;
    /// Whether a dial of that address could leave from a port that this host listens on.
    [[nodiscard]] bool could_dial_beside(const Multiaddr& address) const;
    io::Task<Result<SecureChannel>> connect_channel(io::Address socket,
                                                    PeerId peer,
                                                    DialTarget target,
                                                    std::vector<Security> securities,
                                                    DialOptions how);
    io::Task<Result<>> agree_on_muxer(SecureChannel& channel, bool is_outbound);
    io::Task<Result<SecureChannel>> upgrade_outbound(std::unique_ptr<io::Stream> raw,
                                                     PeerId peer,
                                                     DialTarget target,
                                                     std::vector<Security> securities);
    io::Task<Result<SecureChannel>> secure_dialled(std::unique_ptr<io::Stream> raw,
                                                   PeerId peer,
                                                   std::vector<Security> securities);
    io::Task<Result<Upgraded>> upgrade_inbound(std::unique_ptr<io::Stream> raw);

    // host_circuit.cpp
    io::Task<Result<std::shared_ptr<Connection>>> connection_for_stream(PeerId peer,
                                                                        bool allows_relayed);
    io::Task<Result<std::shared_ptr<Connection>>> dial_over_peer(PeerId peer, Multiaddr address);
    io::Task<Result<SecureChannel>> upgrade_adopted(std::unique_ptr<io::Stream> raw,
                                                    std::optional<PeerId> expected,
                                                    bool is_dialler);

    // host_dnsaddr.cpp
    io::Task<Result<PeerId>> connect_by_name(Multiaddr address);

    // host_serve.cpp
    void start_accepting(Listening& listening);
    io::Task<void> accept_connections(std::shared_ptr<io::Listener> listener);
    void admit_connection(std::unique_ptr<io::Stream> raw);
    [[nodiscard]] bool is_full_of_handshakes() const;
    /// A place for one that came from `ip`; null where there is none.
    [[nodiscard]] std::shared_ptr<Arrival> admit(const std::string& ip, bool has_descriptor);
    io::Task<void> take(std::shared_ptr<Arrival> arrival);
    static io::Task<void> take_alone(io::TaskGroup& alone,
                                     State& state,
                                     std::shared_ptr<Arrival> arrival);
    io::Task<void> take_connection(std::shared_ptr<Arrival> arrival);
    [[nodiscard]] bool may_keep(const PeerId& peer,
                                Direction direction,
                                const Multiaddr& address) const;
    void notify(const Connection& connection, ConnectionChange change);
    void judge(const Connection& connection);
    /// Takes the connection in where the gater and the limits of its peer allow it.
    [[nodiscard]] Result<std::shared_ptr<Connection>> start_connection(
        SecureChannel channel,
        Multiaddr address,
        bool is_outbound,
        ConnectionPlace place,
        std::optional<CircuitLimit> limit = {});
    [[nodiscard]] Result<std::shared_ptr<Connection>> start_session(
        PeerId remote,
        std::unique_ptr<MuxedSession> session,
        Multiaddr address,
        bool is_outbound,
        ConnectionPlace place,
        std::optional<CircuitLimit> limit = {});
    /// What streams of a new connection to this peer begin with, as YamuxState's window_learned.
    [[nodiscard]] std::uint32_t window_for(const PeerId& peer);
    void close_surplus();
    io::Task<void> keep_trimmed();
    io::Task<void> run_connection(std::shared_ptr<Connection> connection);
    static io::Task<void> attend_to(io::TaskGroup& connection_group,
                                    State& state,
                                    std::shared_ptr<Connection> connection);
    io::Task<void> accept_streams(io::TaskGroup& connection_group,
                                  std::shared_ptr<Connection> connection);
    void serve_waiting(io::TaskGroup& connection_group,
                       const std::shared_ptr<Connection>& connection);
    io::Task<void> serve_stream(io::TaskGroup& connection_group,
                                std::shared_ptr<Connection> connection,
                                WaitingStream opened);
    /// Counts a stream until the lease dies.
    [[nodiscard]] Result<std::shared_ptr<StreamUse>> admit_stream(const Connection& connection,
                                                                  Direction direction);
    /// A new stream on this connection, in the accounts.
    io::Task<Result<StreamParts>> open_on(std::shared_ptr<Connection> connection,
                                          std::string protocol);
    [[nodiscard]] bool speaks(std::string_view protocol) const;

    // host_quic.cpp
    [[nodiscard]] Result<> listen_quic(const io::Address& address);
    [[nodiscard]] Result<std::shared_ptr<QuicEndpoint>> open_quic(const io::Address& address,
                                                                  bool is_listening);
    /// The port that a peer there is dialled from: one that listens, where there is one.
    [[nodiscard]] Result<std::shared_ptr<QuicEndpoint>> quic_port_for(const io::Endpoint& remote);
    [[nodiscard]] const QuicPort* find_quic_port(const io::Address& target) const;
    void start_receiving();
    void refuse_quic();
    void close_quic();
    void admit_quic(QuicEndpoint& endpoint, const QuicArrival& arrival);
    io::Task<void> take_quic(std::shared_ptr<Arrival> arrival);
    io::Task<Result<std::shared_ptr<Connection>>> dial_quic(PeerId peer,
                                                            Multiaddr address,
                                                            io::Address socket,
                                                            DialOptions how);
    io::Task<void> open_way(std::shared_ptr<QuicEndpoint> endpoint, io::Endpoint remote);

    // host_identify.cpp
    void add_own_protocols(Host& host);
    void identity_changed();
    [[nodiscard]] std::vector<Multiaddr> listen_addresses() const;
    [[nodiscard]] std::vector<Multiaddr> told_addresses() const;
    /// Where it listens, and where it tells peers that it does.
    [[nodiscard]] std::vector<Multiaddr> own_sockets() const;
    [[nodiscard]] codec::Buffer identify_bytes(const Multiaddr& observed) const;
    io::Task<void> ask_identity(std::shared_ptr<Connection> connection);
    io::Task<Result<>> read_identity(std::shared_ptr<Connection> connection);
    io::Task<Result<IdentifyMessage>> receive_identity(Stream& stream);
    [[nodiscard]] Result<> take_identity(Connection& connection, IdentifyMessage message);
    io::Task<void> serve_identify(std::unique_ptr<Stream> stream);
    io::Task<void> serve_push(std::unique_ptr<Stream> stream);
    io::Task<void> push_identity();
    io::Task<void> push_to(std::shared_ptr<Connection> connection);
    io::Task<Result<>> push_once(std::shared_ptr<Connection> connection);

    [[nodiscard]] std::shared_ptr<Connection> best_connection(const PeerId& peer) const;
    [[nodiscard]] std::shared_ptr<Connection> connection_of(const Stream& stream) const;
    [[nodiscard]] PeerInfo info_of(const Connection& connection) const;

    io::Network& network;
    io::Clock& clock;
    HostOptions options;
    PeerId id;
    std::shared_ptr<SignatureLimiter> signatures;
    SecureIdentity secure;
    PeerBook book;
    WindowMemory windows;
    std::map<std::string, StreamHandler, std::less<>> handlers;
    std::vector<Listening> listening;
    std::vector<QuicPort> quic_ports;
    std::shared_ptr<const QuicIdentity> quic_identity;  // made with the first port
    AddressChooser choose_told;
    CircuitDialer dial_circuit;
    std::vector<std::weak_ptr<ConnectionObserver>> observers;
    std::weak_ptr<PeerJudge> is_expendable;
    std::unordered_map<PeerId, std::vector<std::shared_ptr<Connection>>> connections;
    std::set<PeerId> dialling;
    std::multiset<PeerId> expecting_direct;
    io::Event direct_changed;  // a connection came or went, or is no longer expected
    io::Event dial_ended;
    io::Event connection_ended;
    io::Event closing;
    bool is_closing = false;
    io::TaskGroup* group = nullptr;  // of run(), while it runs
    ResourceManager resources;
    std::shared_ptr<ConnectionManager> manager;  // leases of streams outlive the host
    SourceLimiter sources;
    PendingHandshakes handshakes;
    BlackHoleDetector ip6;
    BlackHoleDetector udp;
    std::size_t dials = 0;  // addresses being tried
    io::Event dial_freed;
    io::Event identity_moved;
    std::uint64_t identity_version = 0;  // of what identify tells
};

}  // namespace kwaai::p2p
