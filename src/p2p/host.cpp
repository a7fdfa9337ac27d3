#include "p2p/host.hpp"

#include <algorithm>
#include <utility>

#include "crypto/random.hpp"
#include "io/timeout.hpp"
#include "p2p/dnsaddr.hpp"
#include "p2p/host_state.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/protocol/ping.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::milliseconds kGoodbye{
    300};  // for what is queued on connections to be written

}  // namespace

Host::State::State(io::Network& some_network, io::Clock& some_clock, HostOptions some_options)
    : network(some_network),
      clock(some_clock),
      options(std::move(some_options)),
      id(PeerId::of(options.identity.public_key())),
      signatures(std::make_shared<SignatureLimiter>(options.limits, clock)),
      secure(options.identity,
             options.securities,
             options.random,
             HandshakeBounds(options.limits, signatures)),
      book(options.limits),
      windows(options.limits),
      resources(options.limits),
      manager(std::make_shared<ConnectionManager>(options.limits)),
      sources(options.limits, options.trusted_networks),
      handshakes(options.limits),
      ip6(options.limits),
      udp(options.limits) {
    if (!options.random) options.random = crypto::fill_random;
}

Host::Host(io::Network& network, io::Clock& clock, HostOptions options)
    : state_(std::make_unique<State>(network, clock, std::move(options))) {
    state_->add_own_protocols(*this);
}

Host::~Host() = default;

const PeerId& Host::id() const {
    return state_->id;
}

const crypto::PrivateKey& Host::identity() const {
    return state_->options.identity;
}

Result<> Host::listen(const Multiaddr& address) {
    const auto target = address.target();
    if (!target || (target->kind != AddrCode::ip4 && target->kind != AddrCode::ip6))
        return fail(Errc::unsupported,
                    "cannot listen on " + address.to_text() +
                        ": give /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT, and maybe /ws or "
                        "/tls/ws, or /ip4/ADDRESS/udp/PORT/quic-v1");
    if (target->transport == Transport::quic)
        return state_->listen_quic({.host = target->host, .port = target->port});
    if (target->transport == Transport::secure_websocket && state_->options.web_server == nullptr)
        return fail(
            Errc::unsupported,
            "cannot listen on " + address.to_text() + ": this node has no certificate for TLS");
    const bool is_websocket = target->transport == Transport::websocket;
    // One port serves both: who lists it twice means that.
    for (State::Listening& entry : state_->listening) {
        if (entry.socket.host != target->host || entry.socket.port != target->port) continue;
        entry.is_websocket_told |= is_websocket;
        state_->identity_changed();
        return {};
    }
    KWAAI_TRY(std::unique_ptr<io::Listener> listener,
              state_->network.listen({.host = target->host, .port = target->port}));
    KWAAI_TRY(io::Address bound, io::parse_address(listener->local_address()));
    KWAAI_CHECKED(Multiaddr::of(bound));
    state_->listening.push_back({.listener = std::move(listener),
                                 .socket = std::move(bound),
                                 .is_websocket_told = is_websocket});
    if (state_->group != nullptr) state_->start_accepting(state_->listening.back());
    state_->identity_changed();
    return {};
}

std::vector<Multiaddr> Host::addresses() const {
    std::vector<Multiaddr> all;
    for (const Multiaddr& address : state_->listen_addresses())
        all.push_back(address.with_peer(state_->id));
    return all;
}

std::vector<Multiaddr> Host::told_addresses() const {
    return state_->told_addresses();
}

void Host::set_told_addresses(AddressChooser choose) {
    state_->choose_told = std::move(choose);
    state_->identity_changed();
}

void Host::told_addresses_changed() {
    state_->identity_changed();
}

void Host::handle(std::string protocol, StreamHandler handler) {
    state_->handlers.insert_or_assign(std::move(protocol), std::move(handler));
    state_->identity_changed();
}

void Host::stop_handling(const std::string& protocol) {
    state_->handlers.erase(protocol);
    state_->identity_changed();
}

std::vector<std::string> Host::protocols() const {
    std::vector<std::string> all;
    for (const auto& [protocol, handler] : state_->handlers)
        all.push_back(protocol);
    return all;
}

