// QUIC connections of a host: the ports that they come to and are dialled from.
#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/host_state.hpp"
#include "p2p/quic/quic_endpoint.hpp"
#include "p2p/quic/quic_session.hpp"

namespace kwaai::p2p {
namespace {

constexpr int kWayPackets = 50;  // for as long as a client sends its hello three times
constexpr std::chrono::milliseconds kWayGap{100};
constexpr std::size_t kWayBytes = 64;

bool is_any_host(const std::string& host) {
    return host == "0.0.0.0" || host == "::";
}

bool is_loopback(const io::Address& socket) {
    const auto address = Multiaddr::of(socket);
    return address && address->is_loopback();
}

// A connection whose handshake has not ended well sees its end.
struct Unadopted {
    explicit Unadopted(std::unique_ptr<QuicSession> made) : session(std::move(made)) {}

    std::unique_ptr<QuicSession> session;
};

}  // namespace

Result<std::shared_ptr<QuicEndpoint>> Host::State::open_quic(const io::Address& address,
                                                             bool is_listening) {
    KWAAI_TRY(std::unique_ptr<io::UdpSocket> socket, network.open_udp(address));
    if (quic_identity == nullptr)
        quic_identity = std::make_shared<const QuicIdentity>(options.identity, signatures);
    io::Address bound = io::to_address(socket->local());
    auto endpoint =
        std::make_shared<QuicEndpoint>(std::move(socket), quic_identity, options.limits, clock);
    if (is_listening)
        endpoint->set_acceptor([this, port = endpoint.get()](const QuicArrival& arrival) {
            admit_quic(*port, arrival);
        });
    quic_ports.push_back(
        {.endpoint = endpoint, .socket = std::move(bound), .is_listening = is_listening});
    if (group != nullptr) start_receiving();
    return endpoint;
}

Result<> Host::State::listen_quic(const io::Address& address) {
    KWAAI_CHECKED(open_quic(address, true));
    identity_changed();
    return {};
}

void Host::State::start_receiving() {
    for (QuicPort& port : quic_ports) {
        if (std::exchange(port.is_receiving, true)) continue;
        group->spawn(&QuicEndpoint::run, port.endpoint);
    }
}

void Host::State::refuse_quic() {
    for (const QuicPort& port : quic_ports)
        port.endpoint->set_acceptor(nullptr);
}

void Host::State::close_quic() {
    refuse_quic();
    for (const QuicPort& port : quic_ports)
        port.endpoint->close();
}

// As admit_connection() on TCP.
void Host::State::admit_quic(QuicEndpoint& endpoint, const QuicArrival& arrival) {
    if (group == nullptr || is_closing) return;
    const io::Address from = io::to_address(arrival.from);
    if (options.gater != nullptr && !options.gater->may_accept(from.host)) return;
    // TCP's handshake proves an address before this one begins.
    const bool is_proven = arrival.hello.original.has_value();
    if (!is_proven && (is_full_of_handshakes() || !sources.is_quiet(from.host, clock.now())))
        return endpoint.ask_for_proof(arrival);
    std::shared_ptr<Arrival> taken = admit(from.host, false);
    if (taken == nullptr) return;
    taken->session = endpoint.take(arrival, taken->place.scope.get());
    taken->from = arrival.from;
    group->spawn(&State::take, std::ref(*this), std::move(taken));
}

Host::State::Arrival::Arrival() = default;
Host::State::Arrival::~Arrival() = default;

io::Task<void> Host::State::take_quic(std::shared_ptr<Arrival> arrival) {
    auto shaking = arrival->session->handshake();
    auto peer =
        co_await io::with_timeout(clock, options.limits.handshake_timeout, std::move(shaking));
    if (!peer || arrival->is_ended || group == nullptr || is_closing) co_return;
    const auto address = Multiaddr::of(io::to_address(arrival->from), Transport::quic);
    if (!address) co_return;
    arrival->lease.reset();
    const auto started = start_session(*peer,
                                       std::move(arrival->session),
                                       address->with_peer(*peer),
                                       false,
                                       std::move(arrival->place));
    static_cast<void>(started);  // a refused peer gets no answers any more
}

// Of those that reach the target one that listens, else any.
const Host::State::QuicPort* Host::State::find_quic_port(const io::Address& target) const {
    const QuicPort* chosen = nullptr;
    for (const QuicPort& port : quic_ports) {
        if (port.socket.host.contains(':') != target.host.contains(':')) continue;
        if (is_loopback(port.socket) && !is_loopback(target)) continue;
        if (!is_loopback(port.socket) && !is_any_host(port.socket.host) && is_loopback(target))
            continue;
        if (chosen == nullptr || (port.is_listening && !chosen->is_listening)) chosen = &port;
    }
    return chosen;
}

Result<std::shared_ptr<QuicEndpoint>> Host::State::quic_port_for(const io::Endpoint& remote) {
    const QuicPort* const open = find_quic_port(io::to_address(remote));
    if (open != nullptr) return open->endpoint;
    return open_quic({.host = remote.is_v6 ? "::" : "0.0.0.0", .port = 0}, false);
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial_quic(PeerId peer,
                                                                     Multiaddr address,
                                                                     io::Address socket,
                                                                     DialOptions how) {
    KWAAI_CO_TRY(const io::Endpoint remote, io::to_endpoint(socket));
    KWAAI_CO_TRY(std::shared_ptr<QuicEndpoint> endpoint, quic_port_for(remote));
    if (how.is_server) {
        co_await open_way(std::move(endpoint), remote);
        co_return fail(Errc::timed_out, "the peer did not come through");
    }
    const QuicPort* const port = find_quic_port(socket);
    const bool is_listening = port != nullptr && port->is_listening;
    ConnectionPlace place;
    KWAAI_CO_TRY(place.scope, resources.open_connection(Direction::outbound, false));
    Unadopted made(endpoint->dial(remote, peer, place.scope.get()));
    auto shaking = made.session->handshake();
    auto met = co_await io::with_timeout(clock, options.limits.dial_timeout, std::move(shaking));
    if (!met) co_return forward_error(met);
    if (group == nullptr || is_closing) co_return fail(Errc::closed, "this node is not running");
    auto started = start_session(
        peer, std::move(made.session), address.with_peer(peer), true, std::move(place));
    if (started) (*started)->is_beside_listener = is_listening;
    co_return started;
}

// Hole punching (dcutr.md): the peer dials, and our router lets it in after packets of ours, whose
// content means nothing.
io::Task<void> Host::State::open_way(std::shared_ptr<QuicEndpoint> endpoint, io::Endpoint remote) {
    std::array<std::byte, kWayBytes> bytes{};
    for (int sent = 0; sent < kWayPackets; ++sent) {
        options.random(bytes);
        static_cast<void>(endpoint->port().send(remote, bytes, bytes.size()));
        co_await clock.sleep_for(kWayGap);
    }
}

}  // namespace kwaai::p2p
