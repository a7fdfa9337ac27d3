// A libp2p node: an identity, its connections, and the protocols it speaks.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "crypto/key.hpp"
#include "io/clock.hpp"
#include "io/network.hpp"
#include "io/task.hpp"
#include "p2p/bounds/gater.hpp"
#include "p2p/circuit.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/security/secure_channel.hpp"
#include "p2p/stream.hpp"

namespace kwaai::crypto {
class WebClientTls;
class WebServerTls;
}  // namespace kwaai::crypto

namespace kwaai::p2p {

struct HostOptions {
    crypto::PrivateKey identity;
    std::string agent = "kwaai";
    Limits limits;
    /// What the numbers of our signed peer records begin with. Peers take a record only where its
    /// number is higher than the last one's, so that a node whose identity outlives it begins with
    /// the time.
    std::uint64_t record_sequence = 1;
    /// Random bytes for Noise's ephemeral keys and nonces; the system's where empty. Simulations
    /// give a seeded one.
    std::function<void(MutableBytes)> random;
    /// What is proposed to peers, by preference, and accepted from them; at least one. With Noise
    /// in front a dial asks for nothing else at first: a peer that refuses it is dialled again.
    std::vector<Security> securities{Security::noise, Security::tls};
    /// Asked before dials and for each that comes; everybody may where empty.
    std::shared_ptr<const ConnectionGater> gater;
    /// Networks from which any number of connections may come, as often as they like.
    std::vector<Subnet> trusted_networks;
    /// With it every port takes secure WebSockets, too, and peers are told so. May be null.
    std::shared_ptr<const crypto::WebServerTls> web_server;
    /// Whom it believes when it dials those; the system's authorities where null.
    std::shared_ptr<const crypto::WebClientTls> web_client;
};

/// Serves one stream; it owns it. Runs in the host's scope and is cancelled with it.
using StreamHandler = std::function<io::Task<void>(std::unique_ptr<Stream> stream)>;

struct OpenOptions {
    /// Send the proposal together with the first bytes and check the answer with the first read
    /// (one round trip less). Where the peer refuses, the first read or a later write fails with
    /// `Errc::unsupported`, and what was written is lost.
    bool is_lazy = true;
    /// For dialling, where there is no connection yet, and for the negotiation.
    std::chrono::milliseconds timeout{15000};
    /// Over a connection that a relay limits, too. Where it is false and there is no other one,
    /// open() waits for a direct connection that is expected (Host::expect_direct), or fails with
    /// `Errc::unavailable`.
    bool allows_relayed = false;
};

/// How one address is dialled.
struct DialOptions {
    /// From a port that this host listens on, where there is one of that family and the system
    /// allows it: routers give the connection the place that peers may dial then.
    bool from_listening_port = false;
    /// The peer dials us at the same moment, and begins the handshakes: this end is the server.
    bool is_server = false;
};

/// What identify told about a peer.
struct PeerInfo {
    PeerId peer;
    std::string agent;
    std::vector<std::string> protocols;
    std::vector<Multiaddr> addresses;    // without /p2p
    bool is_record_signed = false;       // the addresses come from a record with its signature
    std::optional<Multiaddr> observed;   // where the peer sees us
    std::optional<Multiaddr> connected;  // where an open connection leads
    bool is_inbound = false;             // that connection was opened by the peer
    std::optional<CircuitLimit> limit;   // of that connection, where a relay sets one
};

/// What happens to a connection, in this order.
enum class ConnectionChange : std::uint8_t { opened, identified, closed };

using ConnectionObserver = std::function<void(const PeerInfo& info, ConnectionChange change)>;

/// Judges a peer by what identify told about it.
using PeerJudge = std::function<bool(const PeerInfo& info)>;

/// Opens circuits to addresses that lead over another peer (/p2p-circuit, with /p2p).
using CircuitDialer = std::function<io::Task<Result<Circuit>>(Multiaddr address)>;

/// Chooses what peers are told of where a node can be dialled, from where it listens; all without
/// /p2p.
using AddressChooser = std::function<std::vector<Multiaddr>(std::vector<Multiaddr> listening)>;

/// Confined to the loop's thread. Everything that it starts runs inside run().
class Host {
public:
    /// `network` and `clock` outlive the host.
    Host(io::Network& network, io::Clock& clock, HostOptions options);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    /// run() has ended.
    ~Host();

    [[nodiscard]] const PeerId& id() const;
    [[nodiscard]] const crypto::PrivateKey& identity() const;

    /// Listens on "/ip4/…/tcp/PORT" or "/ip6/…/tcp/PORT" (port 0: the system chooses), or for QUIC
    /// on "/ip4/…/udp/PORT/quic-v1"; connections are taken once run() runs. Every TCP port takes
    /// plain TCP and WebSocket; with "/ws" behind it, peers are told so; "/tls/ws" wants
    /// HostOptions::web_server. Errors of io::Network::listen and open_udp;
    /// `Errc::unsupported` for other addresses.
    [[nodiscard]] Result<> listen(const Multiaddr& address);
    /// Where it can be dialled, with /p2p/ID; 0.0.0.0 and :: are given as they are. Of a port that
    /// listens with /ws, the plain address and the one with /ws, in this order; with
    /// HostOptions::web_server those with /tls behind them: of the IP address, with /sni where the
    /// certificate is not for it, and of the certificate's names.
    [[nodiscard]] std::vector<Multiaddr> addresses() const;

