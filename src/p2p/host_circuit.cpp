// Connections over what others opened: circuits through relays, and direct ones that follow them.
#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/host_state.hpp"

namespace kwaai::p2p {

void Host::set_circuit_dialer(CircuitDialer dialer) {
    state_->dial_circuit = std::move(dialer);
}

io::Task<Result<PeerId>> Host::adopt(Circuit circuit, Multiaddr address, bool is_dialler) {
    const std::optional<PeerId> expected = address.peer();
    ConnectionPlace place;
    KWAAI_CO_TRY(place.scope,
                 state_->resources.open_connection(
                     is_dialler ? Direction::outbound : Direction::inbound, false));
    auto upgrading = state_->upgrade_adopted(std::move(circuit.stream), expected, is_dialler);
    auto channel = co_await io::with_timeout(
        state_->clock, state_->options.limits.handshake_timeout, std::move(upgrading));
    if (!channel) co_return forward_error(channel);
    if (state_->group == nullptr || state_->is_closing)
        co_return fail(Errc::closed, "this node is not running");
    const PeerId peer = channel->remote;
    const auto started = state_->start_connection(
        std::move(*channel), address.with_peer(peer), is_dialler, std::move(place), circuit.limit);
    if (!started) co_return std::unexpected<Error>(started.error());
    co_return peer;
}

bool Host::is_connected_directly(const PeerId& peer) const {
    const auto connection = state_->best_connection(peer);
    return connection != nullptr && !connection->address.is_relayed();
}

bool Host::State::could_dial_beside(const Multiaddr& address) const {
    const auto target = address.target();
    if (!target) return false;
    const io::Address socket{.host = target->host, .port = target->port};
    const bool is_name = !Multiaddr::of(socket);  // of no known family
    if (target->transport != Transport::quic)
        return is_name ? !listening.empty() : listening_beside(socket).has_value();
    if (is_name) return std::ranges::any_of(quic_ports, &QuicPort::is_listening);
    const QuicPort* const port = find_quic_port(socket);
    return port != nullptr && port->is_listening;
}

bool Host::is_connected_beside_listener(const PeerId& peer) const {
    const auto found = state_->connections.find(peer);
    if (found == state_->connections.end()) return false;
    return std::ranges::any_of(found->second, [this](const auto& connection) {
        if (connection->session->is_closed()) return false;
        return connection->is_beside_listener || !state_->could_dial_beside(connection->address);
    });
}

std::vector<Multiaddr> Host::seen_beside_listener() const {
    std::vector<Multiaddr> all;
    for (const auto& [peer, of_peer] : state_->connections)
        for (const auto& connection : of_peer)
            if (connection->is_beside_listener && connection->identity &&
                connection->identity->observed)
                all.push_back(connection->identity->observed->without_peer());
    return all;
}

std::shared_ptr<void> Host::expect_direct(const PeerId& peer) {
    State* const state = state_.get();
    const auto entry = state->expecting_direct.insert(peer);
    return {static_cast<void*>(state), [state, entry](void*) {
                state->expecting_direct.erase(entry);
                state->direct_changed.notify_all();
            }};
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::connection_for_stream(
    PeerId peer, bool allows_relayed) {
    while (true) {
        KWAAI_CO_TRY(std::shared_ptr<Connection> connection, co_await connection_to(peer));
        if (allows_relayed || !connection->limit) co_return connection;
        if (!expecting_direct.contains(peer))
            co_return fail(Errc::unavailable,
                           "peer " + peer.to_text() +
                               " is reached through a relay alone, which limits what may be sent");
        co_await direct_changed.wait();
    }
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial_over_peer(PeerId peer,
                                                                          Multiaddr address) {
    if (dial_circuit == nullptr) co_return fail(Errc::unsupported, "this node uses no relays");
    const CircuitDialer dialer = dial_circuit;  // may be set again meanwhile
    ConnectionPlace place;
    KWAAI_CO_TRY(place.scope, resources.open_connection(Direction::outbound, false));
    const Multiaddr way = address.with_peer(peer);
    auto dialling_it = dialer(way);
    auto circuit =
        co_await io::with_timeout(clock, options.limits.circuit_timeout, std::move(dialling_it));
    if (!circuit) co_return forward_error(circuit);
    std::optional<PeerId> expected(std::move(peer));
    auto upgrading = upgrade_adopted(std::move(circuit->stream), std::move(expected), true);
    auto channel =
        co_await io::with_timeout(clock, options.limits.handshake_timeout, std::move(upgrading));
    if (!channel) co_return forward_error(channel);
    if (group == nullptr || is_closing) co_return fail(Errc::closed, "this node is not running");
    co_return start_connection(std::move(*channel), way, true, std::move(place), circuit->limit);
}

// Where the first security is refused there is no second stream to try the next on: all are
// proposed in turn.
io::Task<Result<SecureChannel>> Host::State::upgrade_adopted(std::unique_ptr<io::Stream> raw,
                                                             std::optional<PeerId> expected,
                                                             bool is_dialler) {
    if (is_dialler && expected) {
        auto dialled =
            co_await secure_dialled(std::move(raw), std::move(*expected), options.securities);
        co_return dialled;
    }
    const std::vector<std::string> muxers{kYamuxProtocol};
    KWAAI_CO_TRY(SecureChannel channel, co_await secure_inbound(std::move(raw), secure, muxers));
    if (expected && channel.remote != *expected)
        co_return std::unexpected<Error>(wrong_peer_error(channel.remote, *expected));
    KWAAI_CO_CHECKED(co_await agree_on_muxer(channel, false));
    co_return channel;
}

}  // namespace kwaai::p2p
