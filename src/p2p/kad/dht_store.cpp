// Values and providers, as a client: put, get, provide, find.
#include <algorithm>
#include <utility>

#include "p2p/kad/address_scope.hpp"
#include "p2p/kad/dht_state.hpp"

namespace kwaai::p2p::kad {
namespace {

Result<> check_size(const char* what, std::size_t size, std::size_t max) {
    if (size > 0 && size <= max) return {};
    return fail(Errc::limit_exceeded,
                std::string(what) + " of " + std::to_string(size) + " bytes; 1 to " +
                    std::to_string(max) + " are taken");
}

Result<std::size_t> count_of(const Spread& spread) {
    if (spread.taken > 0) return spread.taken;
    return fail(Errc::unavailable,
                "none of " + std::to_string(spread.peers.size()) +
                    " peers took it: " + spread.last_failure);
}

// What the replies to GET_VALUE have brought so far.
struct Values {
    const Validators& validators;
    const codec::Buffer& key;
    std::optional<codec::Buffer> best;
    std::vector<std::pair<PeerId, codec::Buffer>> found;  // valid

    void take(codec::Buffer value) {
        if (!best || validators.is_better(key, value, *best)) best = std::move(value);
    }

    void take(const PeerId& peer, const std::optional<WireRecord>& record) {
        if (!record || record->key != key || !validators.validate(key, record->value)) return;
        found.emplace_back(peer, record->value);
        take(record->value);
    }

