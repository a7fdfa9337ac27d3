// What a host does for those who come: takes connections, and answers their streams.
#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/host_state.hpp"
#include "p2p/muxer/yamux_session.hpp"
#include "p2p/protocol/multistream.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{50};  // after a failure that passes

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
            if (of_peer->second.empty()) {
                state_.connections.erase(of_peer);
                state_.book.disconnected(connection_->remote, state_.clock.now());
            }
        }
        connection_->waiting.clear();
        state_.windows.learn(connection_->remote, connection_->session->window_learned());
        connection_->place.scope->end();
        connection_->place.source.reset();
        state_.manager->closed(connection_.get());
        connection_->identified.notify_all();
        state_.connection_ended.notify_all();
        state_.direct_changed.notify_all();
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
        admit_connection(std::move(*raw));
    }
}

// Whoever is refused costs no more than the closing of its connection.
void Host::State::admit_connection(std::unique_ptr<io::Stream> raw) {
    const auto address = io::parse_address(raw->peer());
    if (!address) return;
    if (options.gater != nullptr && !options.gater->may_accept(address->host)) return;
    std::shared_ptr<Arrival> arrival = admit(address->host, true);
    if (arrival == nullptr) return;
    arrival->raw = std::move(raw);
    group->spawn(&State::take, std::ref(*this), std::move(arrival));
}

bool Host::State::is_full_of_handshakes() const {
    return resources.pending().connections_inbound >= options.limits.pending_inbound_max;
}

// Where all places are taken by handshakes a slow one ends, but not for who may not come anyway.
std::shared_ptr<Host::State::Arrival> Host::State::admit(const std::string& ip,
                                                         bool has_descriptor) {
    const io::TimePoint now = clock.now();
    auto scope = resources.open_connection(Direction::inbound, has_descriptor);
    std::function<void()> end_slow;
    if (!scope && is_full_of_handshakes()) end_slow = handshakes.end_for(ip, now);
    if (!scope && !end_slow) return nullptr;
    SourceLimiter::Admitted admitted = sources.admit(ip, now);
    if (admitted.pending == nullptr) return nullptr;
    if (!scope) {
        end_slow();
        scope = resources.open_connection(Direction::inbound, has_descriptor);
        if (!scope) return nullptr;
    }
    auto arrival = std::make_shared<Arrival>();
    arrival->place = {.scope = std::move(*scope), .source = std::move(admitted.connection)};
    arrival->source = std::move(admitted.pending);
    arrival->lease = handshakes.begin(ip, now, [ending = arrival.get()] { ending->end(); });
    return arrival;
}

void Host::State::Arrival::end() {
    is_ended = true;
    place.scope->end();
    source.reset();
    lease.reset();
    if (group != nullptr) group->cancel();
}

io::Task<void> Host::State::take(std::shared_ptr<Arrival> arrival) {
    co_await io::with_group(&State::take_alone, std::ref(*this), std::move(arrival));
}

io::Task<void> Host::State::take_alone(io::TaskGroup& alone,
                                       State& state,
                                       std::shared_ptr<Arrival> arrival) {
    arrival->group = &alone;
    const bool is_quic = arrival->session != nullptr;
    alone.spawn(
        is_quic ? &State::take_quic : &State::take_connection, std::ref(state), std::move(arrival));
    co_return;
}

io::Task<void> Host::State::take_connection(std::shared_ptr<Arrival> arrival) {
    const auto socket = io::parse_address(arrival->raw->peer());
    if (!socket) co_return;
    auto upgrading = upgrade_inbound(std::move(arrival->raw));
    auto upgraded =
        co_await io::with_timeout(clock, options.limits.handshake_timeout, std::move(upgrading));
    if (!upgraded || arrival->is_ended || group == nullptr || is_closing) co_return;
    const auto address = Multiaddr::of(*socket, upgraded->transport);
    if (!address) co_return;
    arrival->lease.reset();
    SecureChannel& channel = upgraded->channel;
    const Multiaddr from = address->with_peer(channel.remote);
    const auto started =
        start_connection(std::move(channel), from, false, std::move(arrival->place));
    static_cast<void>(started);  // a refused peer sees its connection end
}