namespace {

io::Task<void> close_connections(Host::State& state) {
    for (const auto& [peer, connections] : state.connections)
        for (const auto& connection : connections)
            connection->session->close();
    while (!state.connections.empty())
        co_await state.connection_ended.wait();
}

io::Task<void> run_beside(io::TaskGroup& group, Host::State& state) {
    state.group = &group;
    for (Host::State::Listening& listening : state.listening)
        state.start_accepting(listening);
    state.start_receiving();
    group.spawn(&Host::State::push_identity, std::ref(state));
    group.spawn(&Host::State::keep_trimmed, std::ref(state));
    while (!state.is_closing)
        co_await state.closing.wait();
    io::Task<void> goodbye = close_connections(state);
    const bool is_said = co_await io::finishes_within(state.clock, kGoodbye, std::move(goodbye));
    static_cast<void>(is_said);
    group.cancel();
}

// Whatever ends run(): afterwards nothing is started any more.
class Running {
public:
    explicit Running(Host::State& state) : state_(state) {}

    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    ~Running() {
        state_.group = nullptr;
        state_.is_closing = true;
        for (const Host::State::Listening& listening : state_.listening)
            listening.listener->close();
        state_.close_quic();
        state_.dial_ended.notify_all();
    }

private:
    Host::State& state_;
};

}  // namespace

io::Task<void> Host::run() {
    const Running running(*state_);
    co_await io::with_group(run_beside, std::ref(*state_));
}

void Host::close() {
    state_->is_closing = true;
    for (const State::Listening& listening : state_->listening)
        listening.listener->close();
    state_->refuse_quic();
    state_->closing.notify_all();
}

void Host::add_address(const PeerId& peer, const Multiaddr& address) {
    if (peer != state_->id) state_->book.add(peer, address, state_->clock.now());
}

std::vector<Multiaddr> Host::known_addresses(const PeerId& peer) const {
    return state_->book.addresses(peer, state_->clock.now());
}

namespace {

Result<PeerId> check_dialled(const Host::State& state, const Multiaddr& address) {
    const std::optional<PeerId> peer = address.peer();
    if (!peer)
        return fail(
            Errc::invalid_argument,
            address.to_text() + " does not end with /p2p/ID, the peer that is expected there");
    if (*peer == state.id || leads_to_any(state.own_sockets(), address))
        return fail(Errc::invalid_argument, address.to_text() + " is this node itself");
    if (address.is_relayed() && state.dial_circuit == nullptr)
        return fail(Errc::invalid_argument,
                    "cannot dial " + address.to_text() + ": this node uses no relays");
    if (!address.is_relayed() && !address.target())
        return fail(Errc::invalid_argument,
                    "cannot dial " + address.to_text() +
                        ": only TCP, WebSocket and QUIC addresses are spoken");
    return *peer;
}

}  // namespace

io::Task<Result<PeerId>> Host::connect(Multiaddr address) {
    if (is_dnsaddr(address)) {
        auto named = co_await state_->connect_by_name(std::move(address));
        co_return named;
    }
    KWAAI_CO_TRY(const PeerId peer, check_dialled(*state_, address));
    state_->book.add(peer, address, state_->clock.now());
    const auto connection = co_await state_->connection_to(peer);
    if (!connection) co_return std::unexpected<Error>(connection.error());
    co_return peer;
}

io::Task<Result<PeerId>> Host::connect_again(Multiaddr address) {
    const DialOptions plainly;
    auto connected = co_await connect_again(std::move(address), plainly);
    co_return connected;
}

io::Task<Result<PeerId>> Host::connect_again(Multiaddr address, DialOptions options) {
    KWAAI_CO_TRY(const PeerId peer, check_dialled(*state_, address));
    if (state_->group == nullptr || state_->is_closing)
        co_return fail(Errc::closed, "this node is not running");
    const auto connection = co_await state_->dial_address(peer, address.without_peer(), options);
    if (!connection) co_return std::unexpected<Error>(connection.error());
    co_return peer;
}

std::shared_ptr<void> Host::observe(ConnectionObserver observer) {
    auto shared = std::make_shared<ConnectionObserver>(std::move(observer));
    state_->observers.push_back(shared);
    return shared;
}

io::Task<Result<std::unique_ptr<Stream>>> Host::open(PeerId peer, std::string protocol) {
    const OpenOptions options;
    auto stream = co_await open(std::move(peer), std::move(protocol), options);
    co_return stream;
}

