// How a host reaches a peer: known addresses, side by side, then Noise or TLS, and yamux.
#include <algorithm>
#include <utility>

#include "crypto/web_tls.hpp"
#include "http/websocket.hpp"
#include "io/address.hpp"
#include "io/timeout.hpp"
#include "p2p/host_state.hpp"
#include "p2p/prefixed_stream.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/transport/secure_websocket.hpp"
#include "p2p/transport/shared_port.hpp"

namespace kwaai::p2p {
namespace {

// Who waits for a dial of somebody else goes on when it has ended, however that was.
class Dialling {
public:
    Dialling(Host::State& state, PeerId peer) : state_(state), peer_(std::move(peer)) {
        state_.dialling.insert(peer_);
    }

    Dialling(const Dialling&) = delete;
    Dialling& operator=(const Dialling&) = delete;

    ~Dialling() {
        state_.dialling.erase(peer_);
        state_.dial_ended.notify_all();
    }

private:
    Host::State& state_;
    PeerId peer_;
};

std::string seconds_text(io::Duration duration) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
    return std::to_string(seconds) + " s";
}

// A place among the addresses that are tried at a time.
class DialPlace {
public:
    explicit DialPlace(Host::State& state) : state_(state) { ++state_.dials; }

    DialPlace(const DialPlace&) = delete;
    DialPlace& operator=(const DialPlace&) = delete;

    ~DialPlace() {
        --state_.dials;
        state_.dial_freed.notify_all();
    }

private:
    Host::State& state_;
};

// One address of a race, until it has won, failed or been called off.
class Racer {
public:
    explicit Racer(Host::State::Race& race) : race_(race) { ++race_.in_flight; }

    Racer(const Racer&) = delete;
    Racer& operator=(const Racer&) = delete;

    ~Racer() {
        --race_.in_flight;
        race_.changed.notify_all();
    }

private:
    Host::State::Race& race_;
};

// What a dial says about IPv6 and UDP: one that was called off after the time that another address
// got over it has not worked.
class WatchedDial {
public:
    WatchedDial(Host::State& state, const Multiaddr& address)
        : state_(state), began_(state.clock.now()) {
        if (is_public_ip6(address)) told_.push_back(&state.ip6);
        if (is_public_udp(address)) told_.push_back(&state.udp);
    }

    WatchedDial(const WatchedDial&) = delete;
    WatchedDial& operator=(const WatchedDial&) = delete;

    ~WatchedDial() {
        const io::Duration took = state_.clock.now() - began_;
        if (took >= state_.options.limits.dial_gap_public) end(false);
    }

    void end(bool has_worked) {
        for (BlackHoleDetector* const detector : std::exchange(told_, {}))
            detector->dialled(has_worked);
    }

private:
    Host::State& state_;
    std::vector<BlackHoleDetector*> told_;
    io::TimePoint began_;
};

bool is_ours(const Error& error) {
    return error.code == Errc::limit_exceeded || error.code == Errc::closed;
}

io::IpFamily family_of(AddrCode kind) {
    if (kind == AddrCode::dns4) return io::IpFamily::v4;
    if (kind == AddrCode::dns6) return io::IpFamily::v6;
    return io::IpFamily::any;
}

}  // namespace

