#include "p2p/relay/relay_client.hpp"

#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p::relay {
namespace {

// What is under way, for as long as it is.
class Reaching {
public:
    Reaching(std::set<PeerId>& peers, io::Event& ended, PeerId peer)
        : peers_(peers), ended_(ended), peer_(std::move(peer)) {
        peers_.insert(peer_);
    }

    Reaching(const Reaching&) = delete;
    Reaching& operator=(const Reaching&) = delete;

    ~Reaching() {
        peers_.erase(peer_);
        ended_.notify_all();
    }

private:
    std::set<PeerId>& peers_;
    io::Event& ended_;
    PeerId peer_;
};

class Counted {
public:
    explicit Counted(std::size_t& count) : count_(count) { ++count_; }

    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    ~Counted() { --count_; }

private:
    std::size_t& count_;
};

HopMessage hop(HopType type, std::optional<PeerId> peer) {
    return {.type = type,
            .peer = std::move(peer),
            .reservation = {},
            .limit = {},
            .status = Status::none};
}

io::Task<Result<>> send_status(Stream& stream, Status status) {
    const codec::Buffer framed =
        encode_stop({.type = StopType::status, .peer = {}, .limit = {}, .status = status});
    const Bytes bytes(framed);
    Result<> written = co_await stream.write(bytes);
    co_return written;
}

}  // namespace

RelayClient::RelayClient(Host& host, io::Clock& clock, RelayClientOptions options)
    : host_(host), clock_(clock), options_(std::move(options)) {
    host_.set_circuit_dialer([this](Multiaddr address) { return dial(std::move(address)); });
    host_.handle(kStopProtocol,
                 [this](std::unique_ptr<Stream> stream) { return serve_stop(std::move(stream)); });
}

RelayClient::~RelayClient() {
    host_.set_circuit_dialer(nullptr);
    host_.stop_handling(kStopProtocol);
}

// Not Host::connect(): it would also try addresses of the relay that lead over other relays, and
// those perhaps over this one.
io::Task<Result<PeerId>> RelayClient::reach(Multiaddr address) {
    const std::optional<PeerId> relay = address.peer();
    if (!relay || address.is_relayed())
        co_return fail(Errc::invalid_argument,
                       address.to_text() +
                           " is no relay's address: it ends with /p2p/ID and leads"
                           " over no other relay");
    while (reaching_.contains(*relay))
        co_await reached_.wait();
    if (is_reached(*relay)) co_return *relay;
    const Reaching reaching(reaching_, reached_, *relay);
    // What the relay sees of us is then what others may dial once a hole is punched.
    const DialOptions beside_listener{.from_listening_port = true};
    auto connected = co_await host_.connect_again(std::move(address), beside_listener);
    if (!connected && host_.is_connected_directly(*relay)) co_return *relay;
    co_return connected;
}

// A relay that has dialled us needs no hole; one that we dialled before, from a port of the moment,
// would not see the place where others are to dial us.
bool RelayClient::is_reached(const PeerId& relay) const {
    if (!host_.is_connected_directly(relay)) return false;
    if (host_.addresses().empty() || host_.is_connected_beside_listener(relay)) return true;
    return std::ranges::any_of(
        host_.peers(), [&](const PeerInfo& info) { return info.peer == relay && info.is_inbound; });
}

void RelayClient::begin_to_listen() {
    if (!host_.addresses().empty()) return;
    for (const Multiaddr& address : options_.listens) {
        const Result<> listening = host_.listen(address);
        static_cast<void>(listening);  // the machine may lack a family; relays work without
    }
}

io::Task<Result<Circuit>> RelayClient::dial(Multiaddr address) {
    const std::optional<Multiaddr> place = address.relay();
    const std::optional<PeerId> destination = address.peer();
    const std::optional<PeerId> relay = place ? place->peer() : std::nullopt;
    if (!relay || !destination || *relay == host_.id() || *relay == *destination ||
        place->with_circuit().with_peer(*destination) != address)
        co_return fail(
            Errc::invalid_argument,
            "cannot dial " + address.to_text() + ": write /ADDRESS/p2p/RELAY/p2p-circuit/p2p/PEER");
    begin_to_listen();
    KWAAI_CO_CHECKED(co_await reach(*place));
    auto circuit = co_await ask_relay(*relay, *destination);
    if (!circuit) co_return forward_error(circuit, "relay " + relay->to_text());
    co_return circuit;
}

io::Task<Result<HopMessage>> RelayClient::request(Stream& stream, HopMessage message) {
    const codec::Buffer framed = encode_hop(message);
    const Bytes bytes(framed);
    KWAAI_CO_CHECKED(co_await stream.write(bytes));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> reply,
                 co_await read_length_prefixed(stream, options_.limits.message_bytes_max));
    if (!reply) co_return fail(Errc::closed, "it ended the stream without an answer");
    KWAAI_CO_TRY(HopMessage answer, decode_hop(*reply, options_.limits.addresses_max));
    if (answer.type != HopType::status)
        co_return fail(Errc::malformed, "it answered a request with another one");
    if (answer.status != Status::ok)
        co_return fail(Errc::unavailable, "it says: " + to_text(answer.status));
    co_return answer;
}