    /// Where peers are told to dial this node: where it listens, but not 0.0.0.0 and ::, or what
    /// set_told_addresses() chose. Without /p2p.
    [[nodiscard]] std::vector<Multiaddr> told_addresses() const;
    /// Connected peers are told the new addresses by identify push.
    void set_told_addresses(AddressChooser choose);
    /// As if the chooser were set again: it would choose something else now.
    void told_addresses_changed();

    /// Speaks `protocol` from now on (any text without newline; no leading slash needed). Replaces
    /// a handler of the same name. Connected peers are told by identify push.
    void handle(std::string protocol, StreamHandler handler);
    void stop_handling(const std::string& protocol);
    /// What it speaks as a listener, in the order of the names.
    [[nodiscard]] std::vector<std::string> protocols() const;

    /// Runs until close() or cancellation: takes connections, answers, keeps connections alive.
    /// open() and connect() work only while it runs.
    io::Task<void> run();
    /// Says goodbye (GoAway) on all connections, stops listening and lets run() end.
    void close();

    /// Remembers where a peer can be dialled (at most Limits::addresses_per_peer), for
    /// Limits::address_lifetime; but no /dnsaddr: on the word of peers no name servers are asked
    /// for TXT records.
    void add_address(const PeerId& peer, const Multiaddr& address);
    /// What add_address() and identify told of a peer, without /p2p.
    [[nodiscard]] std::vector<Multiaddr> known_addresses(const PeerId& peer) const;

    /// Makes sure that there is a connection to the peer that `address` ends with (/p2p/ID is
    /// required). Errors: `invalid_argument` for an address that cannot be dialled or is this
    /// node's own, `unavailable` with every address that was tried and why it failed (or "backing
    /// off for 12 s"), `timed_out`, `wrong_peer`, `malformed` where the other end breaks a
    /// protocol.
    /// What begins with /dnsaddr is looked up, its answers are dialled and remembered; without
    /// /p2p/ID the peers that it names are tried in turn. `not_found` where it names none.
    io::Task<Result<PeerId>> connect(Multiaddr address);
    /// A new stream that speaks `protocol`, over an open connection or a new one to a known
    /// address. Errors as connect(); `not_found` where no address is known, `unsupported` where the
    /// peer does not speak the protocol (at once when not lazy), `limit_exceeded`.
    io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer,
                                                   std::string protocol,
                                                   OpenOptions options);
    io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer, std::string protocol);

    /// Sends 32 random bytes and waits for their echo. The time it took.
    io::Task<Result<std::chrono::nanoseconds>> ping(PeerId peer);

    /// Waits until identify has told who the connected peer is (its protocols, its agent).
    io::Task<Result<PeerInfo>> identify(PeerId peer);

    /// Dials addresses with /p2p-circuit from now on.
    void set_circuit_dialer(CircuitDialer dialer);
    /// Makes a connection out of `circuit`, which somebody opened or took by other means than this
    /// host: security and muxer as on TCP, then it is a connection as any other. `address` is
    /// where it leads; where it ends with /p2p, as the dialler's does, that peer is expected.
    /// Errors of the handshakes, `timed_out`.
    io::Task<Result<PeerId>> adopt(Circuit circuit, Multiaddr address, bool is_dialler);
    /// A new connection to exactly this address (with /p2p), whatever is open already and however
    /// often it failed; what comes out is not remembered. Errors as connect().
    io::Task<Result<PeerId>> connect_again(Multiaddr address);
    io::Task<Result<PeerId>> connect_again(Multiaddr address, DialOptions options);

    /// Calls `observer` for every change of a connection, until the lease dies.
    [[nodiscard]] std::shared_ptr<void> observe(ConnectionObserver observer);

    /// Connections to `peer` are not closed when there are too many, until unprotect() with the
    /// same tag (libp2p.md §1.26). `tag` says what for: "kad", "session".
    void protect(const PeerId& peer, std::string tag);
    void unprotect(const PeerId& peer, std::string_view tag);
    /// While the lease lives, connections to peers of which `is_expendable` says so are closed
    /// before others when there are too many (design decision 12). Asked whenever identify or its
    /// push tells about a peer; the last call counts.
    [[nodiscard]] std::shared_ptr<void> expend_first(PeerJudge is_expendable);
    /// What connections and streams hold at the moment.
    [[nodiscard]] const ResourceUse& resources() const;
    /// Whether a connection to the peer leads over no other one.
    [[nodiscard]] bool is_connected_directly(const PeerId& peer) const;
    /// Whether there is one that this host has dialled from a port that it listens on, or that
    /// leads where no such port does.
    [[nodiscard]] bool is_connected_beside_listener(const PeerId& peer) const;
    /// Where peers see this node on such connections: what its router makes of that port. Without
    /// /p2p.
    [[nodiscard]] std::vector<Multiaddr> seen_beside_listener() const;
    /// While the lease lives, open() waits for a direct connection to the peer instead of failing
    /// for the lack of one. The host outlives it.
    [[nodiscard]] std::shared_ptr<void> expect_direct(const PeerId& peer);

    /// Closes all connections to a peer.
    void disconnect(const PeerId& peer);
    [[nodiscard]] bool is_connected(const PeerId& peer) const;
    [[nodiscard]] std::vector<PeerInfo> peers() const;
    /// Smoothed round-trip time of the connection's keep-alive pings; nothing before the first.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> round_trip_time(const PeerId& peer) const;

    struct State;  // for the host_*.cpp files of this room

private:
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
