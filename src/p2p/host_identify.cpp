// Who is at the other end, and telling who we are: identify and identify push.
#include <algorithm>
#include <utility>

#include "codec/varint.hpp"
#include "io/read_exactly.hpp"
#include "io/timeout.hpp"
#include "p2p/envelope.hpp"
#include "p2p/host_state.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/length_prefixed.hpp"
#include "p2p/protocol/identify_wire.hpp"
#include "p2p/protocol/ping.hpp"
#include "p2p/transport/secure_websocket.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kIdentifySentMax = 4096;        // what rust-libp2p reads
constexpr std::size_t kIdentifyMessagesMax = 10;      // on one stream, as go-libp2p
constexpr std::chrono::milliseconds kPushPause{200};  // changes that come together leave together

}  // namespace

void Host::State::add_own_protocols(Host& host) {
    host.handle(kIdentifyProtocol, [this](std::unique_ptr<Stream> stream) {
        return serve_identify(std::move(stream));
    });
    host.handle(kIdentifyPushProtocol,
                [this](std::unique_ptr<Stream> stream) { return serve_push(std::move(stream)); });
    host.handle(kPingProtocol, [this](std::unique_ptr<Stream> stream) {
        return serve_ping(std::move(stream), clock);
    });
}

void Host::State::identity_changed() {
    ++identity_version;
    identity_moved.notify_all();
}

std::vector<Multiaddr> Host::State::listen_addresses() const {
    std::vector<Multiaddr> all;
    for (const Listening& entry : listening) {
        all.push_back(Multiaddr::of(entry.socket).value());
        if (entry.is_websocket_told)
            all.push_back(Multiaddr::of(entry.socket, Transport::websocket).value());
        if (options.web_server == nullptr) continue;
        for (Multiaddr& address : secure_addresses(entry.socket, *options.web_server))
            all.push_back(std::move(address));
    }
    for (const QuicPort& entry : quic_ports)
        if (entry.is_listening) all.push_back(Multiaddr::of(entry.socket, Transport::quic).value());
    return all;
}

std::vector<Multiaddr> Host::State::told_addresses() const {
    std::vector<Multiaddr> all = listen_addresses();
    if (choose_told) return choose_told(std::move(all));
    std::erase_if(all, [](const Multiaddr& address) { return address.is_unspecified(); });
    return all;
}

std::vector<Multiaddr> Host::State::own_sockets() const {
    std::vector<Multiaddr> all = told_addresses();
    for (Multiaddr& address : listen_addresses())
        all.push_back(std::move(address));
    return all;
}

// The length and the message, as they go on the stream to this peer.
codec::Buffer Host::State::identify_bytes(const Multiaddr& observed) const {
    IdentifyMessage message;
    message.public_key = codec::to_buffer(options.identity.public_key().protobuf());
    PeerRecord record{
        .peer = id, .sequence = options.record_sequence + identity_version, .addresses = {}};
    for (const Multiaddr& address : told_addresses()) {
        message.listen_addresses.push_back(address);
        record.addresses.push_back(address);
    }
    for (const auto& [protocol, handler] : handlers)
        message.protocols.push_back(protocol);
    message.observed = observed.without_peer();
    message.protocol_version = "ipfs/0.1.0";
    message.agent = options.agent;
    message.signed_record = seal_peer_record(options.identity, record);
    codec::Buffer bytes = encode_identify(message);
    if (bytes.size() > kIdentifySentMax) {
        message.signed_record.clear();
        bytes = encode_identify(message);
    }
    codec::Buffer framed;
    codec::append_varint(framed, bytes.size());
    codec::append(framed, bytes);
    return framed;
}

io::Task<void> Host::State::serve_identify(std::unique_ptr<Stream> stream) {
    const codec::Buffer message = identify_bytes(stream->remote_address());
    const Bytes bytes(message);
    auto writing = stream->write(bytes);
    const Result<> written =
        co_await io::with_timeout(clock, options.limits.negotiation_timeout, std::move(writing));
    if (written) stream->close();
}

io::Task<Result<IdentifyMessage>> Host::State::receive_identity(Stream& stream) {
    IdentifyMessage all;
    for (std::size_t count = 0; count < kIdentifyMessagesMax; ++count) {
        KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                     co_await read_length_prefixed(stream, options.limits.identify_bytes_max));
        if (!bytes) {
            if (count == 0) co_return fail(Errc::malformed, "identify: an empty answer");
            break;
        }
        KWAAI_CO_TRY(IdentifyMessage message, decode_identify(*bytes, options.limits));
        merge_identify(all, std::move(message));
    }
    co_return all;
}

