#include "p2p/relay/hole_puncher.hpp"

#include <algorithm>
#include <utility>

#include "io/timeout.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p::relay {

/// An exchange under way. After it nobody waits for a direct connection any more, but where the
/// peer is the one to begin again: then a little longer.
class PunchLease {
public:
    PunchLease(HolePuncher& puncher, PeerId peer, bool is_ours)
        : puncher_(puncher), peer_(std::move(peer)), is_ours_(is_ours) {
        puncher_.active_.insert(peer_);
    }

    PunchLease(const PunchLease&) = delete;
    PunchLease& operator=(const PunchLease&) = delete;

    ~PunchLease() {
        puncher_.active_.erase(puncher_.active_.find(peer_));
        if (puncher_.active_.contains(peer_)) return;
        if (is_ours_ || !puncher_.is_running_ || puncher_.host_.is_connected_directly(peer_)) {
            puncher_.expected_.erase(peer_);
            return;
        }
        const HolePunchLimits& limits = puncher_.options_.limits;
        puncher_.watch(peer_, limits.dial_timeout + limits.begin_timeout);
    }

private:
    HolePuncher& puncher_;
    PeerId peer_;
    bool is_ours_;
};

namespace {

io::Task<Result<>> send(Stream& stream, HolePunchMessage message) {
    const codec::Buffer framed = encode_hole_punch(message);
    const Bytes bytes(framed);
    Result<> written = co_await stream.write(bytes);
    co_return written;
}

io::Task<Result<HolePunchMessage>> receive(Stream& stream,
                                           HolePunchType type,
                                           HolePunchLimits limits) {
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(stream, limits.message_bytes_max));
    if (!bytes) co_return fail(Errc::closed, "the peer ended the exchange");
    KWAAI_CO_TRY(HolePunchMessage message, decode_hole_punch(*bytes, limits.addresses_max));
    if (message.type != type) co_return fail(Errc::malformed, "a message out of turn");
    message.addresses = kad::believable(std::move(message.addresses), stream.remote_address());
    co_return message;
}

}  // namespace

HolePuncher::HolePuncher(Host& host, io::Clock& clock, HolePuncherOptions options)
    : host_(host), clock_(clock), options_(options) {
    host_.handle(kDcutrProtocol,
                 [this](std::unique_ptr<Stream> stream) { return serve(std::move(stream)); });
    observing_ = host_.observe(
        [this](const PeerInfo& info, ConnectionChange change) { take_change(info, change); });
}

HolePuncher::~HolePuncher() {
    host_.stop_handling(kDcutrProtocol);
}

// Who was reached through the relay begins, once it knows who has come.
void HolePuncher::take_change(const PeerInfo& info, ConnectionChange change) {
    changed_.notify_all();
    if (!is_running_ || !info.connected || !info.connected->is_relayed()) return;
    if (host_.is_connected_directly(info.peer)) return;
    const bool is_known = active_.contains(info.peer);
    if (change == ConnectionChange::opened && !expected_.contains(info.peer) &&
        expected_.size() < options_.limits.punches_max + options_.limits.served_max) {
        expected_[info.peer].lease = host_.expect_direct(info.peer);
        watch(info.peer, options_.limits.begin_timeout);
    }
    if (change == ConnectionChange::identified && info.is_inbound && !is_known &&
        to_punch_.size() < options_.limits.punches_max)
        to_punch_.push_back(info.peer);
}

io::Task<void> HolePuncher::run() {
    is_running_ = true;
    const std::shared_ptr<void> running(this, [](HolePuncher* self) {
        self->is_running_ = false;
        self->expected_.clear();
    });
    co_await io::with_group(&HolePuncher::work, std::ref(*this));
}

io::Task<void> HolePuncher::work(io::TaskGroup& group, HolePuncher& self) {
    while (true) {
        while (!self.to_watch_.empty()) {
            auto [peer, time] = std::move(self.to_watch_.front());
            self.to_watch_.pop_front();
            group.spawn(&HolePuncher::give_up_later, std::ref(self), std::move(peer), time);
        }
        while (!self.to_punch_.empty()) {
            const PeerId peer = std::move(self.to_punch_.front());
            self.to_punch_.pop_front();
            if (self.active_.contains(peer) ||
                self.active_.size() - self.served_ >= self.options_.limits.punches_max)
                continue;
            group.spawn(&HolePuncher::punch, std::ref(self), peer);
        }
        co_await self.changed_.wait();
    }
}

