// A host that is a relay, is reached over relays and answers DCUtR, among peers that send each of
// them anything: it answers in messages that can be read, keeps no more reservations and circuits
// than its limits say, believes no reservation that is none, and nothing is left when they have
// gone.
#include <cstdint>

#include "p2p/relay/hole_puncher.hpp"
#include "p2p/relay/relay_client.hpp"
#include "p2p/relay/relay_service.hpp"
#include "p2p/standing_hosts_fuzz.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::relay;
using namespace std::chrono_literals;
using io::Task;

namespace {

constexpr std::size_t kTested = 0;
constexpr std::size_t kCaller = 1;
constexpr std::size_t kRelay = 2;  // a good one
constexpr std::size_t kFar = 3;    // reached over it
constexpr std::size_t kDeedsMax = 6;
constexpr std::size_t kMessageMax = 4 << 10;
constexpr std::uint64_t kNow = 1'700'000'000;

std::uint64_t unix_seconds() {
    return kNow;
}

RelayLimits small_limits() {
    RelayLimits limits;
    limits.reservations_max = 2;
    limits.circuits_max = 2;
    limits.circuit = CircuitLimit{.duration = 2s, .bytes = 4096};
    limits.request_timeout = 1s;
    limits.connect_timeout = 1s;
    return limits;
}

RelayClientLimits small_client_limits() {
    RelayClientLimits limits;
    limits.incoming_max = 2;
    limits.answer_timeout = 1s;
    return limits;
}

HolePunchLimits small_punch_limits() {
    HolePunchLimits limits;
    limits.served_max = 2;
    limits.dial_timeout = 1s;
    limits.exchange_timeout = 1s;
    return limits;
}

RelayLimits generous_limits() {
    RelayLimits limits;
    limits.circuit.reset();
    return limits;
}

// What is there before the first input and stays.
class World {
public:
    World() {
        for (const std::size_t index : {kCaller, kRelay})
            hosts.host(index).handle(kStopProtocol, [this](std::unique_ptr<Stream> stream) {
                return answer(std::move(stream), std::ref(stop_answer));
            });
        hosts.host(kCaller).handle(kHopProtocol, [this](std::unique_ptr<Stream> stream) {
            return answer(std::move(stream), std::ref(hop_answer));
        });
    }

    // Connections as the first input finds them, whatever the one before has done to them.
    Task<void> connect() {
        Host& tested = hosts.host(kTested);
        const PeerId far = hosts.host(kFar).id();
        if (tested.is_connected_directly(far)) {
            tested.disconnect(far);
            co_await hosts.clock().sleep_for(1s);
        }
        const auto known = co_await hosts.host(kCaller).connect(hosts.world().address(kTested));
        require(known.has_value());
        if (tested.is_connected(far)) co_return;
        const Multiaddr place = hosts.world().address(kRelay);
        const auto relay = co_await far_client.reach(place);
        require(relay.has_value());
        const auto reserved = co_await far_client.reserve(*relay);
        require(reserved.has_value());
        const RelayClient client(
            tested, hosts.clock(), {.limits = {}, .unix_seconds = unix_seconds});
        const auto met = co_await tested.connect_again(place.with_circuit().with_peer(far));
        require(met.has_value());
    }

    StandingHosts hosts{4};
    RelayService good_relay{hosts.host(kRelay),
                            hosts.clock(),
                            {.limits = generous_limits(), .unix_seconds = unix_seconds}};
    RelayClient far_client{
        hosts.host(kFar), hosts.clock(), {.limits = {}, .unix_seconds = unix_seconds}};
    codec::Buffer stop_answer;
    codec::Buffer hop_answer;

private:
    static Task<void> answer(std::unique_ptr<Stream> stream, const codec::Buffer& bytes) {
        const auto request = co_await receive(*stream, kMessageMax);
        if (!request) co_return;
        co_await send(*stream, bytes);
        std::array<std::byte, 256> rest{};
        while (true) {
            const auto count = co_await stream->read_some(rest);
            if (!count || *count == 0) co_return;
        }
    }
};

// What is made for one input, on hosts that stand.
class Run {
public:
    Run(World& world, Bytes input) : world_(world), script_(input) {
        world_.stop_answer =
            encode_stop({.type = StopType::status, .peer = {}, .limit = {}, .status = Status::ok});
        world_.hop_answer = {};
    }

    Task<void> play() {
        for (std::size_t deeds = 0; deeds < kDeedsMax && !script_.is_empty(); ++deeds) {
            co_await do_one();
            require(service_.reservation_count() <= small_limits().reservations_max);
            require(service_.circuit_count() <= small_limits().circuits_max);
        }
        co_await world_.hosts.clock().sleep_for(5s);  // more than anything may take
        require(service_.circuit_count() == 0);
    }

private:
    Task<void> do_one() {
        const std::uint8_t deed = script_.next();
        const std::size_t from = (deed & 8U) == 0 ? kCaller : kRelay;
        switch (deed % 8U) {
            case 0: co_await ask_hop(from, read_frame(), true); break;
            case 1: co_await ask_hop(from, hop(HopType::reserve, {}), false); break;
            case 2: {
                const PeerId peer = make_identity(script_.next() % 5U);
                co_await ask_hop(from, hop(HopType::connect, peer), false);
                break;
            }
            case 3: co_await ask_stop(from, (deed & 16U) != 0); break;
            case 4: co_await punch((deed & 16U) != 0); break;
            case 5: co_await reserve(); break;
            case 6: {
                const std::chrono::milliseconds time(script_.next() * 20);
                co_await world_.hosts.clock().sleep_for(time);
                break;
            }
            default: world_.stop_answer = read_frame();
        }
    }

