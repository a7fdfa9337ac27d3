// A client of the table whose peers answer anything, late or never: its calls end within their
// time, ask nobody twice and no more than agreed, and give only what their contracts say.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "codec/varint.hpp"
#include "p2p/kad/dht_network_fuzz.hpp"
#include "p2p/length_prefixed.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::kad;
using io::Task;

namespace {

constexpr std::size_t kCallsMax = 4;

DhtOptions make_options() {
    DhtOptions options;
    options.limits.parallel = 4;
    options.limits.queries_max = 12;
    options.limits.bucket_size = 6;
    options.limits.known_peers_max = 6;
    options.limits.candidates_max = 8;
    options.limits.published_max = 3;
    options.validators.set("any", std::make_shared<AnyValidator>());
    return options;
}

class World {
public:
    explicit World(Bytes input) : script_(input) {}

    void run() { simulation_.run(io::with_group(&World::play_in, std::ref(*this))); }

private:
    static Task<void> play_in(io::TaskGroup& group, World& world) {
        world.network_.enter(group);
        co_await world.play();
        group.cancel();
    }

    Task<void> play() {
        co_await join();
        for (std::size_t calls = 0; calls < kCallsMax && !script_.is_empty(); ++calls) {
            static_cast<void>(network_.take_asked());
            co_await do_one();
            for (const PeerId& peer : dht_.peers())
                require(FuzzNetwork::is_server(peer));
            require(dht_.kept().peers.size() <= options_.limits.known_peers_max);
        }
    }

    Task<void> join() {
        std::vector<Multiaddr> addresses;
        const std::size_t count = 1U + script_.next() % 5U;
        for (std::size_t i = 0; i < count; ++i)
            addresses.push_back(fuzz_address(0).with_peer(fuzz_peer(script_.next() | 1U)));
        const auto joined = co_await dht_.bootstrap(std::move(addresses));
        require(!joined || *joined == dht_.peer_count());
    }

    Task<void> do_one() {
        const std::uint8_t deed = script_.next();
        codec::Buffer key = read_key(script_);
        switch (deed % 8U) {
            case 0: co_await find_closest(std::move(key)); break;
            case 1: co_await find_peer(); break;
            case 2:
            case 3: co_await get(std::move(key)); break;
            case 4: co_await put(std::move(key)); break;
            case 5: {
                const auto told = co_await dht_.provide(std::move(key));
                require(!told || *told > 0);
                break;
            }
            case 6: co_await find_providers(std::move(key)); break;
            default: co_await join();
        }
    }

    // A lookup asks each once.
    void check_asked() {
        std::size_t total = 0;
        for (const auto& [peer, count] : network_.take_asked()) {
            require(count == 1 && peer != network_.id());
            ++total;
        }
        require(total <= options_.limits.queries_max);
    }

    Task<void> find_closest(codec::Buffer key) {
        const KadKey target = KadKey::of(Bytes(key));
        const io::TimePoint begin = simulation_.clock().now();
        const auto found = co_await dht_.find_closest(std::move(key));
        require(simulation_.clock().now() - begin <= options_.limits.lookup_timeout);
        check_asked();
        if (!found) co_return;
        require(found->size() <= options_.limits.bucket_size);
        std::optional<Distance> last;
        for (const PeerAddresses& peer : *found) {
            const Distance distance = Distance::between(target, KadKey::of(peer.peer));
            require(peer.peer != network_.id() && (!last || *last < distance));
            last = distance;
        }
    }

    Task<void> find_peer() {
        const PeerId& peer = fuzz_peer(script_.next());
        const auto found = co_await dht_.find_peer(peer);
        check_asked();
        require(!found || found->peer == peer);
    }

    Task<void> get(codec::Buffer key) {
        const codec::Buffer wanted = key;
        const auto value = co_await dht_.get(std::move(key));
        require(!value || options_.validators.validate(wanted, *value).has_value());
    }

    Task<void> put(codec::Buffer key) {
        const std::size_t size = 1U + script_.next();
        codec::Buffer value(size, static_cast<std::byte>(script_.next()));
        const auto taken = co_await dht_.put(std::move(key), std::move(value));
        require(!taken || (*taken > 0 && *taken <= options_.limits.bucket_size));
    }

    Task<void> find_providers(codec::Buffer key) {
        const std::size_t max = script_.next() % 8U;
        const auto found = co_await dht_.find_providers(std::move(key), max);
        require(!found || found->size() <= max);
        check_asked();
    }

    Task<void> answer(std::unique_ptr<io::Stream> stream) {
        const auto request =
            co_await read_length_prefixed(*stream, options_.limits.request_bytes_max);
        if (!request || !*request) co_return;
        const auto asked = decode_message(**request, options_.limits);
        require(asked.has_value());
        const codec::Buffer bytes = co_await make_answer(*asked);
        const Bytes view(bytes);
        const Result<> written = co_await stream->write(view);
        static_cast<void>(written);
    }

    Task<codec::Buffer> make_answer(Message asked) {
        const DhtLimits generous;
        codec::Buffer bytes;
        switch (script_.next() % 8U) {
            case 0: break;  // as an end without an answer
            case 1: {
                const std::chrono::milliseconds time(script_.next() * 100);
                co_await simulation_.clock().sleep_for(time);
                [[fallthrough]];
            }
            case 2:
            case 3:
            case 4: {
                Message reply = read_message(script_);
                reply.type = asked.type;
                reply.key = asked.key;
                if (reply.record) reply.record->key = asked.key;
                bytes = encode_message(reply, generous);
                break;
            }
            case 5: bytes = encode_message(read_message(script_), generous); break;
            case 6: {
                const Bytes body = script_.take(script_.next());
                codec::append_varint(bytes, body.size());
                codec::append(bytes, body);
                break;
            }
            default: codec::append(bytes, script_.take(script_.next()));
        }
        co_return bytes;
    }

    testing::Script script_;
    testing::Simulation simulation_;
    DhtOptions options_ = make_options();
    FuzzNetwork network_{[this](PeerId /*peer*/, std::unique_ptr<io::Stream> stream) {
        return answer(std::move(stream));
    }};
    Dht dht_{network_, simulation_.clock(), options_};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    World(std::as_bytes(std::span(data, size))).run();
    return 0;
}