// Where nothing is under way then, nobody waits any longer.
void HolePuncher::watch(const PeerId& peer, io::Duration time) {
    const auto entry = expected_.find(peer);
    if (entry == expected_.end()) return;
    entry->second.until = clock_.now() + time;
    to_watch_.emplace_back(peer, time);
    changed_.notify_all();
}

io::Task<void> HolePuncher::give_up_later(PeerId peer, io::Duration time) {
    co_await clock_.sleep_for(time);
    const auto entry = expected_.find(peer);
    if (entry == expected_.end() || active_.contains(peer)) co_return;
    if (clock_.now() >= entry->second.until) expected_.erase(entry);
}

std::vector<Multiaddr> HolePuncher::own_addresses() const {
    std::vector<Multiaddr> all;
    const auto add = [&all](const Multiaddr& address) {
        const bool is_new = std::ranges::find(all, address) == all.end();
        if (is_new && !address.is_relayed() && kad::scope_of(address) != kad::Scope::none)
            all.push_back(address);
    };
    for (const Multiaddr& address : host_.seen_beside_listener())
        add(address);
    for (const Multiaddr& address : host_.told_addresses())
        add(address);
    if (all.size() > options_.limits.addresses_max)
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(options_.limits.addresses_max),
                  all.end());
    return all;
}

std::vector<Multiaddr> HolePuncher::public_addresses(const PeerId& peer) const {
    std::vector<Multiaddr> found;
    for (const Multiaddr& address : host_.known_addresses(peer))
        if (!address.is_relayed() && kad::scope_of(address) == kad::Scope::everywhere)
            found.push_back(address);
    return found;
}

io::Task<void> HolePuncher::punch(PeerId peer) {
    const PunchLease lease(*this, peer, true);
    std::vector<Multiaddr> known = public_addresses(peer);
    const DialOptions plainly{.from_listening_port = true};
    bool is_met = host_.is_connected_directly(peer);
    if (!is_met && !known.empty()) is_met = co_await dial_all(peer, std::move(known), plainly);
    for (unsigned attempt = 1; !is_met && attempt <= options_.limits.attempts; ++attempt) {
        auto agreeing = agree(peer);
        auto agreed = co_await io::with_timeout(
            clock_, options_.limits.exchange_timeout, std::move(agreeing));
        if (!agreed) co_return;
        // The sync is half-way there when the peer, once it has it, dials.
        co_await clock_.sleep_for(agreed->round_trip / 2);
        // At last with the roles of go-libp2p before 0.41.
        const bool is_last = attempt > 1 && attempt == options_.limits.attempts;
        const DialOptions how{.from_listening_port = true, .is_server = !is_last};
        is_met = co_await dial_all(peer, std::move(agreed->addresses), how);
    }
}

io::Task<Result<HolePuncher::Agreed>> HolePuncher::agree(PeerId peer) {
    const OpenOptions over_relay{.allows_relayed = true};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host_.open(std::move(peer), kDcutrProtocol, over_relay));
    HolePunchMessage ours{.type = HolePunchType::connect, .addresses = own_addresses()};
    const io::TimePoint begin = clock_.now();
    KWAAI_CO_CHECKED(co_await send(*stream, std::move(ours)));
    const HolePunchLimits limits = options_.limits;
    KWAAI_CO_TRY(HolePunchMessage theirs,
                 co_await receive(*stream, HolePunchType::connect, limits));
    const io::Duration round_trip = clock_.now() - begin;
    if (theirs.addresses.empty()) co_return fail(Errc::unavailable, "the peer has no address");
    HolePunchMessage sync{.type = HolePunchType::sync, .addresses = {}};
    KWAAI_CO_CHECKED(co_await send(*stream, std::move(sync)));
    stream->close();
    co_return Agreed{.addresses = std::move(theirs.addresses), .round_trip = round_trip};
}

