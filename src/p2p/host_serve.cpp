// What a host does for those who come: takes connections, and answers their streams.
#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/host_state.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/protocol/ping.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{50};  // after a failure that passes
constexpr std::size_t kInboundPingsMax = 2;            // of one connection, as go-libp2p

// A handshake under way, in the counts that bound them.
class PendingInbound {
public:
    PendingInbound(Host::State& state, std::string ip) : state_(state), ip_(std::move(ip)) {
        ++state_.pending_inbound;
        ++state_.pending_by_ip[ip_];
    }

    PendingInbound(const PendingInbound&) = delete;
    PendingInbound& operator=(const PendingInbound&) = delete;

    ~PendingInbound() {
        --state_.pending_inbound;
        const auto entry = state_.pending_by_ip.find(ip_);
        if (--entry->second == 0) state_.pending_by_ip.erase(entry);
    }

private:
    Host::State& state_;
    std::string ip_;
};

// A served ping stream, in the connection's count.
class PingLease {
public:
    explicit PingLease(Connection& connection) : connection_(connection) {
        ++connection_.inbound_pings;
    }

    PingLease(const PingLease&) = delete;
    PingLease& operator=(const PingLease&) = delete;

    ~PingLease() { --connection_.inbound_pings; }

private:
    Connection& connection_;
};

bool is_loopback(const std::string& ip) {
    return ip == "::1" || ip.starts_with("127.");
}

// Ends a connection's place in the host's table, however run_connection() ended.
class Registered {
public:
    Registered(Host::State& state, std::shared_ptr<Connection> connection)
        : state_(state), connection_(std::move(connection)) {}

    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;

    ~Registered() {
        const auto of_peer = state_.connections.find(connection_->remote);
        if (of_peer != state_.connections.end()) {
            std::erase(of_peer->second, connection_);
            if (of_peer->second.empty()) state_.connections.erase(of_peer);
        }
        connection_->identified.notify_all();
        state_.connection_ended.notify_all();
        state_.notify(*connection_, ConnectionChange::closed);
    }

private:
    Host::State& state_;
    std::shared_ptr<Connection> connection_;
};

}  // namespace

void Host::State::start_accepting(Listening& entry) {
    if (entry.is_accepting) return;
    entry.is_accepting = true;
    group->spawn(&State::accept_connections, std::ref(*this), entry.listener);
}

io::Task<void> Host::State::accept_connections(std::shared_ptr<io::Listener> listener) {
    while (!is_closing) {
        auto raw = co_await listener->accept();
        if (!raw) {
            if (raw.error().code == Errc::closed) co_return;
            co_await clock.sleep_for(kAcceptPause);
            continue;
        }
        const auto address = io::parse_address((*raw)->peer());
        const std::string ip = address ? address->host : std::string();
        if (admits(ip)) group->spawn(&State::take_connection, std::ref(*this), std::move(*raw), ip);
    }
}

bool Host::State::admits(const std::string& ip) const {
    const Limits& limits = options.limits;
    if (pending_inbound >= limits.pending_inbound_max) return false;
    if (connection_count() >= limits.connections_max) return false;
    if (is_loopback(ip)) return true;
    const auto pending = pending_by_ip.find(ip);
    return pending == pending_by_ip.end() || pending->second < limits.pending_inbound_per_ip_max;
}

io::Task<void> Host::State::take_connection(std::unique_ptr<io::Stream> raw, std::string ip) {
    const PendingInbound pending(*this, std::move(ip));
    const auto socket = io::parse_address(raw->peer());
    if (!socket) co_return;
    auto upgrading = upgrade_inbound(std::move(raw));
    auto upgraded =
        co_await io::with_timeout(clock, options.limits.handshake_timeout, std::move(upgrading));
    if (!upgraded || group == nullptr || is_closing) co_return;
    const auto address = Multiaddr::of(*socket, upgraded->transport);
    if (!address) co_return;
    SecureChannel& channel = upgraded->channel;
    const auto of_peer = connections.find(channel.remote);
    if (of_peer != connections.end() &&
        of_peer->second.size() >= options.limits.connections_per_peer_max)
        co_return;
    const Multiaddr place = address->with_peer(channel.remote);
    start_connection(std::move(channel), place, false);
}