namespace {

io::Task<Result<std::unique_ptr<Stream>>> open_stream(Host::State& state,
                                                      PeerId peer,
                                                      std::string protocol,
                                                      OpenOptions options) {
    KWAAI_CO_TRY(const std::shared_ptr<Connection> connection,
                 co_await state.connection_for_stream(std::move(peer), options.allows_relayed));
    KWAAI_CO_TRY(StreamParts parts, co_await state.open_on(connection, std::move(protocol)));
    if (options.is_lazy) co_return make_proposed_stream(std::move(parts));
    const std::vector<std::string> wanted{parts.protocol};
    KWAAI_CO_TRY(Negotiated agreed, co_await negotiate_outbound(*parts.muxed, wanted));
    co_return make_agreed_stream(std::move(parts), std::move(agreed.residue));
}

}  // namespace

io::Task<Result<std::unique_ptr<Stream>>> Host::open(PeerId peer,
                                                     std::string protocol,
                                                     OpenOptions options) {
    auto opening = open_stream(*state_, std::move(peer), protocol, options);
    auto stream = co_await io::with_timeout(state_->clock, options.timeout, std::move(opening));
    if (!stream) co_return forward_error(stream, "opening " + protocol);
    co_return std::move(*stream);
}

io::Task<Result<std::chrono::nanoseconds>> Host::ping(PeerId peer) {
    const OpenOptions over_any{.allows_relayed = true};
    KWAAI_CO_TRY(std::unique_ptr<Stream> stream,
                 co_await open(std::move(peer), kPingProtocol, over_any));
    auto pinging = ping_once(*stream, state_->clock, state_->options.random);
    auto time = co_await io::with_timeout(
        state_->clock, state_->options.limits.negotiation_timeout, std::move(pinging));
    if (time) stream->close();
    co_return time;
}

io::Task<Result<PeerInfo>> Host::identify(PeerId peer) {
    KWAAI_CO_TRY(const std::shared_ptr<Connection> connection,
                 co_await state_->connection_to(peer));
    while (!connection->is_identify_over && !connection->session->is_closed())
        co_await connection->identified.wait();
    if (!connection->identity)
        co_return fail(Errc::unavailable,
                       "peer " + peer.to_text() + " did not say who it is (no answer to identify)");
    co_return state_->info_of(*connection);
}

void Host::protect(const PeerId& peer, std::string tag) {
    state_->manager->protect(peer, std::move(tag));
}

void Host::unprotect(const PeerId& peer, std::string_view tag) {
    state_->manager->unprotect(peer, tag);
}

const ResourceUse& Host::resources() const {
    return state_->resources.total();
}

void Host::disconnect(const PeerId& peer) {
    const auto found = state_->connections.find(peer);
    if (found == state_->connections.end()) return;
    for (const auto& connection : found->second)
        connection->session->close();
}

bool Host::is_connected(const PeerId& peer) const {
    return state_->best_connection(peer) != nullptr;
}

std::vector<PeerInfo> Host::peers() const {
    std::vector<PeerInfo> all;
    for (const auto& [peer, connections] : state_->connections) {
        const auto best = state_->best_connection(peer);
        all.push_back(state_->info_of(best != nullptr ? *best : *connections.front()));
    }
    return all;
}

std::optional<std::chrono::nanoseconds> Host::round_trip_time(const PeerId& peer) const {
    const auto connection = state_->best_connection(peer);
    if (connection == nullptr) return std::nullopt;
    return connection->session->round_trip_time();
}

// The oldest that is open, since later ones are mostly duplicates of simultaneous dials; a direct
// one where there is one, else one without limits.
std::shared_ptr<Connection> Host::State::best_connection(const PeerId& peer) const {
    const auto found = connections.find(peer);
    if (found == connections.end()) return nullptr;
    std::shared_ptr<Connection> relayed;
    for (const auto& connection : found->second) {
        if (connection->session->is_closed()) continue;
        if (!connection->address.is_relayed()) return connection;
        if (relayed == nullptr || (relayed->limit && !connection->limit)) relayed = connection;
    }
    return relayed;
}

PeerInfo Host::State::info_of(const Connection& connection) const {
    PeerInfo info{.peer = connection.remote,
                  .agent = {},
                  .protocols = {},
                  .addresses = {},
                  .is_record_signed = connection.is_record_signed,
                  .observed = {},
                  .connected = connection.address,
                  .is_inbound = connection.is_inbound,
                  .limit = connection.limit};
    if (connection.identity) {
        info.agent = connection.identity->agent;
        info.protocols = connection.identity->protocols;
        info.addresses = connection.identity->listen_addresses;
        info.observed = connection.identity->observed;
    }
    return info;
}

}  // namespace kwaai::p2p