bool Host::State::may_keep(const PeerId& peer,
                           Direction direction,
                           const Multiaddr& address) const {
    return options.gater == nullptr || options.gater->may_keep(peer, direction, address);
}

// Those that are open have learned something, too.
std::uint32_t Host::State::window_for(const PeerId& peer) {
    const auto open = connections.find(peer);
    if (open != connections.end())
        for (const auto& connection : open->second)
            windows.learn(peer, connection->session->window_learned());
    return windows.recall(peer);
}

Result<std::shared_ptr<Connection>> Host::State::start_connection(
    SecureChannel channel,
    Multiaddr address,
    bool is_outbound,
    ConnectionPlace place,
    std::optional<CircuitLimit> limit) {
    auto session =
        std::make_unique<YamuxSession>(std::move(channel.stream),
                                       is_outbound ? YamuxRole::dialer : YamuxRole::listener,
                                       options.limits,
                                       clock,
                                       place.scope.get(),
                                       window_for(channel.remote));
    return start_session(std::move(channel.remote),
                         std::move(session),
                         std::move(address),
                         is_outbound,
                         std::move(place),
                         limit);
}

Result<std::shared_ptr<Connection>> Host::State::start_session(
    PeerId remote,
    std::unique_ptr<MuxedSession> session,
    Multiaddr address,
    bool is_outbound,
    ConnectionPlace place,
    std::optional<CircuitLimit> limit) {
    const Direction direction = is_outbound ? Direction::outbound : Direction::inbound;
    Result<> admitted = place.scope->set_peer(remote);
    if (!may_keep(remote, direction, address))
        admitted = fail(Errc::unavailable,
                        "peer " + remote.to_text() + " is blocked by this node's rules");
    if (!admitted) {
        session.reset();  // before the account that it has
        return forward_error(admitted);
    }
    auto connection = std::make_shared<Connection>(
        std::move(remote), std::move(address), is_outbound, std::move(place), std::move(session));
    connection->limit = limit;
    connections[connection->remote].push_back(connection);
    manager->opened(connection.get(), connection->remote, clock.now());
    book.connected(connection->remote);
    group->spawn(&State::run_connection, std::ref(*this), connection);
    notify(*connection, ConnectionChange::opened);
    if (manager->size() > options.limits.connections_high) close_surplus();
    direct_changed.notify_all();
    return connection;
}

// A connection that is being closed is none that could be chosen again.
void Host::State::close_surplus() {
    const std::vector<ConnectionManager::Key> chosen = manager->to_close(clock.now());
    if (chosen.empty()) return;
    const std::set<ConnectionManager::Key> keys(chosen.begin(), chosen.end());
    std::vector<std::shared_ptr<Connection>> closed;
    for (const auto& [peer, of_peer] : connections)
        for (const auto& connection : of_peer)
            if (keys.contains(connection.get())) closed.push_back(connection);
    for (const auto& connection : closed) {
        manager->closed(connection.get());
        connection->session->close();
    }
}

io::Task<void> Host::State::keep_trimmed() {
    while (true) {
        co_await clock.sleep_for(options.limits.trim_period);
        close_surplus();
    }
}

std::shared_ptr<void> Host::expend_first(PeerJudge is_expendable) {
    auto lease = std::make_shared<PeerJudge>(std::move(is_expendable));
    state_->is_expendable = lease;
    for (const auto& [peer, of_peer] : state_->connections)
        for (const auto& connection : of_peer)
            state_->judge(*connection);
    return lease;
}

void Host::State::judge(const Connection& connection) {
    const std::shared_ptr<PeerJudge> decides = is_expendable.lock();
    if (decides == nullptr || !connection.identity) return;
    manager->set_expendable(&connection, (*decides)(info_of(connection)));
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
    const Result<> ended = co_await connection->session->run();
    static_cast<void>(ended);  // its streams have said so
    connection_group.cancel();
}