std::shared_ptr<Connection> Host::State::start_connection(SecureChannel channel,
                                                          Multiaddr address,
                                                          bool is_outbound) {
    auto connection = std::make_shared<Connection>(std::move(channel.remote),
                                                   std::move(address),
                                                   is_outbound,
                                                   std::move(channel.stream),
                                                   options.limits,
                                                   clock);
    connections[connection->remote].push_back(connection);
    group->spawn(&State::run_connection, std::ref(*this), connection);
    notify(*connection, ConnectionChange::opened);
    return connection;
}

// Observers may observe more, and let go of leases.
void Host::State::notify(const Connection& connection, ConnectionChange change) {
    if (observers.empty()) return;
    const PeerInfo info = info_of(connection);
    std::vector<std::shared_ptr<ConnectionObserver>> told;
    for (const auto& observer : observers)
        if (auto shared = observer.lock()) told.push_back(std::move(shared));
    std::erase_if(observers, [](const auto& observer) { return observer.expired(); });
    for (const auto& observer : told)
        (*observer)(info, change);
}

io::Task<void> Host::State::run_connection(std::shared_ptr<Connection> connection) {
    const Registered registered(*this, connection);
    co_await io::with_group(&State::attend_to, std::ref(*this), connection);
}

io::Task<void> Host::State::attend_to(io::TaskGroup& connection_group,
                                      State& state,
                                      std::shared_ptr<Connection> connection) {
    connection_group.spawn(&State::ask_identity, std::ref(state), connection);
    connection_group.spawn(
        &State::accept_streams, std::ref(state), std::ref(connection_group), connection);
    const Result<> ended = co_await connection->session.run();
    static_cast<void>(ended);  // its streams have said so
    connection_group.cancel();
}

io::Task<void> Host::State::accept_streams(io::TaskGroup& connection_group,
                                           std::shared_ptr<Connection> connection) {
    while (true) {
        auto muxed = co_await connection->session.accept();
        if (!muxed) co_return;
        StreamLease lease = admit_stream(connection);
        if (lease == nullptr) {
            (*muxed)->reset(static_cast<std::uint32_t>(ResetCode::resource_limit));
            continue;
        }
        connection_group.spawn(
            &State::serve_stream, std::ref(*this), connection, std::move(*muxed), std::move(lease));
    }
}

// Counts an inbound stream until the lease dies; nothing where that would pass a limit.
StreamLease Host::State::admit_stream(const std::shared_ptr<Connection>& connection) {
    std::size_t of_peer = 0;
    const auto found = connections.find(connection->remote);
    if (found != connections.end())
        for (const auto& one : found->second)
            of_peer += one->inbound_streams;
    if (inbound_streams >= options.limits.streams_max ||
        of_peer >= options.limits.streams_per_peer_max)
        return nullptr;
    ++inbound_streams;
    ++connection->inbound_streams;
    return {static_cast<void*>(connection.get()), [this, connection](void*) {
                --inbound_streams;
                --connection->inbound_streams;
            }};
}

bool Host::State::speaks(std::string_view protocol) const {
    return handlers.contains(protocol);
}

io::Task<void> Host::State::serve_stream(std::shared_ptr<Connection> connection,
                                         std::unique_ptr<MuxedStream> muxed,
                                         StreamLease lease) {
    const std::function<bool(std::string_view)> knows = [this](std::string_view protocol) {
        return speaks(protocol);
    };
    auto negotiating = negotiate_inbound(*muxed, knows, options.limits);
    auto agreed = co_await io::with_timeout(
        clock, options.limits.negotiation_timeout, std::move(negotiating));
    if (!agreed) {
        muxed->reset(static_cast<std::uint32_t>(ResetCode::negotiation_failed));
        co_return;
    }
    const auto found = handlers.find(agreed->protocol);
    if (found == handlers.end()) co_return;
    const StreamHandler handler = found->second;
    std::unique_ptr<Stream> stream = make_agreed_stream({.connection = connection,
                                                         .muxed = std::move(muxed),
                                                         .protocol = std::move(agreed->protocol),
                                                         .lease = std::move(lease)},
                                                        std::move(agreed->residue));
    if (stream->protocol() != kPingProtocol) {
        co_await handler(std::move(stream));
        co_return;
    }
    if (connection->inbound_pings >= kInboundPingsMax) {
        stream->reset(ResetCode::resource_limit);
        co_return;
    }
    const PingLease ping(*connection);
    co_await handler(std::move(stream));
}

}  // namespace kwaai::p2p