    codec::Buffer read_frame() { return framed(script_.take(script_.next())); }

    static codec::Buffer hop(HopType type, std::optional<PeerId> peer) {
        return encode_hop({.type = type,
                           .peer = std::move(peer),
                           .reservation = {},
                           .limit = {},
                           .status = Status::none});
    }

    Task<std::unique_ptr<Stream>> open(std::size_t from, const char* protocol) {
        const OpenOptions over_any{.allows_relayed = true};
        const PeerId tested = world_.hosts.host(kTested).id();
        auto stream = co_await world_.hosts.host(from).open(tested, protocol, over_any);
        require(stream.has_value());
        co_return std::move(*stream);
    }

    Task<void> ask_hop(std::size_t from, codec::Buffer request, bool is_all) {
        const std::unique_ptr<Stream> stream = co_await open(from, kHopProtocol);
        co_await send(*stream, std::move(request));
        if (is_all) {
            const Result<> ended = co_await stream->shutdown_write();
            static_cast<void>(ended);
        }
        const auto reply = co_await receive(*stream, kMessageMax);
        if (!reply) co_return;
        const auto message = decode_hop(*reply, small_limits().addresses_max);
        require(message && message->type == HopType::status);
        if (message->reservation) require(open_voucher(message->reservation->voucher).has_value());
        if (message->status == Status::ok && !message->reservation)
            co_await send(*stream, codec::to_buffer(script_.take(script_.next())));
    }

    Task<void> ask_stop(std::size_t from, bool is_raw) {
        codec::Buffer request = is_raw ? read_frame()
                                       : encode_stop({.type = StopType::connect,
                                                      .peer = make_identity(script_.next() % 5U),
                                                      .limit = {},
                                                      .status = Status::none});
        const std::unique_ptr<Stream> stream = co_await open(from, kStopProtocol);
        co_await send(*stream, std::move(request));
        const auto reply = co_await receive(*stream, kMessageMax);
        if (!reply) co_return;
        const auto message = decode_stop(*reply);
        require(message && message->type == StopType::status);
        // Only from whom it has reserved at.
        require(message->status != Status::ok || from == reserved_at_);
        if (message->status == Status::ok)
            co_await send(*stream, codec::to_buffer(script_.take(script_.next())));
    }

    // As the one that was dialled over the relay, which begins.
    Task<void> punch(bool is_raw) {
        const std::unique_ptr<Stream> stream = co_await open(kFar, kDcutrProtocol);
        for (const HolePunchType type : {HolePunchType::connect, HolePunchType::sync}) {
            codec::Buffer message;
            if (is_raw)
                message = read_frame();
            else
                message = encode_hole_punch({.type = type, .addresses = read_addresses(script_)});
            co_await send(*stream, std::move(message));
            const auto reply = co_await receive(*stream, kMessageMax);
            if (!reply) co_return;
            const auto read = decode_hole_punch(*reply, small_punch_limits().addresses_max);
            require(read && read->type == HolePunchType::connect && type == read->type);
        }
    }

    Task<void> reserve() {
        world_.hop_answer = read_frame();
        const PeerId relay = world_.hosts.host(kCaller).id();
        const auto place = co_await client_.reserve(relay);
        if (!place) co_return;
        reserved_at_ = kCaller;
        require(place->relay == relay && !place->addresses.empty());
        require(place->lifetime >= small_client_limits().reservation_min);
        require(place->lifetime <= small_client_limits().reservation_max);
        for (const Multiaddr& address : place->addresses)
            require(address.is_relayed() && address.relay()->peer() == relay);
    }

    World& world_;
    testing::Script script_;
    std::size_t reserved_at_ = kTested;
    Host& tested_ = world_.hosts.host(kTested);
    RelayService service_{
        tested_, world_.hosts.clock(), {.limits = small_limits(), .unix_seconds = unix_seconds}};
    RelayClient client_{tested_,
                        world_.hosts.clock(),
                        {.limits = small_client_limits(), .unix_seconds = unix_seconds}};
    HolePuncher puncher_{tested_, world_.hosts.clock(), {.limits = small_punch_limits()}};
};

Task<void> try_input(World& world, Bytes input) {
    co_await world.connect();
    Run run(world, input);
    co_await run.play();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    search_no_leaks(*argc, *argv);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World* const world = std::make_unique<World>().release();
    const Bytes input = std::as_bytes(std::span(data, size));
    world->hosts.run(try_input(*world, input));
    return 0;
}