// Only of those whom we have dialled through a relay.
bool HolePuncher::is_ours_to_answer(const Stream& stream) const {
    if (!stream.remote_address().is_relayed()) return false;
    for (const PeerInfo& info : host_.peers())
        if (info.peer == stream.remote_peer() && info.connected == stream.remote_address())
            return !info.is_inbound;
    return false;
}

io::Task<void> HolePuncher::serve(std::unique_ptr<Stream> stream) {
    const PeerId peer = stream->remote_peer();
    if (!is_ours_to_answer(*stream) || active_.count(peer) >= options_.limits.attempts ||
        served_ >= options_.limits.served_max) {
        stream->reset(ResetCode::protocol_violation);
        co_return;
    }
    const PunchLease lease(*this, peer, false);
    const std::shared_ptr<void> counted(this, [](HolePuncher* self) { --self->served_; });
    ++served_;
    auto answering = answer(*stream);
    auto addresses =
        co_await io::with_timeout(clock_, options_.limits.exchange_timeout, std::move(answering));
    if (!addresses) {
        stream->reset(ResetCode::none);
        co_return;
    }
    stream->close();
    const DialOptions how{.from_listening_port = true};
    const bool is_met = co_await dial_all(peer, std::move(*addresses), how);
    static_cast<void>(is_met);  // where it is not, the peer begins again
}

io::Task<Result<std::vector<Multiaddr>>> HolePuncher::answer(Stream& stream) {
    const HolePunchLimits limits = options_.limits;
    KWAAI_CO_TRY(HolePunchMessage theirs, co_await receive(stream, HolePunchType::connect, limits));
    HolePunchMessage ours{.type = HolePunchType::connect, .addresses = own_addresses()};
    KWAAI_CO_CHECKED(co_await send(stream, std::move(ours)));
    KWAAI_CO_TRY(const HolePunchMessage sync,
                 co_await receive(stream, HolePunchType::sync, limits));
    co_return std::move(theirs.addresses);
}

// Whether there is a direct connection then, whoever has made it.
io::Task<bool> HolePuncher::dial_all(PeerId peer,
                                     std::vector<Multiaddr> addresses,
                                     DialOptions how) {
    if (addresses.size() > options_.limits.dials_max)
        addresses.erase(addresses.begin() + static_cast<std::ptrdiff_t>(options_.limits.dials_max),
                        addresses.end());
    io::Task<void> dialling = io::with_group(
        &HolePuncher::dial_until_met, std::ref(*this), peer, std::move(addresses), how);
    const bool is_over =
        co_await io::finishes_within(clock_, options_.limits.dial_timeout, std::move(dialling));
    static_cast<void>(is_over);
    co_return host_.is_connected_directly(peer);
}

io::Task<void> HolePuncher::dial_until_met(io::TaskGroup& group,
                                           HolePuncher& self,
                                           PeerId peer,
                                           std::vector<Multiaddr> addresses,
                                           DialOptions how) {
    group.spawn(&HolePuncher::wait_until_met, std::ref(self), std::ref(group), peer);
    co_await io::with_group(
        &HolePuncher::dial_each, std::ref(self), peer, std::move(addresses), how);
    group.cancel();
}

io::Task<void> HolePuncher::dial_each(io::TaskGroup& group,
                                      HolePuncher& self,
                                      PeerId peer,
                                      std::vector<Multiaddr> addresses,
                                      DialOptions how) {
    for (const Multiaddr& address : addresses)
        group.spawn(&HolePuncher::dial_one, std::ref(self), address.with_peer(peer), how);
    co_return;
}

io::Task<void> HolePuncher::dial_one(Multiaddr address, DialOptions how) {
    const auto dialled = co_await host_.connect_again(std::move(address), how);
    static_cast<void>(dialled);  // a success is seen as a new connection
}

io::Task<void> HolePuncher::wait_until_met(io::TaskGroup& group, PeerId peer) {
    while (!host_.is_connected_directly(peer))
        co_await changed_.wait();
    group.cancel();
}

}  // namespace kwaai::p2p::relay
