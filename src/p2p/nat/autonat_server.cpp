#include "p2p/nat/autonat_server.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/random.hpp"
#include "io/timeout.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p {
namespace v1 = autonat_v1;
namespace v2 = autonat_v2;

AutonatServer::AutonatServer(Host& host,
                             io::Clock& clock,
                             DialBack& dial_back,
                             AutonatServerOptions options)
    : host_(host),
      clock_(clock),
      dial_back_(dial_back),
      options_(std::move(options)),
      v1_requests_(options_.limits.v1_rate),
      v2_requests_(options_.limits.v2_rate),
      v2_data_requests_(options_.limits.v2_data_rate) {
    if (!options_.random) options_.random = crypto::fill_random;
    host_.handle(v1::kProtocol, [this](std::unique_ptr<Stream> stream) {
        return serve(std::move(stream), &AutonatServer::answer_v1);
    });
    host_.handle(v2::kDialProtocol, [this](std::unique_ptr<Stream> stream) {
        return serve(std::move(stream), &AutonatServer::answer_v2);
    });
}

AutonatServer::~AutonatServer() {
    host_.stop_handling(v1::kProtocol);
    host_.stop_handling(v2::kDialProtocol);
}

bool AutonatServer::has_room(const PeerId& peer, std::size_t per_peer_max) const {
    return under_way_.total() < options_.limits.under_way_max && under_way_.of(peer) < per_peer_max;
}

bool AutonatServer::is_own(const Multiaddr& address) const {
    return options_.is_own && options_.is_own(address);
}

std::uint64_t AutonatServer::random_below(std::uint64_t bound) const {
    std::array<std::byte, 8> bytes{};
    options_.random(bytes);
    std::uint64_t number = 0;
    for (const std::byte byte : bytes)
        number = number << 8 | std::to_integer<std::uint64_t>(byte);
    return number % bound;
}

io::Task<void> AutonatServer::serve(std::unique_ptr<Stream> stream, Answer answer) {
    auto answering = (this->*answer)(*stream);
    const Result<> answered =
        co_await io::with_timeout(clock_, options_.limits.serve_timeout, std::move(answering));
    if (answered)
        stream->close();
    else
        stream->reset(ResetCode::protocol_violation);
}

io::Task<Result<>> AutonatServer::answer_v1(Stream& stream) {
    auto reading = read_length_prefixed(stream, v1::kMessageBytesMax);
    KWAAI_CO_TRY(
        std::optional<codec::Buffer> request,
        co_await io::with_timeout(clock_, options_.limits.read_timeout, std::move(reading)));
    if (!request) co_return fail(Errc::malformed, "autonat: no request");
    const v1::DialResponse response =
        co_await decide_v1(stream.remote_peer(), stream.remote_address(), std::move(*request));
    const codec::Buffer message = v1::encode(response);
    Result<> sent = co_await write_length_prefixed(stream, message);
    co_return sent;
}

io::Task<v1::DialResponse> AutonatServer::decide_v1(PeerId peer,
                                                    Multiaddr observed,
                                                    codec::Buffer request) {
    const auto refuse = [](v1::Status status, std::string why) {
        return v1::DialResponse{.status = status, .text = std::move(why), .address = {}};
    };
    const auto dial = v1::decode_dial(request);
    if (!dial) co_return refuse(v1::Status::bad_request, dial.error().context);
    if (!dial->peer.empty() && !std::ranges::equal(dial->peer, peer.bytes()))
        co_return refuse(v1::Status::bad_request, "another peer than the one that asks");
    std::vector<Multiaddr> addresses = v1_dialable(observed, dial->addresses, options_.limits);
    std::erase_if(addresses, [&](const Multiaddr& address) { return is_own(address); });
    if (addresses.empty())
        co_return refuse(v1::Status::dial_refused, "no address that can be dialled from here");
    if (!has_room(peer, 1) || !v1_requests_.grant(peer, clock_.now()))
        co_return refuse(v1::Status::dial_refused, "too many dials");
    const ServedCount::Lease lease(under_way_, peer);
    const std::optional<Multiaddr> reached =
        co_await dial_back_.reach_any(std::move(peer), std::move(addresses));
    if (!reached) co_return refuse(v1::Status::dial_error, "dial failed");
    co_return v1::DialResponse{.status = v1::Status::ok, .text = {}, .address = reached};
}