io::Task<void> Host::State::accept_streams(io::TaskGroup& connection_group,
                                           std::shared_ptr<Connection> connection) {
    while (true) {
        auto muxed = co_await connection->session->accept();
        if (!muxed) co_return;
        auto use = admit_stream(*connection, Direction::inbound);
        if (!use) {
            (*muxed)->reset(static_cast<std::uint32_t>(ResetCode::resource_limit));
            continue;
        }
        connection->waiting.push_back(
            {.muxed = std::move(*muxed), .scope = (*use)->scope, .lease = *use});
        serve_waiting(connection_group, connection);
    }
}

// Those whose turn it is: a peer that opens many streams at once has all of them served, some at a
// time.
void Host::State::serve_waiting(io::TaskGroup& connection_group,
                                const std::shared_ptr<Connection>& connection) {
    while (!connection->waiting.empty() && connection->waiting.front().scope->may_agree()) {
        WaitingStream next = std::move(connection->waiting.front());
        connection->waiting.pop_front();
        if (!next.scope->begin_agreeing()) {
            next.muxed->reset(static_cast<std::uint32_t>(ResetCode::resource_limit));
            continue;
        }
        connection_group.spawn(&State::serve_stream,
                               std::ref(*this),
                               std::ref(connection_group),
                               connection,
                               std::move(next));
    }
}

Host::State::StreamUse::StreamUse(std::shared_ptr<ConnectionManager> some_manager,
                                  ConnectionManager::Key some_key,
                                  Direction some_direction,
                                  std::shared_ptr<StreamScope> some_scope)
    : manager(std::move(some_manager)),
      key(some_key),
      direction(some_direction),
      scope(std::move(some_scope)) {
    manager->stream_opened(key, direction);
}

Host::State::StreamUse::~StreamUse() {
    manager->stream_closed(key, direction);
}

Result<std::shared_ptr<Host::State::StreamUse>> Host::State::admit_stream(
    const Connection& connection, Direction direction) {
    KWAAI_TRY(std::shared_ptr<StreamScope> scope, connection.place.scope->open_stream(direction));
    return std::make_shared<StreamUse>(manager, &connection, direction, std::move(scope));
}

io::Task<Result<StreamParts>> Host::State::open_on(std::shared_ptr<Connection> connection,
                                                   std::string protocol) {
    KWAAI_CO_TRY(std::shared_ptr<StreamUse> use, admit_stream(*connection, Direction::outbound));
    KWAAI_CO_TRY(std::unique_ptr<MuxedStream> muxed, co_await connection->session->open());
    co_return StreamParts{.connection = std::move(connection),
                          .muxed = std::move(muxed),
                          .protocol = std::move(protocol),
                          .lease = std::move(use)};
}

bool Host::State::speaks(std::string_view protocol) const {
    return handlers.contains(protocol);
}

io::Task<void> Host::State::serve_stream(io::TaskGroup& connection_group,
                                         std::shared_ptr<Connection> connection,
                                         WaitingStream opened) {
    const std::function<bool(std::string_view)> knows = [this](std::string_view protocol) {
        return speaks(protocol);
    };
    auto negotiating = negotiate_inbound(*opened.muxed, knows, options.limits);
    auto agreed = co_await io::with_timeout(
        clock, options.limits.negotiation_timeout, std::move(negotiating));
    const auto found = agreed ? handlers.find(agreed->protocol) : handlers.end();
    std::optional<ResetCode> refusal;
    StreamHandler handler;
    if (found == handlers.end())
        refusal = ResetCode::negotiation_failed;
    else if (!opened.scope->set_protocol(agreed->protocol))
        refusal = ResetCode::resource_limit;
    else
        handler = found->second;  // which others may take away from here on
    if (refusal) {
        opened.muxed->reset(static_cast<std::uint32_t>(*refusal));
        opened = {};
    }
    opened.scope.reset();
    serve_waiting(connection_group, connection);
    if (refusal) co_return;
    std::unique_ptr<Stream> stream = make_agreed_stream({.connection = connection,
                                                         .muxed = std::move(opened.muxed),
                                                         .protocol = std::move(agreed->protocol),
                                                         .lease = std::move(opened.lease)},
                                                        std::move(agreed->residue));
    co_await handler(std::move(stream));
}

}  // namespace kwaai::p2p
