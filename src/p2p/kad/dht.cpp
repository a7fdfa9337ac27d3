#include "p2p/kad/dht.hpp"

#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/kad/dht_state.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr const char* kHivemindProtocol = "DHTProtocol.rpc_ping";

// Ends what run() began, however it ended.
class Running {
public:
    Running(Dht::State& state, io::TaskGroup& group) : state_(state) { state_.group = &group; }

    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    ~Running() {
        state_.group = nullptr;
        state_.checking.clear();
    }

private:
    Dht::State& state_;
};

io::Task<void> run_beside(io::TaskGroup& group, Dht::State& state) {
    const Running running(state, group);
    for (std::size_t i = 0; i < state.options.limits.checks_max; ++i)
        group.spawn(&Dht::State::check_candidates, std::ref(state));
    group.spawn(&Dht::State::keep_fresh, std::ref(state));
    group.spawn(&Dht::State::publish_again, std::ref(state));
    co_await state.forget_expired();
}

struct Joining {
    std::vector<Multiaddr> addresses;
    std::string failures;
};

io::Task<void> join_one(Dht::State& state, Joining& joining, Multiaddr address) {
    const auto peer = co_await state.host.connect(address);
    if (!peer) {
        joining.failures += "\n  " + address.to_text() + ": " + peer.error().context;
        co_return;
    }
    Dht::State::Candidate candidate{.peer = *peer};
    co_await state.check(std::move(candidate));
    if (!state.table.contains(*peer))
        joining.failures += "\n  " + address.to_text() + ": does not serve " +
                            state.options.protocol + ", or has no room in the table";
}

io::Task<void> join_all(io::TaskGroup& group, Dht::State& state, Joining& joining) {
    for (const Multiaddr& address : joining.addresses)
        group.spawn(join_one, std::ref(state), std::ref(joining), address);
    co_return;
}

}  // namespace

bool speaks_hivemind(const PeerInfo& info) {
    return std::ranges::find(info.protocols, kHivemindProtocol) != info.protocols.end();
}

Dht::State::State(DhtNetwork& its_host, io::Clock& its_clock, DhtOptions its_options)
    : host(its_host),
      clock(its_clock),
      options(std::move(its_options)),
      table(its_host.id(), options.limits),
      timings(options.limits),
      known_peers(options.limits),
      records(its_host.id(), options.limits),
      providers(its_host.id(), options.limits),
      random(options.seed) {
    if (!options.admits && options.protocol == kPublicKadProtocol) options.admits = speaks_hivemind;
}

namespace {

// A state and the network that it refers to.
struct Owning {
    Owning(Host& host, io::Clock& clock, DhtOptions options)
        : network(host), state(network, clock, std::move(options)) {
        if (!state.options.admits) return;
        judging = host.expend_first(
            [admits = state.options.admits](const PeerInfo& info) { return !admits(info); });
    }

    HostNetwork network;
    Dht::State state;
    std::shared_ptr<void> judging;
};

}  // namespace

Dht::Dht(Host& host, io::Clock& clock, DhtOptions options) {
    const auto owning = std::make_shared<Owning>(host, clock, std::move(options));
    state_ = std::shared_ptr<State>(owning, &owning->state);
    set_mode(state_->options.mode);
}

Dht::Dht(DhtNetwork& network, io::Clock& clock, DhtOptions options)
    : state_(std::make_shared<State>(network, clock, std::move(options))) {
    set_mode(state_->options.mode);
}

Dht::~Dht() {
    set_mode(Mode::client);
}

void Dht::set_mode(Mode mode) {
    const bool was_server = state_->is_handling;
    state_->options.mode = mode;
    state_->is_handling = mode == Mode::server;
    if (was_server == state_->is_handling) return;
    if (was_server) {
        state_->host.stop_handling(state_->options.protocol);
        return;
    }
    state_->host.handle(state_->options.protocol, [state = state_](std::unique_ptr<Stream> stream) {
        return serve(state, std::move(stream));
    });
}

Mode Dht::mode() const {
    return state_->options.mode;
}