io::Task<Result<Circuit>> RelayClient::ask_relay(PeerId relay, PeerId destination) {
    KWAAI_CO_TRY(std::unique_ptr<Stream> stream,
                 co_await host_.open(std::move(relay), kHopProtocol));
    HopMessage message = hop(HopType::connect, std::move(destination));
    KWAAI_CO_TRY(const HopMessage answer, co_await request(*stream, std::move(message)));
    co_return Circuit{.stream = std::move(stream), .limit = answer.limit};
}

io::Task<Result<Reservation>> RelayClient::reserve(PeerId relay) {
    auto requesting = request_place(relay);
    auto place =
        co_await io::with_timeout(clock_, options_.limits.answer_timeout, std::move(requesting));
    if (!place) co_return forward_error(place, "reserving at relay " + relay.to_text());
    reserved_.insert(std::move(relay));
    co_return place;
}

io::Task<Result<Reservation>> RelayClient::request_place(PeerId relay) {
    if (!host_.is_connected_directly(relay))
        co_return fail(Errc::unavailable, "there is no direct connection to it");
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream, co_await host_.open(relay, kHopProtocol));
    HopMessage message = hop(HopType::reserve, std::nullopt);
    KWAAI_CO_TRY(HopMessage answer, co_await request(*stream, std::move(message)));
    stream->close();
    co_return check(relay, std::move(answer));
}

std::optional<Multiaddr> RelayClient::address_of(const PeerId& relay) const {
    for (const PeerInfo& info : host_.peers())
        if (info.peer == relay && info.connected && !info.connected->is_relayed())
            return info.connected;
    return std::nullopt;
}

Result<Reservation> RelayClient::check(const PeerId& relay, HopMessage reply) const {
    if (!reply.reservation) return fail(Errc::malformed, "it granted nothing");
    WireReservation& granted = *reply.reservation;
    if (!granted.voucher.empty()) {
        KWAAI_TRY(const Voucher voucher, open_voucher(granted.voucher));
        if (voucher.relay != relay || voucher.peer != host_.id())
            return fail(Errc::malformed, "the voucher is for other peers");
    }
    const std::optional<Multiaddr> reached = address_of(relay);
    if (!reached) return fail(Errc::closed, "the connection is gone");
    Reservation place{.relay = relay, .lifetime = {}, .addresses = {}, .limit = reply.limit};
    for (const Multiaddr& address : kad::believable(std::move(granted.addresses), *reached)) {
        // Some write the relay's address, some what it becomes with /p2p-circuit.
        const Multiaddr front = address.relay().value_or(address);
        if (front.peer() && front.peer() != relay) continue;
        place.addresses.push_back(front.with_peer(relay).with_circuit());
    }
    if (place.addresses.empty())
        place.addresses.push_back(reached->with_peer(relay).with_circuit());
    const RelayClientLimits& limits = options_.limits;
    const std::uint64_t now = options_.unix_seconds();
    const std::uint64_t rest = granted.expires > now ? granted.expires - now : 0;
    const auto most = static_cast<std::uint64_t>(limits.reservation_max.count());
    const std::chrono::seconds lifetime(std::min(rest, most));
    place.lifetime = std::max(lifetime, limits.reservation_min);
    return place;
}

io::Task<Result<StopMessage>> RelayClient::take_request(Stream& stream) {
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(stream, options_.limits.message_bytes_max));
    if (!bytes) co_return fail(Errc::malformed, "a stream without a request");
    co_return decode_stop(*bytes);
}

io::Task<void> RelayClient::serve_stop(std::unique_ptr<Stream> stream) {
    const Counted incoming(incoming_);
    if (incoming_ > options_.limits.incoming_max) {
        stream->reset(ResetCode::resource_limit);
        co_return;
    }
    auto taking = take_request(*stream);
    auto message =
        co_await io::with_timeout(clock_, options_.limits.answer_timeout, std::move(taking));
    Status status = Status::ok;
    if (!message || !message->peer || *message->peer == host_.id())
        status = Status::malformed_message;
    else if (message->type != StopType::connect)
        status = Status::unexpected_message;
    else if (stream->remote_address().is_relayed() || !reserved_.contains(stream->remote_peer()))
        status = Status::permission_denied;
    auto sending = send_status(*stream, status);
    const Result<> sent =
        co_await io::with_timeout(clock_, options_.limits.answer_timeout, std::move(sending));
    if (!sent || status != Status::ok) {
        stream->close();
        co_return;
    }
    const Multiaddr place =
        stream->remote_address().with_peer(stream->remote_peer()).with_circuit();
    const Multiaddr address = place.with_peer(*message->peer);
    Circuit circuit{.stream = std::move(stream), .limit = message->limit};
    const auto adopted = co_await host_.adopt(std::move(circuit), address, false);
    static_cast<void>(adopted);  // who dialled has seen the handshake fail
}

}  // namespace kwaai::p2p::relay
