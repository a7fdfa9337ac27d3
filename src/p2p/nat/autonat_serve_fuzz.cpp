// A server of AutoNAT whose callers send anything: it answers in messages that can be read, names
// an address that was asked for, and dials no other host than the caller for less than its price.
#include <cstdint>

#include "p2p/nat/autonat_server.hpp"
#include "p2p/nat/dial_back.hpp"
#include "p2p/standing_hosts_fuzz.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace std::chrono_literals;
using io::Task;
namespace v1 = autonat_v1;
namespace v2 = autonat_v2;

namespace {

constexpr std::size_t kTested = 0;
constexpr std::size_t kCaller = 1;
constexpr std::size_t kDeedsMax = 4;
constexpr const char* kDialler = "10.0.0.9";

AutonatLimits small_limits() {
    AutonatLimits limits;
    limits.v1_rate = {.total_max = 30, .per_peer_max = 30};
    limits.read_timeout = 2s;
    limits.serve_timeout = 6s;
    limits.v2_pause_max = 100ms;
    limits.allows_private = true;
    return limits;
}

HostOptions dialler_options() {
    HostOptions options{.identity = make_key(9), .agent = "dialler"};
    options.random = [counter = CounterRandom(9)](MutableBytes into) mutable {
        for (std::byte& byte : into)
            byte = static_cast<std::byte>(counter.next());
    };
    return options;
}

// What is there before the first input and stays.
class World {
public:
    World() {
        hosts.start(dial_back.run());
        hosts.host(kCaller).handle(v2::kDialBackProtocol, take_nonce);
    }

    StandingHosts hosts{3};
    DialBack dial_back{hosts.world().network().host(kDialler),
                       hosts.clock(),
                       dialler_options(),
                       {.dial_timeout = 2s, .reply_timeout = 1s}};

private:
    static Task<void> take_nonce(std::unique_ptr<Stream> stream) {
        const auto message = co_await receive(*stream, v2::kDialBackBytesMax);
        if (!message || !v2::decode_dial_back(*message)) co_return;
        co_await send(*stream, framed(v2::encode_dial_back_response()));
    }
};

// A server that is made for one input, on hosts that stand.
class Run {
public:
    Run(World& world, Bytes input) : world_(world), script_(input) {}

    Task<void> play() {
        const auto known =
            co_await world_.hosts.host(kCaller).connect(world_.hosts.world().address(kTested));
        require(known.has_value());
        for (std::size_t deeds = 0; deeds < kDeedsMax && !script_.is_empty(); ++deeds)
            co_await do_one();
        co_await world_.hosts.clock().sleep_for(7s);  // more than anything may take
    }

private:
    Task<void> do_one() {
        const std::uint8_t deed = script_.next();
        switch (deed % 4U) {
            case 0: {
                const Bytes message = script_.take(script_.next());
                co_await ask_v1(framed(message));
                break;
            }
            case 1: {
                v1::Dial dial{.peer = {}, .addresses = read_addresses(script_)};
                if ((deed & 4U) != 0)
                    dial.peer = codec::to_buffer(make_identity((deed & 8U) == 0 ? 1 : 2).bytes());
                co_await ask_v1(framed(v1::encode(dial)));
                break;
            }
            case 2: {
                const Bytes message = script_.take(script_.next());
                co_await ask_v2(framed(message), {}, false);
                break;
            }
            default: {
                v2::DialRequest request{.addresses = {}, .nonce = script_.next()};
                for (Multiaddr& address : read_addresses(script_))
                    request.addresses.emplace_back(std::move(address));
                co_await ask_v2(framed(v2::encode(request)), request.addresses, (deed & 4U) != 0);
            }
        }
    }

    Task<std::unique_ptr<Stream>> open(const char* protocol) {
        const PeerId tested = world_.hosts.host(kTested).id();
        auto stream = co_await world_.hosts.host(kCaller).open(tested, protocol);
        require(stream.has_value());
        co_return std::move(*stream);
    }

    static bool is_at_caller(const Multiaddr& address) {
        return address.to_text().starts_with("/ip4/" + HostWorld::ip(kCaller) + "/");
    }

    Task<void> ask_v1(codec::Buffer request) {
        const std::unique_ptr<Stream> stream = co_await open(v1::kProtocol);
        co_await send(*stream, std::move(request));
        const auto reply = co_await receive(*stream, v1::kMessageBytesMax);
        if (!reply) co_return;
        const auto response = v1::decode_response(*reply);
        require(response.has_value());
        require(response->address.has_value() == (response->status == v1::Status::ok));
        if (response->address) require(is_at_caller(*response->address));
    }

    Task<void> ask_v2(codec::Buffer request,
                      std::vector<std::optional<Multiaddr>> addresses,
                      bool is_honest) {
        const std::unique_ptr<Stream> stream = co_await open(v2::kDialProtocol);
        co_await send(*stream, std::move(request));
        bool is_paid = false;
        while (true) {
            const auto reply = co_await receive(*stream, v2::kMessageBytesMax);
            if (!reply) co_return;
            const auto message = v2::decode(*reply);
            require(message.has_value());
            if (const auto* const demand = std::get_if<v2::DialDataRequest>(&*message)) {
                require(!is_paid && demand->bytes >= v2::kDataBytesMin);
                require(demand->bytes <= v2::kDataBytesMax);
                is_paid = co_await pay(*stream, demand->bytes, is_honest);
                continue;
            }
            const auto* const response = std::get_if<v2::DialResponse>(&*message);
            require(response != nullptr);
            if (response->status != v2::Status::ok || addresses.empty()) co_return;
            require(response->index < addresses.size() && addresses[response->index].has_value());
            require(is_paid || is_at_caller(*addresses[response->index]));
            co_return;
        }
    }

    // Whether all of it was sent.
    Task<bool> pay(Stream& stream, std::uint64_t price, bool is_honest) {
        std::uint64_t paid = 0;
        while (paid < price) {
            std::size_t piece = v2::kDataChunkBytesMax;
            if (!is_honest) piece = script_.next() * 16U;
            if (piece == 0) break;
            paid += piece;
            const v2::DialDataResponse data{.bytes = piece};
            co_await send(stream, framed(v2::encode(data)));
        }
        if (!is_honest && paid < price)
            co_await send(stream, codec::to_buffer(script_.take(script_.next())));
        co_return paid >= price;
    }

    World& world_;
    testing::Script script_;
    CounterRandom random_{3};
    AutonatServer server_{world_.hosts.host(kTested),
                          world_.hosts.clock(),
                          world_.dial_back,
                          {.limits = small_limits(),
                           .random =
                               [this](MutableBytes into) {
                                   for (std::byte& byte : into)
                                       byte = static_cast<std::byte>(random_.next());
                               },
                           .is_own = {}}};
};

Task<void> try_input(World& world, Bytes input) {
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