KeptDht Dht::kept() const {
    const io::TimePoint now = state_->clock.now();
    KeptDht all{
        .records = state_->records.kept(now),
        .providers = state_->providers.kept(state_->options.limits.saved_providers_max, now),
        .peers = {}};
    for (KnownPeer& known : state_->known_peers.latest(state_->options.limits.known_peers_max))
        all.peers.push_back({.peer = std::move(known.peer),
                             .addresses = std::move(known.addresses),
                             .age = now - known.answered});
    return all;
}

void Dht::restore(KeptDht kept) {
    const io::TimePoint now = state_->clock.now();
    const auto is_older = [](const auto& one, const auto& other) {
        return one.age > other.age;
    };
    for (KeptRecord& record : kept.records) {
        const Result<> taken = state_->records.put_back(std::move(record), now);
        static_cast<void>(taken);  // others keep it
    }
    std::ranges::sort(kept.providers, is_older);
    for (KeptProvider& provider : kept.providers) {
        const Result<> taken = state_->providers.add_back(std::move(provider), now);
        static_cast<void>(taken);
    }
    std::ranges::sort(kept.peers, is_older);
    for (KeptPeer& one : kept.peers)
        state_->known_peers.answered(one.peer, std::move(one.addresses), now - one.age);
}

std::uint64_t Dht::change_count() const {
    return state_->records.changes() + state_->providers.changes() + state_->known_peers.changes();
}

const DhtLimits& Dht::limits() const {
    return state_->options.limits;
}

std::size_t Dht::peer_count() const {
    return state_->table.size();
}

std::vector<PeerId> Dht::peers() const {
    return state_->table.peers();
}

io::Task<void> Dht::run() {
    co_await io::with_group(run_beside, std::ref(*state_));
}

io::Task<Result<std::size_t>> Dht::bootstrap(std::vector<Multiaddr> addresses) {
    State& state = *state_;
    Joining joining{.addresses = std::move(addresses), .failures = {}};
    co_await io::with_group(join_all, std::ref(state), std::ref(joining));
    if (state.table.size() == 0)
        co_return fail(Errc::unavailable,
                       "no peer of " + state.options.protocol + " was reached" + joining.failures);
    KWAAI_CO_TRY(const std::vector<PeerId> nearest,
                 co_await state.closest_peers(codec::to_buffer(state.host.id().bytes())));
    static_cast<void>(nearest);
    while (!state.candidates.empty()) {
        State::Candidate candidate = std::move(state.candidates.front());
        state.candidates.pop_front();
        co_await state.check(std::move(candidate));
    }
    co_return state.table.size();
}

io::Task<Result<std::size_t>> Dht::rejoin() {
    std::vector<Multiaddr> addresses;
    for (const KnownPeer& known :
         state_->known_peers.latest(state_->options.limits.rejoin_peers_max))
        for (const Multiaddr& address : known.addresses)
            addresses.push_back(address.with_peer(known.peer));
    if (addresses.empty()) co_return fail(Errc::unavailable, "no peer of the past is known");
    auto count = co_await bootstrap(std::move(addresses));
    co_return count;
}

io::Task<Result<std::vector<PeerAddresses>>> Dht::find_closest(codec::Buffer key) {
    if (key.empty() || key.size() > state_->options.limits.key_bytes_max)
        co_return fail(Errc::invalid_argument,
                       "a key of " + std::to_string(key.size()) + " bytes; 1 to " +
                           std::to_string(state_->options.limits.key_bytes_max) + " are taken");
    KWAAI_CO_TRY(const std::vector<PeerId> peers, co_await state_->closest_peers(std::move(key)));
    co_return state_->with_addresses(peers);
}

io::Task<Result<PeerAddresses>> Dht::find_peer(PeerId peer) {
    State& state = *state_;
    if (!state.host.is_connected(peer)) {
        Lookup lookup =
            state.make_lookup(MessageType::find_node, codec::to_buffer(peer.bytes()), 1);
        lookup.wanted = peer;
        KWAAI_CO_CHECKED(co_await state.run_lookup(lookup));
    }
    PeerAddresses found{.peer = peer, .addresses = state.host.known_addresses(peer)};
    if (found.addresses.empty() && !state.host.is_connected(peer))
        co_return fail(Errc::not_found, "no peer knows where " + peer.to_text() + " is");
    co_return found;
}

}  // namespace kwaai::p2p::kad
