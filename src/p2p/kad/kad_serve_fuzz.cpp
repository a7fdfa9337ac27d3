// A server of the table whose callers send anything, in any order, and leave when they like: its
// answers can be read and keep to the limits, as does what it stores; who does not serve the
// protocol is not in its table; and when all have left, nothing is held for them.
#include <array>
#include <cstdint>

#include "codec/varint.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/kad/dht_network_fuzz.hpp"
#include "p2p/kad/dht_state.hpp"
#include "p2p/length_prefixed.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::kad;
using io::Task;

namespace {

constexpr std::size_t kCallers = 4;
constexpr std::size_t kDeedsMax = 24;

DhtOptions make_options() {
    DhtOptions options{.mode = Mode::server};
    options.limits.candidates_max = 3;
    options.limits.streams_per_peer_max = 2;
    options.limits.records_max = 4;
    options.limits.records_bytes_max = 12 << 10;
    options.limits.provider_keys_max = 3;
    options.limits.providers_per_key_max = 2;
    options.validators = standard_validators([] { return std::uint64_t{1'800'000'000}; });
    options.validators.set("any", std::make_shared<AnyValidator>());
    return options;
}

// Half of those that say that they serve the protocol do.
bool does_answer(const PeerId& peer) {
    for (std::size_t i = 1; i < 256; i += 4)
        if (fuzz_peer(i) == peer) return true;
    return false;
}

Task<void> answer(PeerId peer, std::unique_ptr<io::Stream> stream) {
    const DhtLimits limits;
    const auto request = co_await read_length_prefixed(*stream, limits.request_bytes_max);
    if (!request || !*request || !does_answer(peer)) co_return;
    const codec::Buffer reply = encode_message({.type = MessageType::find_node}, limits);
    const Bytes bytes(reply);
    const Result<> written = co_await stream->write(bytes);
    static_cast<void>(written);
}

struct World {
    testing::Simulation simulation;
    FuzzNetwork network{answer};
    std::shared_ptr<Dht::State> state =
        std::make_shared<Dht::State>(network, simulation.clock(), make_options());
};

void check_reply(const DhtLimits& limits,
                 const PeerId& asker,
                 const Multiaddr& from,
                 const Message& reply) {
    require(reply.closer.size() <= limits.bucket_size);
    require(reply.providers.size() <= limits.providers_per_key_max);
    for (const WirePeer& peer : reply.closer) {
        require(peer.peer != asker && !peer.addresses.empty());
        require(peer.addresses.size() <= limits.addresses_sent_max);
        require(believable(peer.addresses, from) == peer.addresses);
    }
}

Task<void> read_replies(const DhtLimits& limits,
                        std::shared_ptr<io::Stream> stream,
                        PeerId asker,
                        Multiaddr from) {
    while (true) {
        const auto bytes = co_await read_length_prefixed(*stream, limits.sent_bytes_max);
        if (!bytes || !*bytes) {
            require(bytes || bytes.error().code == Errc::closed);  // with us, or by a reset
            co_return;
        }
        const auto reply = decode_message(**bytes, limits);
        require(reply.has_value());
        check_reply(limits, asker, from, *reply);
    }
}

void check_state(const Dht::State& state, io::TimePoint now) {
    const DhtLimits& limits = state.options.limits;
    require(state.records.size() <= limits.records_max);
    require(state.records.bytes() <= limits.records_bytes_max);
    require(state.providers.size() <= limits.provider_keys_max);
    require(state.providers.kept(limits.saved_providers_max, now).size() <=
            limits.provider_keys_max * limits.providers_per_key_max);
    require(state.candidates.size() <= limits.candidates_max && state.checking.size() <= 1);
    require(state.served.total() <= kCallers * 2);
    for (const PeerId& peer : state.table.peers())
        require(does_answer(peer));
}

class Callers {
public:
    Callers(io::TaskGroup& group, World& world, Bytes input)
        : group_(group), world_(world), script_(input) {}

    Task<void> play() {
        for (std::size_t deeds = 0; deeds < kDeedsMax && !script_.is_empty(); ++deeds) {
            co_await do_one();
            co_await testing::let_others_run(2);
            check_state(*world_.state, world_.simulation.clock().now());
        }
        for (std::size_t who = 0; who < kCallers; ++who)
            leave(who);
        co_await testing::let_others_run(20);
        require(world_.state->served.total() == 0);
    }

private:
    Task<void> do_one() {
        const std::uint8_t deed = script_.next();
        const std::size_t who = deed / 8U % kCallers;
        if (!callers_[who]) call(who);
        switch (deed % 8U) {
            case 0:
            case 1:
            case 2: {
                const Message message = read_message(script_);
                co_await send(who, encode_message(message, DhtLimits()));
                break;
            }
            case 3:
            case 4: {
                const Bytes body = script_.take(script_.next());
                codec::Buffer framed;
                codec::append_varint(framed, body.size());
                codec::append(framed, body);
                co_await send(who, std::move(framed));
                break;
            }
            case 5: co_await send(who, codec::to_buffer(script_.take(script_.next()))); break;
            case 6: co_await pass_time(); break;
            default: leave(who);
        }
    }

    void call(std::size_t who) {
        const PeerId& peer = fuzz_peer(script_.next());
        const Multiaddr& from = fuzz_address(who);
        testing::StreamPair pair = testing::make_stream_pair({.seed = who, .capacity = 2048});
        callers_[who] = std::move(pair.client);
        auto served = std::make_unique<FakeStream>(std::move(pair.server), peer, "kad", from);
        group_.spawn(serve, world_.state, std::move(served));
        group_.spawn(
            read_replies, std::cref(world_.state->options.limits), callers_[who], peer, from);
    }

    Task<void> send(std::size_t who, codec::Buffer bytes) {
        const Bytes view(bytes);
        const Result<> written = co_await callers_[who]->write(view);
        if (!written) leave(who);
    }

    Task<void> pass_time() {
        const std::chrono::minutes time(script_.next() * 20);
        co_await world_.simulation.clock().sleep_for(time);
    }

    void leave(std::size_t who) {
        if (callers_[who]) callers_[who]->close();
        callers_[who].reset();
    }

    io::TaskGroup& group_;
    World& world_;
    testing::Script script_;
    std::array<std::shared_ptr<io::Stream>, kCallers> callers_;
};

Task<void> run(io::TaskGroup& group, World& world, Bytes input) {
    world.network.enter(group);
    group.spawn(&Dht::State::check_candidates, std::ref(*world.state));
    group.spawn(&Dht::State::forget_expired, std::ref(*world.state));
    Callers callers(group, world, input);
    co_await callers.play();
    group.cancel();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    World world;
    const Bytes input = std::as_bytes(std::span(data, size));
    world.simulation.run(io::with_group(run, std::ref(world), input));
    return 0;
}
