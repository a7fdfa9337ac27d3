#include "p2p/relay/relay_service.hpp"

#include <utility>

#include "io/timeout.hpp"
#include "p2p/length_prefixed.hpp"
#include "p2p/relay/relay_pipe.hpp"

namespace kwaai::p2p::relay {
namespace {

// A request under way, in the counts that bound them.
class RequestLease {
public:
    RequestLease(RelayState& state, PeerId peer) : state_(state), peer_(std::move(peer)) {}

    RequestLease(const RequestLease&) = delete;
    RequestLease& operator=(const RequestLease&) = delete;

    ~RequestLease() { state_.end_request(peer_); }

private:
    RelayState& state_;
    PeerId peer_;
};

class CircuitLease {
public:
    CircuitLease(RelayState& state, PeerId source, PeerId destination, std::function<void()> on_end)
        : state_(state),
          source_(std::move(source)),
          destination_(std::move(destination)),
          on_end_(std::move(on_end)) {}

    CircuitLease(const CircuitLease&) = delete;
    CircuitLease& operator=(const CircuitLease&) = delete;

    ~CircuitLease() {
        state_.end_circuit(source_, destination_);
        on_end_();
    }

private:
    RelayState& state_;
    PeerId source_;
    PeerId destination_;
    std::function<void()> on_end_;
};

io::Task<Result<>> send(Stream& stream, HopMessage message) {
    const codec::Buffer framed = encode_hop(message);
    const Bytes bytes(framed);
    Result<> written = co_await stream.write(bytes);
    co_return written;
}

io::Task<Result<HopMessage>> receive(Stream& stream, const RelayLimits& limits) {
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(stream, limits.message_bytes_max));
    if (!bytes) co_return fail(Errc::malformed, "a stream without a request");
    co_return decode_hop(*bytes, limits.addresses_max);
}

}  // namespace

RelayService::RelayService(Host& host, io::Clock& clock, RelayServiceOptions options)
    : host_(host), clock_(clock), options_(std::move(options)), state_(options_.limits) {
    set_serving(options_.is_serving);
    observing_ = host_.observe([this](const PeerInfo& info, ConnectionChange change) {
        if (change == ConnectionChange::closed && !host_.is_connected_directly(info.peer))
            forget(info.peer);
    });
}

void RelayService::forget(const PeerId& peer) {
    const std::size_t before = state_.reservation_count();
    state_.forget(peer);
    if (state_.reservation_count() != before) tell_use();
}

void RelayService::tell_use() const {
    if (options_.on_use) options_.on_use(state_.reservation_count(), state_.circuit_count());
}

RelayService::~RelayService() {
    set_serving(false);
}

void RelayService::set_serving(bool is_serving) {
    if (is_serving_ == is_serving) return;
    is_serving_ = is_serving;
    if (is_serving)
        host_.handle(kHopProtocol,
                     [this](std::unique_ptr<Stream> stream) { return serve(std::move(stream)); });
    else
        host_.stop_handling(kHopProtocol);
}

io::Task<void> RelayService::serve(std::unique_ptr<Stream> stream) {
    const PeerId peer = stream->remote_peer();
    const std::string source = source_of(stream->remote_address());
    if (!state_.begin_request(peer, source, clock_.now())) {
        stream->reset(ResetCode::rate_limited);
        co_return;
    }
    const RequestLease lease(state_, peer);
    const Result<> answered = co_await answer(*stream);
    if (answered)
        stream->close();
    else
        stream->reset(ResetCode::none);
}

io::Task<Result<>> RelayService::answer(Stream& stream) {
    auto receiving = receive(stream, options_.limits);
    auto message =
        co_await io::with_timeout(clock_, options_.limits.request_timeout, std::move(receiving));
    if (!message) {
        Result<> refused = co_await refuse(stream, Status::malformed_message);
        co_return refused;
    }
    Result<> answered;
    if (message->type == HopType::reserve)
        answered = co_await reserve(stream);
    else if (message->type == HopType::status)
        answered = co_await refuse(stream, Status::unexpected_message);
    else if (!message->peer)
        answered = co_await refuse(stream, Status::malformed_message);
    else
        answered = co_await connect(stream, std::move(*message->peer));
    co_return answered;
}

io::Task<Result<>> RelayService::refuse(Stream& stream, Status status) {
    const HopMessage refusal{
        .type = HopType::status, .peer = {}, .reservation = {}, .limit = {}, .status = status};
    auto sending = send(stream, refusal);
    Result<> sent =
        co_await io::with_timeout(clock_, options_.limits.request_timeout, std::move(sending));
    co_return sent;
}