    // Those that hold a worse one, and the nearest that has none.
    [[nodiscard]] std::vector<PeerId> in_need(const std::vector<PeerId>& answerers) const {
        std::vector<PeerId> peers;
        for (const auto& [peer, value] : found)
            if (value != *best) peers.push_back(peer);
        for (const PeerId& peer : answerers) {
            const auto is_same = [&](const auto& one) {
                return one.first == peer;
            };
            if (std::ranges::any_of(found, is_same)) continue;
            peers.push_back(peer);
            break;
        }
        return peers;
    }
};

}  // namespace

std::vector<Multiaddr> Dht::State::own_addresses() const {
    std::vector<Multiaddr> all;
    if (options.own_addresses) return options.own_addresses();
    for (const Multiaddr& address : host.addresses())
        if (!address.is_unspecified()) all.push_back(address.without_peer());
    return all;
}

io::Task<Result<std::size_t>> Dht::State::publish(codec::Buffer key, codec::Buffer value) {
    KWAAI_CO_TRY(std::vector<PeerId> peers, co_await closest_peers(key));
    Spread all{.message = {.type = MessageType::put_value,
                           .key = key,
                           .record = WireRecord{.key = key, .value = std::move(value)}},
               .peers = std::move(peers)};
    co_await spread(all);
    co_return count_of(all);
}

io::Task<Result<std::size_t>> Dht::State::announce(codec::Buffer key) {
    const Provider self{.peer = host.id(), .addresses = own_addresses()};
    KWAAI_CO_CHECKED(providers.add(key, self, clock.now()));
    KWAAI_CO_TRY(std::vector<PeerId> peers, co_await closest_peers(key));
    Spread all{.message = {.type = MessageType::add_provider, .key = key},
               .peers = std::move(peers)};
    all.message.providers.push_back({.peer = self.peer, .addresses = self.addresses});
    co_await spread(all);
    co_return count_of(all);
}

io::Task<void> Dht::State::correct(Spread all) {
    co_await spread(all);
}

io::Task<Result<std::size_t>> Dht::put(codec::Buffer key, codec::Buffer value) {
    State& state = *state_;
    const DhtLimits& limits = state.options.limits;
    KWAAI_CO_CHECKED(check_size("a key", key.size(), limits.key_bytes_max));
    KWAAI_CO_CHECKED(check_size("a value", value.size(), limits.value_bytes_max));
    KWAAI_CO_CHECKED(state.options.validators.validate(key, value));
    if (!state.published.contains(key) && state.published.size() >= limits.published_max)
        co_return fail(
            Errc::limit_exceeded,
            "this node publishes " + std::to_string(limits.published_max) + " values, its limit");
    state.published.insert_or_assign(key, value);
    const Result<> is_stored = state.records.put(key, value, state.clock.now());
    static_cast<void>(is_stored);  // others keep it
    auto count = co_await state.publish(std::move(key), std::move(value));
    co_return count;
}

io::Task<Result<codec::Buffer>> Dht::get(codec::Buffer key) {
    State& state = *state_;
    const DhtLimits& limits = state.options.limits;
    KWAAI_CO_CHECKED(check_size("a key", key.size(), limits.key_bytes_max));
    Values values{
        .validators = state.options.validators, .key = key, .best = std::nullopt, .found = {}};
    if (const codec::Buffer* const stored = state.records.get(key, state.clock.now()))
        if (values.validators.validate(key, *stored)) values.take(*stored);
    Lookup lookup = state.make_lookup(MessageType::get_value, key, limits.paths);
    lookup.on_reply = [&](const PeerId& peer, const Reply& reply) {
        values.take(peer, reply.message.record);
        if (values.found.size() >= limits.value_quorum) lookup.state.stop();
    };
    const Result<> looked_up = co_await state.run_lookup(lookup);
    if (!values.best) {
        if (!looked_up) co_return std::unexpected<Error>(looked_up.error());
        co_return fail(Errc::not_found,
                       "none of " + std::to_string(lookup.state.query_count()) +
                           " peers holds a valid value of this key");
    }
    Spread others{.message = {.type = MessageType::put_value,
                              .key = key,
                              .record = WireRecord{.key = key, .value = *values.best}},
                  .peers = values.in_need(lookup.state.answerers())};
    if (state.group != nullptr)
        state.group->spawn(&State::correct, std::ref(state), std::move(others));
    else
        co_await state.correct(std::move(others));
    co_return std::move(*values.best);
}

io::Task<Result<std::size_t>> Dht::provide(codec::Buffer key) {
    State& state = *state_;
    const DhtLimits& limits = state.options.limits;
    KWAAI_CO_CHECKED(check_size("a key", key.size(), limits.provider_key_bytes_max));
    if (!state.provided.contains(key) && state.provided.size() >= limits.published_max)
        co_return fail(
            Errc::limit_exceeded,
            "this node provides " + std::to_string(limits.published_max) + " keys, its limit");
    state.provided.insert(key);
    auto count = co_await state.announce(std::move(key));
    co_return count;
}

void Dht::stop_providing(const codec::Buffer& key) {
    state_->provided.erase(key);
    state_->providers.remove(key, state_->host.id());
}

io::Task<Result<std::vector<PeerAddresses>>> Dht::find_providers(codec::Buffer key,
                                                                 std::size_t max) {
    State& state = *state_;
    const DhtLimits& limits = state.options.limits;
    KWAAI_CO_CHECKED(check_size("a key", key.size(), limits.provider_key_bytes_max));
    std::vector<PeerId> found;
    const auto take = [&](const PeerId& peer) {
        const bool is_new =
            peer != state.host.id() && std::ranges::find(found, peer) == found.end();
        if (is_new && found.size() < max) found.push_back(peer);
    };
    for (const Provider& provider : state.providers.get(key, state.clock.now()))
        take(provider.peer);
    Lookup lookup = state.make_lookup(MessageType::get_providers, std::move(key), limits.paths);
    lookup.on_reply = [&](const PeerId& /*peer*/, const Reply& reply) {
        for (const WirePeer& provider : reply.message.providers) {
            if (!state.host.is_connected(provider.peer))
                for (const Multiaddr& address : believable(provider.addresses, reply.told_by))
                    state.host.add_address(provider.peer, address);
            take(provider.peer);
        }
        if (found.size() >= max) lookup.state.stop();
    };
    if (found.size() < max) {
        const Result<> looked_up = co_await state.run_lookup(lookup);
        if (!looked_up && found.empty()) co_return std::unexpected<Error>(looked_up.error());
    }
    co_return state.with_addresses(found);
}

}  // namespace kwaai::p2p::kad