io::Task<Result<>> AutonatServer::answer_v2(Stream& stream) {
    KWAAI_CO_TRY(const v2::DialResponse response, co_await decide_v2(stream));
    const codec::Buffer message = v2::encode(response);
    Result<> sent = co_await write_length_prefixed(stream, message);
    co_return sent;
}

io::Task<Result<v2::DialResponse>> AutonatServer::decide_v2(Stream& stream) {
    const AutonatLimits& limits = options_.limits;
    const PeerId peer = stream.remote_peer();
    if (!has_room(peer, limits.v2_per_peer_max) || !v2_requests_.grant(peer, clock_.now()))
        co_return v2::DialResponse{.status = v2::Status::request_rejected};
    const ServedCount::Lease lease(under_way_, peer);
    auto reading = read_length_prefixed(stream, v2::kMessageBytesMax);
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await io::with_timeout(clock_, limits.read_timeout, std::move(reading)));
    if (!bytes) co_return fail(Errc::malformed, "autonat: no request");
    KWAAI_CO_TRY(const v2::Message message, v2::decode(*bytes));
    const auto* const request = std::get_if<v2::DialRequest>(&message);
    if (request == nullptr) co_return fail(Errc::malformed, "autonat: not a request");
    const auto choice = v2_choice(stream.remote_address(), request->addresses, limits);
    if (!choice || is_own(choice->address))
        co_return v2::DialResponse{.status = v2::Status::dial_refused};
    const auto index = static_cast<std::uint32_t>(choice->index);
    if (choice->costs_data) {
        if (!v2_data_requests_.grant(peer, clock_.now()))
            co_return v2::DialResponse{.status = v2::Status::request_rejected};
        auto paying = take_payment(stream, index);
        KWAAI_CO_CHECKED(co_await io::with_timeout(clock_, limits.read_timeout, std::move(paying)));
        // Many who pay at once cannot have us dial at once.
        const std::uint64_t pause =
            random_below(static_cast<std::uint64_t>(limits.v2_pause_max.count()) + 1);
        co_await clock_.sleep_for(std::chrono::milliseconds(pause));
    }
    const v2::DialStatus dialled =
        co_await dial_back_.hand_over(peer, choice->address, request->nonce);
    co_return v2::DialResponse{.status = v2::Status::ok, .index = index, .dial_status = dialled};
}

io::Task<Result<>> AutonatServer::take_payment(Stream& stream, std::uint32_t index) {
    const std::uint64_t price =
        v2::kDataBytesMin + random_below(v2::kDataBytesMax - v2::kDataBytesMin + 1);
    const codec::Buffer demand = v2::encode(v2::DialDataRequest{.index = index, .bytes = price});
    KWAAI_CO_CHECKED(co_await write_length_prefixed(stream, demand));
    std::uint64_t paid = 0;
    while (paid < price) {
        KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                     co_await read_length_prefixed(stream, v2::kMessageBytesMax));
        if (!bytes) co_return fail(Errc::closed, "autonat: too little data");
        KWAAI_CO_TRY(const v2::Message message, v2::decode(*bytes));
        const auto* const data = std::get_if<v2::DialDataResponse>(&message);
        if (data == nullptr) co_return fail(Errc::malformed, "autonat: not the data");
        paid += data->bytes;
        // Crumbs would cost us more than him.
        if (paid < price && data->bytes < v2::kDataChunkBytesMin)
            co_return fail(Errc::malformed, "autonat: too small a piece of data");
    }
    co_return Result<>();
}

}  // namespace kwaai::p2p
