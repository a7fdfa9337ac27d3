#include "p2p/relay/auto_relay.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "io/timeout.hpp"

namespace kwaai::p2p::relay {
namespace {

constexpr const char* kProtectTag = "relay";

}  // namespace

/// A relay in use, however that ends.
class HeldPlace {
public:
    HeldPlace(AutoRelay& keeper, PeerId relay) : keeper_(keeper), relay_(std::move(relay)) {
        keeper_.kept_.insert(relay_);
    }

    HeldPlace(const HeldPlace&) = delete;
    HeldPlace& operator=(const HeldPlace&) = delete;

    ~HeldPlace() { keeper_.let_go(relay_); }

private:
    AutoRelay& keeper_;
    PeerId relay_;
};

AutoRelay::AutoRelay(Host& host, io::Clock& clock, RelayClient& client, AutoRelayOptions options)
    : host_(host),
      clock_(clock),
      client_(client),
      options_(std::move(options)),
      candidates_(options_.candidates, std::hash<PeerId>()(host.id())) {
    for (const Multiaddr& address : options_.relays)
        candidates_.add(address, true);
    observing_ = host_.observe([this](const PeerInfo& info, ConnectionChange change) {
        // A reservation dies with the connection that it was made over.
        if (change == ConnectionChange::closed && kept_.contains(info.peer) &&
            !host_.is_connected_directly(info.peer))
            lost_.insert(info.peer);
        changed_.notify_all();
    });
}

AutoRelay::~AutoRelay() = default;

io::Task<void> AutoRelay::run() {
    co_await io::with_group(&AutoRelay::work, std::ref(*this));
}

io::Task<void> AutoRelay::work(io::TaskGroup& group, AutoRelay& self) {
    while (true) {
        if (self.options_.is_discovering) self.discover();
        while (self.candidates_.in_use() < self.options_.wanted) {
            std::optional<Multiaddr> next = self.candidates_.take(self.clock_.now());
            if (!next) break;
            group.spawn(&AutoRelay::keep, std::ref(self), std::move(*next));
        }
        io::Task<void> waiting = self.wait_for_change();
        const bool is_changed = co_await io::finishes_within(
            self.clock_, self.options_.look_interval, std::move(waiting));
        static_cast<void>(is_changed);
    }
}

io::Task<void> AutoRelay::wait_for_change() {
    co_await changed_.wait();
}

// Those that this node has dialled: where others came from they cannot be dialled again.
void AutoRelay::discover() {
    for (const PeerInfo& info : host_.peers()) {
        const bool is_relay =
            std::ranges::find(info.protocols, kHopProtocol) != info.protocols.end();
        if (!is_relay || info.is_inbound || !info.connected || info.connected->is_relayed())
            continue;
        candidates_.add(info.connected->with_peer(info.peer), false);
    }
}

io::Task<void> AutoRelay::keep(Multiaddr address) {
    const PeerId relay = address.peer().value();
    const HeldPlace place(*this, relay);
    const auto reached = co_await client_.reach(std::move(address));
    if (!reached) co_return tell_failure(relay, reached.error());
    while (!lost_.contains(relay)) {
        auto granted = co_await client_.reserve(relay);
        if (!granted) co_return tell_failure(relay, granted.error());
        candidates_.succeeded(relay);
        const io::Duration rest = granted->lifetime * 3 / 4;
        hold(std::move(*granted));
        io::Task<void> waiting = wait_for_loss(relay);
        const bool is_lost = co_await io::finishes_within(clock_, rest, std::move(waiting));
        if (is_lost) co_return;
    }
}

io::Task<void> AutoRelay::wait_for_loss(PeerId relay) {
    while (!lost_.contains(relay))
        co_await changed_.wait();
}

void AutoRelay::tell_failure(const PeerId& relay, const Error& error) const {
    const bool is_given = std::ranges::any_of(
        options_.relays, [&](const Multiaddr& address) { return address.peer() == relay; });
    if (is_given && options_.on_failure) options_.on_failure(error);
}

void AutoRelay::hold(Reservation place) {
    const std::vector<Multiaddr> before = addresses();
    const PeerId relay = place.relay;
    host_.protect(relay, kProtectTag);
    held_.insert_or_assign(relay, std::move(place));
    std::vector<Multiaddr> now = addresses();
    if (now != before && options_.told) options_.told(std::move(now));
}

void AutoRelay::let_go(const PeerId& relay) {
    client_.release(relay);
    host_.unprotect(relay, kProtectTag);
    kept_.erase(relay);
    lost_.erase(relay);
    candidates_.ended(relay, clock_.now());
    if (held_.erase(relay) > 0 && options_.told) options_.told(addresses());
    changed_.notify_all();
}

std::vector<Multiaddr> AutoRelay::addresses() const {
    std::vector<Multiaddr> all;
    for (const auto& [relay, place] : held_)
        all.insert(all.end(), place.addresses.begin(), place.addresses.end());
    return all;
}

}  // namespace kwaai::p2p::relay
