// Lookups: many requests at once, led by LookupState.
#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/kad/dht_state.hpp"

namespace kwaai::p2p::kad {
namespace {

io::Task<void> drive_in(io::TaskGroup& group, Dht::State& state, Lookup& lookup) {
    co_await state.drive(group, lookup);
}

io::Task<void> spread_in(io::TaskGroup& group, Dht::State& state, Spread& spread) {
    const std::size_t workers = std::min(spread.peers.size(), state.options.limits.parallel);
    for (std::size_t i = 0; i < workers; ++i)
        group.spawn(&Dht::State::spread_some, std::ref(state), std::ref(spread));
    co_return;
}

}  // namespace

Lookup Dht::State::make_lookup(MessageType type, codec::Buffer key, std::size_t paths) {
    const DhtLimits& limits = options.limits;
    const KadKey target = KadKey::of(Bytes(key));
    LookupState lookup(host.id(),
                       {.target = target,
                        .parallel = limits.parallel,
                        .closest_answered = limits.closest_answered,
                        .result_size = limits.bucket_size,
                        .paths = paths,
                        .queries_max = limits.queries_max});
    lookup.add_seeds(table.closest(target, limits.bucket_size));
    return {.request = {.type = type, .key = std::move(key)},
            .state = std::move(lookup),
            .on_reply = {},
            .wanted = {}};
}

io::Task<Result<>> Dht::State::run_lookup(Lookup& lookup) {
    if (table.size() == 0)
        co_return fail(Errc::unavailable,
                       "no peer of " + options.protocol + " is known: bootstrap first");
    const io::TimePoint begin = clock.now();
    auto driving = io::with_group(drive_in, std::ref(*this), std::ref(lookup));
    const bool is_over =
        co_await io::finishes_within(clock, options.limits.lookup_timeout, std::move(driving));
    static_cast<void>(is_over);  // what has been found by then is the result
    if (options.on_lookup)
        options.on_lookup({.hops = lookup.state.hops(),
                           .requests = lookup.state.query_count(),
                           .took = clock.now() - begin});
    if (lookup.state.answerers().empty() && !lookup.state.is_stopped())
        co_return fail(Errc::unavailable,
                       "none of " + std::to_string(lookup.state.query_count()) + " peers of " +
                           options.protocol + " answered");
    co_return Result<>();
}

io::Task<void> Dht::State::drive(io::TaskGroup& lookup_group, Lookup& lookup) {
    while (!lookup.state.is_over()) {
        while (const auto peer = lookup.state.next())
            lookup_group.spawn(&State::ask_for, std::ref(*this), std::ref(lookup), *peer);
        if (lookup.state.is_over()) break;
        co_await lookup.changed.wait();
    }
    lookup_group.cancel();
}

io::Task<void> Dht::State::ask_for(Lookup& lookup, PeerId peer) {
    io::Duration patience = timings.reply_timeout(peer);
    if (!host.is_connected(peer)) patience += timings.dial_timeout(peer);
    const auto impatience = clock.call_after(
        patience, [this, &lookup, &peer, patience] { lose_patience(lookup, peer, patience); });
    Message request = lookup.request;
    const auto reply = co_await ask(peer, std::move(request), Patience::longest);
    if (reply)
        take_closer(lookup, peer, *reply);
    else
        lookup.state.failed(peer);
    if (lookup.wanted && host.is_connected(*lookup.wanted)) lookup.state.stop();
    lookup.changed.notify_all();
}

// The answer may still come; a peer that is gone has failed here already when the lookup ends.
void Dht::State::lose_patience(Lookup& lookup, const PeerId& peer, io::Duration patience) {
    if (!lookup.state.is_asked(peer)) return;
    lookup.state.stalled(peer);
    note_failure(peer, io::timeout_error(patience));
    lookup.changed.notify_all();
}

// A connected peer has said itself where it is.
bool Dht::State::knows_where(const WirePeer& entry, const Multiaddr& told_by) {
    if (host.is_connected(entry.peer)) return true;
    for (const Multiaddr& address : believable(entry.addresses, told_by))
        host.add_address(entry.peer, address);
    return !host.known_addresses(entry.peer).empty();
}

void Dht::State::take_closer(Lookup& lookup, const PeerId& peer, const Reply& reply) {
    if (lookup.on_reply) lookup.on_reply(peer, reply);
    std::vector<PeerId> closer;
    for (const WirePeer& entry : reply.message.closer) {
        if (closer.size() >= options.limits.bucket_size) break;
        if (entry.peer == host.id() || timings.has_failed_lately(entry.peer, clock.now())) continue;
        if (knows_where(entry, reply.told_by)) closer.push_back(entry.peer);
    }
    lookup.state.answered(peer, closer);
}

std::vector<PeerAddresses> Dht::State::with_addresses(const std::vector<PeerId>& peers) const {
    std::vector<PeerAddresses> found;
    for (const PeerId& peer : peers)
        found.push_back({.peer = peer, .addresses = host.known_addresses(peer)});
    return found;
}

io::Task<Result<std::vector<PeerId>>> Dht::State::closest_peers(codec::Buffer key) {
    Lookup lookup = make_lookup(MessageType::find_node, std::move(key), 1);
    KWAAI_CO_CHECKED(co_await run_lookup(lookup));
    co_return lookup.state.closest();
}

io::Task<void> Dht::State::spread(Spread& all) {
    co_await io::with_group(spread_in, std::ref(*this), std::ref(all));
}

io::Task<void> Dht::State::spread_some(Spread& all) {
    while (all.next < all.peers.size()) {
        PeerId peer = all.peers[all.next++];
        Message message = all.message;
        if (message.type == MessageType::add_provider) {
            const Result<> is_told = co_await tell(std::move(peer), std::move(message));
            if (is_told)
                ++all.taken;
            else
                all.last_failure = is_told.error().context;
            continue;
        }
        const auto reply = co_await ask(std::move(peer), std::move(message), Patience::usual);
        if (reply)
            ++all.taken;
        else
            all.last_failure = reply.error().context;
    }
}

}  // namespace kwaai::p2p::kad