io::Task<Result<std::shared_ptr<Connection>>> Host::State::connection_to(PeerId peer) {
    while (true) {
        if (group == nullptr || is_closing)
            co_return fail(Errc::closed, "this node is not running");
        if (auto open = best_connection(peer); open != nullptr) co_return open;
        if (!dialling.contains(peer)) break;
        co_await dial_ended.wait();
    }
    auto connection = co_await dial(std::move(peer));
    co_return connection;
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial(PeerId peer) {
    const Dialling dialling_it(*this, peer);
    KWAAI_CO_CHECKED(resources.check_dial());
    if (options.gater != nullptr && !options.gater->may_dial_peer(peer))
        co_return fail(Errc::unavailable,
                       "peer " + peer.to_text() + " is blocked by this node's rules");
    PeerBook::Candidates found = book.candidates(peer, clock.now());
    if (!found.is_known)
        co_return fail(Errc::not_found, "no address of peer " + peer.to_text() + " is known");
    if (found.ready.empty())
        co_return fail(Errc::unavailable,
                       "peer " + peer.to_text() + ": backing off for " +
                           seconds_text(found.back_off) + " after: " + found.last_failure);
    std::vector<RankedAddress> ranked = rank(peer, std::move(found.ready));
    if (ranked.empty())
        co_return fail(
            Errc::unavailable,
            "peer " + peer.to_text() +
                " has only addresses that are blocked, this node's own, or of a kind that does not "
                "work here");
    auto connection = co_await dial_ready(std::move(peer), std::move(ranked));
    co_return connection;
}

// Those that may be dialled, in their order.
std::vector<RankedAddress> Host::State::rank(const PeerId& peer, std::vector<Multiaddr> ready) {
    const std::vector<Multiaddr> own = own_sockets();
    std::erase_if(ready, [&](const Multiaddr& address) {
        if (leads_to_any(own, address)) return true;
        const auto target = address.target();
        const bool is_ip = target && !ip_bytes(target->host).empty();
        if (options.gater != nullptr &&
            !options.gater->may_dial(peer, is_ip ? std::string_view(target->host) : ""))
            return true;
        return (is_public_ip6(address) && !ip6.may_dial()) ||
               (is_public_udp(address) && !udp.may_dial());
    });
    return rank_addresses(std::move(ready), options.limits);
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial_ready(
    PeerId peer, std::vector<RankedAddress> ranked) {
    Race race;
    co_await io::with_group(
        &State::race_addresses, std::ref(*this), peer, std::move(ranked), std::ref(race));
    if (race.winner != nullptr) co_return std::move(race.winner);
    if (race.failures.empty()) co_return fail(Errc::closed, "this node is not running");
    if (race.failures.size() == 1) {
        auto& [address, error] = race.failures.front();
        Error told = std::move(error).with("dialling " + address.to_text());
        co_return std::unexpected<Error>(std::move(told));
    }
    std::string failures;
    for (const auto& [address, error] : race.failures)
        failures += "\n  " + address.to_text() + ": " + error.context;
    co_return fail(Errc::unavailable, "peer " + peer.to_text() + " cannot be reached:" + failures);
}

// "Happy eyeballs" (RFC 8305): each address begins at its time, or as soon as all before it have
// failed; the first whose handshake is done wins, and the others are called off.
io::Task<void> Host::State::race_addresses(io::TaskGroup& racers,
                                           State& state,
                                           PeerId peer,
                                           std::vector<RankedAddress> ranked,
                                           Race& race) {
    const io::TimePoint begin = state.clock.now();
    race.end = begin + dial_limit(ranked, state.options.limits);
    for (RankedAddress& next : ranked) {
        while (race.winner == nullptr && race.in_flight > 0) {
            const io::Duration left = begin + next.delay - state.clock.now();
            if (left <= io::Duration::zero()) break;
            io::Task<void> changed = race.changed.wait();
            co_await io::finishes_within(state.clock, left, std::move(changed));
        }
        if (race.winner != nullptr || state.clock.now() >= race.end) break;
        racers.spawn(
            &State::race_one, std::ref(state), peer, std::move(next.address), std::ref(race));
    }
    while (race.winner == nullptr && race.in_flight > 0)
        co_await race.changed.wait();
    racers.cancel();
}

io::Task<void> Host::State::race_one(PeerId peer, Multiaddr address, Race& race) {
    const Racer racer(race);
    while (dials >= options.limits.dials_max) {
        const io::Duration rest = race.end - clock.now();
        io::Task<void> freed = dial_freed.wait();
        const bool is_freed = co_await io::finishes_within(clock, rest, std::move(freed));
        if (is_freed) continue;
        Error full{Errc::limit_exceeded, "too many addresses are being dialled"};
        race.failures.emplace_back(std::move(address), std::move(full));
        co_return;
    }
    const DialPlace place(*this);
    WatchedDial watched(*this, address);
    const DialOptions plainly;
    const io::Duration left = race.end - clock.now();
    auto dialling_it = dial_address(peer, address, plainly);
    auto connection = co_await io::with_timeout(clock, left, std::move(dialling_it));
    if (connection || !is_ours(connection.error())) watched.end(connection.has_value());
    if (connection) {
        book.succeeded(peer, address);
        if (race.winner == nullptr) race.winner = std::move(*connection);
        co_return;
    }
    if (connection.error().code == Errc::wrong_peer)
        book.found_another(peer, address, connection.error().context, clock.now());
    else if (!is_ours(connection.error()))
        book.failed(peer, address, connection.error().context, clock.now());
    race.failures.emplace_back(std::move(address), std::move(connection).error());
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial_address(PeerId peer,
                                                                        Multiaddr address,
                                                                        DialOptions how) {
    if (address.is_relayed()) {
        auto over_peer = co_await dial_over_peer(std::move(peer), std::move(address));
        co_return over_peer;
    }
    const std::optional<DialTarget> target = address.target();
    if (!target)
        co_return fail(Errc::unsupported, "only TCP, WebSocket and QUIC addresses are spoken");
    std::vector<std::string> ips{target->host};
    if (target->kind != AddrCode::ip4 && target->kind != AddrCode::ip6) {
        auto resolving = network.resolve(target->host, family_of(target->kind));
        auto resolved =
            co_await io::with_timeout(clock, options.limits.dial_timeout, std::move(resolving));
        if (!resolved) co_return forward_error(resolved);
        ips = std::move(*resolved);
        if (ips.size() > options.limits.dials_per_peer_max)
            ips.resize(options.limits.dials_per_peer_max);
    }
    Result<std::shared_ptr<Connection>> last = fail(Errc::not_found, "the name has no address");
    for (const std::string& ip : ips) {
        last = co_await dial_ip(peer, address, ip, how);
        if (last) break;
    }
    co_return last;
}

io::Task<Result<std::shared_ptr<Connection>>> Host::State::dial_ip(PeerId peer,
                                                                   Multiaddr address,
                                                                   std::string ip,
                                                                   DialOptions how) {
    const DialTarget target = address.target().value();
    if (options.gater != nullptr && !options.gater->may_dial(peer, ip))
        co_return fail(Errc::unavailable, ip + " is blocked by this node's rules");
    if (target.transport == Transport::quic) {
        io::Address place{.host = std::move(ip), .port = target.port};
        auto connection = co_await dial_quic(peer, address, std::move(place), how);
        co_return connection;
    }
    ConnectionPlace place;
    KWAAI_CO_TRY(place.scope, resources.open_connection(Direction::outbound, true));
    const io::Address socket{.host = std::move(ip), .port = target.port};
    std::vector<Security> securities = options.securities;
    auto channel = co_await connect_channel(socket, peer, target, securities, how);
    if (!channel && channel.error().code == Errc::unsupported && securities.size() > 1 &&
        !how.is_server && securities.front() == Security::noise) {
        // Noise was proposed together with its first message, behind which nothing can follow.
        securities.erase(securities.begin());
        channel = co_await connect_channel(socket, peer, target, securities, how);
    }
    if (!channel) co_return forward_error(channel);
    if (group == nullptr || is_closing) co_return fail(Errc::closed, "this node is not running");
    auto started = start_connection(
        std::move(*channel), address.with_peer(peer), !how.is_server, std::move(place));
    if (started)
        (*started)->is_beside_listener = how.from_listening_port && listening_beside(socket);
    co_return started;
}

io::Task<Result<SecureChannel>> Host::State::connect_channel(io::Address socket,
                                                             PeerId peer,
                                                             DialTarget target,
                                                             std::vector<Security> securities,
                                                             DialOptions how) {
    auto connecting = connect_socket(std::move(socket), how);
    auto raw = co_await io::with_timeout(clock, options.limits.dial_timeout, std::move(connecting));
    if (!raw) co_return forward_error(raw);
    auto upgrading =
        how.is_server
            ? upgrade_adopted(std::move(*raw), std::move(peer), false)
            : upgrade_outbound(
                  std::move(*raw), std::move(peer), std::move(target), std::move(securities));
    auto channel =
        co_await io::with_timeout(clock, options.limits.handshake_timeout, std::move(upgrading));
    co_return channel;
}

// Where it listens in the family of that address; not at loopback for what is elsewhere.
std::optional<io::Address> Host::State::listening_beside(const io::Address& socket) const {
    const auto target = Multiaddr::of(socket);
    if (!target) return std::nullopt;
    const bool is_v6 = socket.host.contains(':');
    for (const Listening& entry : listening) {
        const auto place = Multiaddr::of(entry.socket);
        if (!place || entry.socket.host.contains(':') != is_v6) continue;
        if (place->is_loopback() && !target->is_loopback()) continue;
        return entry.socket;
    }
    return std::nullopt;
}

io::Task<Result<std::unique_ptr<io::Stream>>> Host::State::connect_socket(io::Address socket,
                                                                          DialOptions how) {
    if (how.from_listening_port) {
        std::optional<io::Address> local = listening_beside(socket);
        if (local) {
            auto beside = co_await network.connect_from(std::move(*local), socket);
            const bool is_usable = beside || beside.error().code != Errc::invalid_argument;
            if (is_usable || how.is_server) co_return beside;
        }
    }
    auto plain = co_await network.connect(std::move(socket));
    co_return plain;
}

io::Task<Result<SecureChannel>> Host::State::upgrade_outbound(std::unique_ptr<io::Stream> raw,
                                                              PeerId peer,
                                                              DialTarget target,
                                                              std::vector<Security> securities) {
    std::string host = target.host;
    if (target.transport == Transport::secure_websocket) {
        host = target.server_name;
        if (options.web_client == nullptr)
            options.web_client = std::make_shared<const crypto::WebClientTls>();
        auto securing = secure_web_client(std::move(raw), options.web_client, target.server_name);
        auto secured = co_await std::move(securing);
        if (!secured) co_return forward_error(secured);
        raw = std::move(*secured);
    }
    if (target.transport != Transport::tcp) {
        http::WebSocketTarget place{
            .host = io::to_string(io::Address{.host = std::move(host), .port = target.port})};
        const http::WebSocketLimits limits;
        auto asking =
            http::connect_websocket(std::move(raw), std::move(place), options.random, limits);
        auto opened = co_await std::move(asking);
        if (!opened) co_return forward_error(opened, "upgrading to WebSocket");
        raw = std::move(*opened);
    }
    auto securing = secure_dialled(std::move(raw), std::move(peer), std::move(securities));
    auto channel = co_await std::move(securing);
    co_return channel;
}

io::Task<Result<SecureChannel>> Host::State::secure_dialled(std::unique_ptr<io::Stream> raw,
                                                            PeerId peer,
                                                            std::vector<Security> securities) {
    const std::vector<std::string> muxers{kYamuxProtocol};
    std::optional<PeerId> expected(std::move(peer));
    KWAAI_CO_TRY(
        SecureChannel channel,
        co_await secure_outbound(std::move(raw), secure, securities, muxers, std::move(expected)));
    KWAAI_CO_CHECKED(co_await agree_on_muxer(channel, true));
    co_return channel;
}

io::Task<Result<Host::State::Upgraded>> Host::State::upgrade_inbound(
    std::unique_ptr<io::Stream> raw) {
    KWAAI_CO_TRY(Recognised begun,
                 co_await recognise_transport(std::move(raw), options.web_server));
    const std::vector<std::string> muxers{kYamuxProtocol};
    KWAAI_CO_TRY(SecureChannel channel,
                 co_await secure_inbound(std::move(begun.stream), secure, muxers));
    KWAAI_CO_CHECKED(co_await agree_on_muxer(channel, false));
    co_return Upgraded{.channel = std::move(channel), .transport = begun.transport};
}

// Nothing to do where the handshake has agreed on the muxer already; rust-libp2p does not.
io::Task<Result<>> Host::State::agree_on_muxer(SecureChannel& channel, bool is_outbound) {
    if (channel.muxer) co_return Result<>();
    const std::vector<std::string> wanted{kYamuxProtocol};
    const std::function<bool(std::string_view)> is_yamux = [](std::string_view protocol) {
        return protocol == kYamuxProtocol;
    };
    Result<Negotiated> agreed;
    if (is_outbound)
        agreed = co_await negotiate_outbound(*channel.stream, wanted);
    else
        agreed = co_await negotiate_inbound(*channel.stream, is_yamux, options.limits);
    if (!agreed) co_return forward_error(agreed, "agreeing on a muxer");
    channel.muxer = kYamuxProtocol;
    if (!agreed->residue.empty())
        channel.stream = prefix_stream(std::move(channel.stream), std::move(agreed->residue));
    co_return Result<>();
}

}  // namespace kwaai::p2p