WireReservation RelayService::reservation_for(const PeerId& peer) const {
    WireReservation granted;
    granted.expires = options_.unix_seconds() +
                      static_cast<std::uint64_t>(options_.limits.reservation_duration.count());
    for (const Multiaddr& address : host_.told_addresses())
        if (!address.is_relayed() && granted.addresses.size() < options_.limits.addresses_max)
            granted.addresses.push_back(address.with_peer(host_.id()));
    granted.voucher = seal_voucher(host_.identity(),
                                   {.relay = host_.id(), .peer = peer, .expires = granted.expires});
    return granted;
}

io::Task<Result<>> RelayService::reserve(Stream& stream) {
    Status status = Status::permission_denied;
    if (!stream.remote_address().is_relayed())
        status =
            state_.reserve(stream.remote_peer(), source_of(stream.remote_address()), clock_.now());
    if (status != Status::ok) {
        Result<> refused = co_await refuse(stream, status);
        co_return refused;
    }
    tell_use();
    const HopMessage granted{.type = HopType::status,
                             .peer = {},
                             .reservation = reservation_for(stream.remote_peer()),
                             .limit = options_.limits.circuit,
                             .status = Status::ok};
    auto sending = send(stream, granted);
    Result<> sent =
        co_await io::with_timeout(clock_, options_.limits.request_timeout, std::move(sending));
    co_return sent;
}

io::Task<Result<>> RelayService::connect(Stream& stream, PeerId destination) {
    const PeerId source = stream.remote_peer();
    Status status = Status::permission_denied;
    if (!stream.remote_address().is_relayed() && destination != host_.id())
        status = state_.begin_circuit(source, destination, clock_.now());
    if (status != Status::ok) {
        Result<> refused = co_await refuse(stream, status);
        co_return refused;
    }
    const std::function<void()> on_end = [this] {
        tell_use();
    };
    const CircuitLease lease(state_, source, destination, on_end);
    tell_use();
    auto reached = co_await reach(source, destination);
    if (!reached) {
        Result<> refused = co_await refuse(stream, Status::connection_failed);
        co_return refused;
    }
    const HopMessage opened{.type = HopType::status,
                            .peer = {},
                            .reservation = {},
                            .limit = options_.limits.circuit,
                            .status = Status::ok};
    auto sending = send(stream, opened);
    KWAAI_CO_CHECKED(
        co_await io::with_timeout(clock_, options_.limits.request_timeout, std::move(sending)));
    const PipeLimits limits{.circuit = options_.limits.circuit,
                            .buffer_bytes = options_.limits.buffer_bytes};
    Stream& other = **reached;
    Result<> passed = co_await pass_on(stream, other, clock_, limits);
    if (passed)
        other.close();
    else
        other.reset(ResetCode::none);
    co_return passed;
}

io::Task<Result<std::unique_ptr<Stream>>> RelayService::reach(PeerId source, PeerId destination) {
    auto asking = ask_destination(std::move(source), std::move(destination));
    auto reached =
        co_await io::with_timeout(clock_, options_.limits.connect_timeout, std::move(asking));
    co_return reached;
}

// Over the connection that the reservation is for: a limited one is not allowed.
io::Task<Result<std::unique_ptr<Stream>>> RelayService::ask_destination(PeerId source,
                                                                        PeerId destination) {
    if (!host_.is_connected_directly(destination))
        co_return fail(Errc::unavailable, "peer " + destination.to_text() + " is gone");
    KWAAI_CO_TRY(std::unique_ptr<Stream> stream,
                 co_await host_.open(std::move(destination), kStopProtocol));
    const codec::Buffer framed = encode_stop({.type = StopType::connect,
                                              .peer = std::move(source),
                                              .limit = options_.limits.circuit,
                                              .status = Status::none});
    const Bytes bytes(framed);
    KWAAI_CO_CHECKED(co_await stream->write(bytes));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> reply,
                 co_await read_length_prefixed(*stream, options_.limits.message_bytes_max));
    if (!reply) co_return fail(Errc::closed, "the destination did not answer");
    KWAAI_CO_TRY(const StopMessage message, decode_stop(*reply));
    if (message.type != StopType::status || message.status != Status::ok)
        co_return fail(Errc::unavailable, "the destination: " + to_text(message.status));
    co_return std::move(stream);
}

}  // namespace kwaai::p2p::relay
