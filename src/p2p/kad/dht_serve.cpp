// What a server answers.
#include <algorithm>
#include <utility>

#include "p2p/kad/address_scope.hpp"
#include "p2p/kad/dht_state.hpp"
#include "p2p/kad/stream_deadline.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p::kad {
namespace {

bool is_too_much(const Dht::State& state, const PeerId& peer) {
    const DhtLimits& limits = state.options.limits;
    return state.served.total() > limits.streams_max ||
           state.served.of(peer) > limits.streams_per_peer_max;
}

ResetCode code_of(const Error& error) {
    return error.code == Errc::limit_exceeded ? ResetCode::resource_limit
                                              : ResetCode::protocol_violation;
}

// False once there is no further request.
io::Task<Result<bool>> serve_one(Dht::State& state, Stream& stream) {
    const DhtLimits& limits = state.options.limits;
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(stream, limits.request_bytes_max));
    if (!bytes) co_return false;
    KWAAI_CO_TRY(Message request, decode_message(*bytes, limits));
    state.offer(stream.remote_peer(), false);
    KWAAI_CO_TRY(const std::optional<Message> reply, state.answer(stream, std::move(request)));
    if (!reply) co_return true;
    const codec::Buffer framed = encode_message(*reply, limits);
    const Bytes out(framed);
    KWAAI_CO_CHECKED(co_await stream.write(out));
    co_return true;
}

}  // namespace

io::Task<void> serve(std::shared_ptr<Dht::State> state, std::unique_ptr<Stream> stream) {
    const ServedCount::Lease lease(state->served, stream->remote_peer());
    if (is_too_much(*state, stream->remote_peer())) {
        stream->reset(ResetCode::resource_limit);
        co_return;
    }
    while (true) {
        const StreamDeadline idle(state->clock,
                                  state->options.limits.stream_idle,
                                  *stream,
                                  ResetCode::protocol_violation);
        const auto goes_on = co_await serve_one(*state, *stream);
        if (!goes_on) {
            stream->reset(code_of(goes_on.error()));
            co_return;
        }
        if (!*goes_on) break;
    }
    stream->close();
}

Result<std::optional<Message>> Dht::State::answer(const Stream& stream, Message request) {
    if (request.type == MessageType::ping) return Message{.type = MessageType::ping};
    if (request.key.empty()) return fail(Errc::malformed, "kad: a request without a key");
    Message reply{.type = request.type, .key = request.key};
    switch (request.type) {
        case MessageType::put_value: {
            KWAAI_TRY(Message taken, take_value(std::move(request)));
            return taken;
        }
        case MessageType::add_provider: {
            KWAAI_CHECKED(take_provider(stream, std::move(request)));
            return std::nullopt;
        }
        case MessageType::get_value: {
            const codec::Buffer* const value = records.get(request.key, clock.now());
            if (value != nullptr && options.validators.validate(request.key, *value))
                reply.record = WireRecord{.key = request.key, .value = *value};
            break;
        }
        case MessageType::get_providers: {
            if (request.key.size() > options.limits.provider_key_bytes_max)
                return fail(Errc::limit_exceeded, "kad: too long a key of a provider");
            for (Provider& provider : providers.get(request.key, clock.now()))
                reply.providers.push_back({.peer = provider.peer,
                                           .addresses = believable(std::move(provider.addresses),
                                                                   stream.remote_address())});
            break;
        }
        case MessageType::find_node:
        case MessageType::ping: break;
    }
    reply.closer = closer_peers(stream, request.key);
    return reply;
}

Result<Message> Dht::State::take_value(Message request) {
    if (!request.record || request.record->key != request.key)
        return fail(Errc::malformed, "kad: PUT_VALUE without a record of its key");
    const codec::Buffer& value = request.record->value;
    KWAAI_CHECKED(options.validators.validate(request.key, value));
    const codec::Buffer* const stored = records.get(request.key, clock.now());
    if (stored != nullptr && *stored != value &&
        options.validators.validate(request.key, *stored) &&
        !options.validators.is_better(request.key, value, *stored))
        return fail(Errc::malformed, "kad: a better value is stored");
    KWAAI_CHECKED(records.put(request.key, value, clock.now()));
    request.closer.clear();
    request.providers.clear();
    return request;
}

// Only for the sender itself: else anybody could send others' names to where nobody is.
Result<> Dht::State::take_provider(const Stream& stream, Message request) {
    if (request.key.size() > options.limits.provider_key_bytes_max)
        return fail(Errc::limit_exceeded, "kad: too long a key of a provider");
    const PeerId& sender = stream.remote_peer();
    for (WirePeer& provider : request.providers) {
        if (provider.peer != sender) continue;
        std::vector<Multiaddr> addresses =
            believable(std::move(provider.addresses), stream.remote_address());
        if (addresses.empty()) addresses = host.known_addresses(sender);
        if (addresses.empty()) return {};
        return providers.add(
            request.key, {.peer = sender, .addresses = std::move(addresses)}, clock.now());
    }
    return fail(Errc::malformed, "kad: ADD_PROVIDER for another peer than its sender");
}

WirePeer Dht::State::describe(const PeerId& peer, const Multiaddr& asker) const {
    std::vector<Multiaddr> known = peer == host.id() ? own_addresses() : host.known_addresses(peer);
    return {.peer = peer,
            .addresses = believable(std::move(known), asker),
            .connection = host.is_connected(peer) ? ConnectionType::connected
                                                  : ConnectionType::not_connected};
}

std::vector<WirePeer> Dht::State::closer_peers(const Stream& stream,
                                               const codec::Buffer& key) const {
    std::vector<WirePeer> closer;
    const PeerId& asker = stream.remote_peer();
    const auto add = [&](const PeerId& peer) {
        if (peer == asker) return;
        WirePeer described = describe(peer, stream.remote_address());
        if (!described.addresses.empty()) closer.push_back(std::move(described));
    };
    // Whoever wants this very peer is told where it is, though the table may not hold it: clients
    // and peers of other protocols are in no table.
    const auto target = PeerId::from_bytes(key);
    if (target) add(*target);
    for (const PeerId& peer : table.closest(KadKey::of(Bytes(key)), options.limits.bucket_size + 1))
        if (closer.size() < options.limits.bucket_size && !(target && peer == *target)) add(peer);
    return closer;
}

}  // namespace kwaai::p2p::kad
