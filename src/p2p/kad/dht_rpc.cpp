// Requests to one peer: a stream each, which every implementation takes.
#include <algorithm>
#include <array>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/kad/dht_state.hpp"
#include "p2p/kad/stream_deadline.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p::kad {

// What is our own fault says nothing about the peer.
void Dht::State::note_failure(const PeerId& peer, const Error& error) {
    if (error.code == Errc::limit_exceeded || error.code == Errc::invalid_argument) return;
    timings.failed(peer, clock.now());
    if (error.code == Errc::unsupported || error.code == Errc::malformed ||
        error.code == Errc::wrong_peer)
        table.remove(peer);
    else
        static_cast<void>(table.failed(peer));
    if (neighbours.contains(peer) && !table.contains(peer)) protect_neighbours();
}

io::Task<Result<std::unique_ptr<Stream>>> Dht::State::open(PeerId peer, Patience patience) {
    io::Duration limit =
        host.is_connected(peer) ? timings.reply_timeout(peer) : timings.dial_timeout(peer);
    if (patience == Patience::longest) limit = options.limits.rpc_timeout_max;
    const OpenOptions opening{.timeout = std::chrono::ceil<std::chrono::milliseconds>(limit)};
    auto stream = co_await host.open(std::move(peer), options.protocol, opening);
    co_return stream;
}

io::Task<Result<Reply>> Dht::State::exchange(Stream& stream, Message request) {
    const codec::Buffer framed = encode_message(request, options.limits);
    const Bytes bytes(framed);
    KWAAI_CO_CHECKED(co_await stream.write(bytes));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> answer,
                 co_await read_length_prefixed(stream, options.limits.reply_bytes_max));
    if (!answer) co_return fail(Errc::closed, "the peer ended the stream without a reply");
    KWAAI_CO_TRY(Message message, decode_message(*answer, options.limits));
    if (message.type != request.type)
        co_return fail(Errc::malformed, "kad: a reply of another type than the request");
    co_return Reply{.message = std::move(message), .told_by = stream.remote_address()};
}

io::Task<Result<Reply>> Dht::State::ask(PeerId peer, Message request, Patience patience) {
    auto stream = co_await open(peer, patience);
    if (!stream) {
        note_failure(peer, stream.error());
        co_return forward_error(stream);
    }
    const io::TimePoint begin = clock.now();
    const io::Duration limit = patience == Patience::longest
                                   ? io::Duration(options.limits.rpc_timeout_max)
                                   : timings.reply_timeout(peer);
    const StreamDeadline deadline(clock, limit, **stream, ResetCode::none);
    auto exchanged = co_await exchange(**stream, std::move(request));
    auto reply = deadline.judge(std::move(exchanged));
    if (!reply) {
        // Whoever sends more than anybody needs is at fault.
        if (reply.error().code == Errc::limit_exceeded) reply.error().code = Errc::malformed;
        note_failure(peer, reply.error());
        co_return reply;
    }
    timings.answered(peer, clock.now() - begin);
    table.answered(peer, clock.now());
    (*stream)->close();
    offer(peer, true);
    co_return reply;
}

io::Task<Result<>> Dht::State::deliver(Stream& stream, Message message) {
    const codec::Buffer framed = encode_message(message, options.limits);
    const Bytes bytes(framed);
    KWAAI_CO_CHECKED(co_await stream.write(bytes));
    KWAAI_CO_CHECKED(co_await stream.shutdown_write());
    // The end of its direction says that the peer has read ours. So does a reset, which js-libp2p
    // sends when the end comes after it has taken the message; nothing tells this from a refusal.
    std::array<std::byte, 1> rest{};
    const auto count = co_await stream.read_some(rest);
    const bool is_reset = !count && count.error().code == Errc::closed;
    if (!count && !(is_reset && host.is_connected(stream.remote_peer())))
        co_return std::unexpected<Error>(count.error());
    stream.close();
    co_return Result<>();
}

io::Task<Result<>> Dht::State::tell(PeerId peer, Message message) {
    auto stream = co_await open(peer, Patience::usual);
    if (!stream) {
        note_failure(peer, stream.error());
        co_return forward_error(stream);
    }
    auto delivering = deliver(**stream, std::move(message));
    Result<> is_told =
        co_await io::with_timeout(clock, timings.reply_timeout(peer), std::move(delivering));
    if (!is_told) note_failure(peer, is_told.error());
    co_return is_told;
}

}  // namespace kwaai::p2p::kad