io::Task<void> Host::State::ask_identity(std::shared_ptr<Connection> connection) {
    auto asking = read_identity(connection);
    const Result<> answered =
        co_await io::with_timeout(clock, options.limits.negotiation_timeout, std::move(asking));
    static_cast<void>(answered);  // a peer may have nothing to say
    connection->is_identify_over = true;
    connection->identified.notify_all();
    if (connection->identity) notify(*connection, ConnectionChange::identified);
}

io::Task<Result<>> Host::State::read_identity(std::shared_ptr<Connection> connection) {
    KWAAI_CO_TRY(StreamParts parts, co_await open_on(connection, kIdentifyProtocol));
    const std::unique_ptr<Stream> stream = make_proposed_stream(std::move(parts));
    KWAAI_CO_TRY(IdentifyMessage message, co_await receive_identity(*stream));
    stream->close();
    co_return take_identity(*connection, std::move(message));
}

Result<> Host::State::take_identity(Connection& connection, IdentifyMessage message) {
    if (!message.public_key.empty()) {
        KWAAI_TRY(const crypto::PublicKey key,
                  crypto::PublicKey::from_protobuf(message.public_key));
        if (!connection.remote.matches(key))
            return fail(Errc::malformed, "identify: another key than the connection's");
    }
    if (!message.signed_record.empty()) {
        auto record = open_peer_record(message.signed_record);
        connection.is_record_signed = record && record->peer == connection.remote;
        if (connection.is_record_signed) message.listen_addresses = std::move(record->addresses);
    }
    if (!connection.identity) connection.identity.emplace();
    merge_identify(*connection.identity, std::move(message));
    // A loopback address of another machine leads elsewhere from here, and so may a private one of
    // a peer that is not in our network.
    for (const Multiaddr& address :
         kad::believable(connection.identity->listen_addresses, connection.address))
        book.add(connection.remote, address, clock.now());
    judge(connection);
    return {};
}

io::Task<void> Host::State::serve_push(std::unique_ptr<Stream> stream) {
    const std::shared_ptr<Connection> connection = connection_of(*stream);
    auto receiving = receive_identity(*stream);
    auto message =
        co_await io::with_timeout(clock, options.limits.negotiation_timeout, std::move(receiving));
    stream->close();
    if (!message || connection == nullptr) co_return;
    const Result<> taken = take_identity(*connection, std::move(*message));
    if (!taken) co_return;
    connection->is_identify_over = true;
    connection->identified.notify_all();
}

std::shared_ptr<Connection> Host::State::connection_of(const Stream& stream) const {
    const auto found = connections.find(stream.remote_peer());
    if (found == connections.end()) return nullptr;
    for (const auto& connection : found->second)
        if (connection->address == stream.remote_address()) return connection;
    return nullptr;
}

io::Task<void> Host::State::push_identity() {
    std::uint64_t pushed = identity_version;
    while (true) {
        while (pushed == identity_version)
            co_await identity_moved.wait();
        co_await clock.sleep_for(kPushPause);
        pushed = identity_version;
        for (const auto& [peer, of_peer] : connections)
            if (!of_peer.empty()) group->spawn(&State::push_to, std::ref(*this), of_peer.front());
    }
}

io::Task<void> Host::State::push_to(std::shared_ptr<Connection> connection) {
    if (!connection->identity) co_return;
    const std::vector<std::string>& spoken = connection->identity->protocols;
    if (std::ranges::find(spoken, kIdentifyPushProtocol) == spoken.end()) co_return;
    auto pushing = push_once(connection);
    const Result<> is_pushed =
        co_await io::with_timeout(clock, options.limits.negotiation_timeout, std::move(pushing));
    static_cast<void>(is_pushed);  // the peer learns it from the next push or connection
}

io::Task<Result<>> Host::State::push_once(std::shared_ptr<Connection> connection) {
    KWAAI_CO_TRY(StreamParts parts, co_await open_on(connection, kIdentifyPushProtocol));
    const std::unique_ptr<Stream> stream = make_proposed_stream(std::move(parts));
    const codec::Buffer message = identify_bytes(connection->address);
    const Bytes bytes(message);
    KWAAI_CO_CHECKED(co_await stream->write(bytes));
    Result<> ended = co_await stream->shutdown_write();
    if (ended) stream->close();
    co_return ended;
}

}  // namespace kwaai::p2p
