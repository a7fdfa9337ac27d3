#include "p2p/bounds/resource_manager.hpp"

#include <array>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/check.hpp"
#include "p2p/protocol/identify_wire.hpp"
#include "p2p/protocol/ping.hpp"

namespace kwaai::p2p {
namespace {

struct Account {
    std::string name;
    ScopeLimits limits;
    ResourceUse use;
};

struct Check {
    std::size_t held;
    std::size_t more;
    std::size_t limit;
    const char* what;
};

Result<> check(const Account& account, const ResourceUse& more) {
    const ResourceUse& use = account.use;
    const ScopeLimits& limits = account.limits;
    const std::array checks{
        Check{use.connections(), more.connections(), limits.connections, "connections"},
        Check{use.connections_inbound,
              more.connections_inbound,
              limits.connections_inbound,
              "inbound connections"},
        Check{use.connections_outbound,
              more.connections_outbound,
              limits.connections_outbound,
              "outbound connections"},
        Check{use.streams_inbound, more.streams_inbound, limits.streams_inbound, "inbound streams"},
        Check{use.streams_outbound,
              more.streams_outbound,
              limits.streams_outbound,
              "outbound streams"},
        Check{use.descriptors, more.descriptors, limits.descriptors, "descriptors"},
        Check{use.memory_bytes, more.memory_bytes, limits.memory_bytes, "bytes of memory"},
    };
    for (const Check& one : checks) {
        if (one.more == 0 || (one.held <= one.limit && one.more <= one.limit - one.held)) continue;
        return fail(Errc::limit_exceeded,
                    account.name + " has " + std::to_string(one.held) + " " + one.what +
                        ", its limit is " + std::to_string(one.limit));
    }
    return {};
}

void add(ResourceUse& to, const ResourceUse& more) {
    to.connections_inbound += more.connections_inbound;
    to.connections_outbound += more.connections_outbound;
    to.streams_inbound += more.streams_inbound;
    to.streams_outbound += more.streams_outbound;
    to.descriptors += more.descriptors;
    to.memory_bytes += more.memory_bytes;
}

void subtract(std::size_t& from, std::size_t less) {
    KWAAI_CHECK(from >= less, "a scope gives back more than it holds");
    from -= less;
}

void subtract(ResourceUse& from, const ResourceUse& less) {
    subtract(from.connections_inbound, less.connections_inbound);
    subtract(from.connections_outbound, less.connections_outbound);
    subtract(from.streams_inbound, less.streams_inbound);
    subtract(from.streams_outbound, less.streams_outbound);
    subtract(from.descriptors, less.descriptors);
    subtract(from.memory_bytes, less.memory_bytes);
}

Result<> add_to_all(std::span<Account* const> accounts, const ResourceUse& more) {
    for (const Account* const account : accounts)
        KWAAI_CHECKED(check(*account, more));
    for (Account* const account : accounts)
        add(account->use, more);
    return {};
}

// A scope that exists while something is in it.
void take_from(std::unordered_map<PeerId, Account>& accounts,
               const PeerId& peer,
               const ResourceUse& less) {
    const auto found = accounts.find(peer);
    KWAAI_CHECK(found != accounts.end(), "a scope ends before what is in it");
    subtract(found->second.use, less);
    if (found->second.use == ResourceUse()) accounts.erase(found);
}

template <class Map>
std::size_t count_in(const Map& counts, const typename Map::key_type& key) {
    const auto found = counts.find(key);
    return found == counts.end() ? 0 : found->second;
}

template <class Map>
void count_down(Map& counts, const typename Map::key_type& key) {
    const auto found = counts.find(key);
    KWAAI_CHECK(found != counts.end(), "a protocol ends before its streams");
    if (--found->second == 0) counts.erase(found);
}

std::size_t protocol_max(const Limits& limits, std::string_view protocol) {
    if (protocol == kPingProtocol) return limits.pings_max;
    if (protocol == kIdentifyProtocol || protocol == kIdentifyPushProtocol)
        return limits.identifies_max;
    return limits.streams_per_protocol_max;
}

std::size_t protocol_and_peer_max(const Limits& limits, std::string_view protocol) {
    if (protocol == kPingProtocol) return limits.pings_per_peer_max;
    if (protocol == kIdentifyProtocol || protocol == kIdentifyPushProtocol)
        return limits.identifies_per_peer_max;
    return limits.streams_per_protocol_and_peer_max;
}

}  // namespace

struct ResourceLedger {
    using ProtocolOfPeer = std::pair<std::string, PeerId>;

    explicit ResourceLedger(const Limits& some_limits)
        : limits(some_limits),
          system{.name = "this node",
                 .limits = {.connections = limits.connections_max,
                            .connections_inbound = limits.connections_inbound_max,
                            .streams_inbound = limits.streams_max,
                            .streams_outbound = limits.streams_outbound_max,
                            .descriptors = limits.descriptors_max,
                            .memory_bytes = limits.memory_max},
                 .use = {}},
          pending{.name = "the handshake of this node",
                  .limits = {.connections_inbound = limits.pending_inbound_max,
                             .connections_outbound = limits.dials_max,
                             .memory_bytes = limits.memory_pending_max},
                  .use = {}} {}

    // A connection counts towards the system's limit of connections while its handshake lasts, too.
    Account& account_of(const std::optional<PeerId>& peer) {
        if (!peer) return pending;
        const auto found = peers.find(*peer);
        if (found != peers.end()) return found->second;
        Account account{.name = "peer " + peer->to_text(),
                        .limits = {.connections = limits.connections_per_peer_max,
                                   .streams_inbound = limits.streams_per_peer_max,
                                   .streams_outbound = limits.streams_outbound_per_peer_max,
                                   .memory_bytes = limits.memory_per_peer_max},
                        .use = {}};
        return peers.emplace(*peer, std::move(account)).first->second;
    }

    void take_from_peer(const std::optional<PeerId>& peer, const ResourceUse& less) {
        if (peer)
            take_from(peers, *peer, less);
        else
            subtract(pending.use, less);
    }

    // An account that was made to ask and got nothing.
    void drop_if_empty(const PeerId& peer) {
        const auto found = peers.find(peer);
        if (found != peers.end() && found->second.use == ResourceUse()) peers.erase(found);
    }

    Limits limits;
    Account system;
    Account pending;
    std::unordered_map<PeerId, Account> peers;
    std::map<std::string, std::size_t> protocols;              // inbound streams
    std::map<ProtocolOfPeer, std::size_t> protocols_of_peers;  // inbound streams
    std::size_t pending_streams = 0;                           // inbound, that agree
};

ConnectionScope::ConnectionScope(std::shared_ptr<ResourceLedger> ledger, const ResourceUse& place)
    : ledger_(std::move(ledger)), place_(place), use_(place) {}

ConnectionScope::~ConnectionScope() {
    if (use_ == ResourceUse()) return;
    subtract(ledger_->system.use, use_);
    ledger_->take_from_peer(peer_, use_);
}

void ConnectionScope::end() {
    const ResourceUse place = std::exchange(place_, {});
    if (place == ResourceUse()) return;
    subtract(use_, place);
    subtract(ledger_->system.use, place);
    ledger_->take_from_peer(peer_, place);
}

Result<> ConnectionScope::set_peer(const PeerId& peer) {
    KWAAI_CHECK(!peer_, "a connection is given to two peers");
    Account& account = ledger_->account_of(peer);
    const Result<> checked = check(account, use_);
    if (!checked) {
        ledger_->drop_if_empty(peer);
        return checked;
    }
    add(account.use, use_);
    subtract(ledger_->pending.use, use_);
    peer_ = peer;
    return {};
}

bool ConnectionScope::reserve(std::size_t bytes) {
    const Limits& limits = ledger_->limits;
    const bool is_modest = buffered_bytes_ + bytes <= limits.memory_always;
    if (!is_modest && ledger_->system.use.memory_bytes + bytes > limits.memory_max / 2)
        return false;
    if (use_.memory_bytes + bytes > limits.memory_per_connection_max) return false;
    const ResourceUse more{.memory_bytes = bytes};
    const std::array accounts{&ledger_->account_of(peer_), &ledger_->system};
    if (!add_to_all(accounts, more)) {
        if (peer_) ledger_->drop_if_empty(*peer_);
        return false;
    }
    add(use_, more);
    buffered_bytes_ += bytes;
    return true;
}

void ConnectionScope::release(std::size_t bytes) {
    const ResourceUse less{.memory_bytes = bytes};
    subtract(buffered_bytes_, bytes);
    subtract(use_, less);
    subtract(ledger_->system.use, less);
    ledger_->take_from_peer(peer_, less);
}

bool ConnectionScope::has_room_to_grow() const {
    return ledger_->system.use.memory_bytes <= ledger_->limits.memory_max / 2;
}

Result<std::shared_ptr<StreamScope>> ConnectionScope::open_stream(Direction direction) {
    const bool is_inbound = direction == Direction::inbound;
    const ResourceUse place{.streams_inbound = is_inbound ? 1U : 0U,
                            .streams_outbound = is_inbound ? 0U : 1U,
                            .memory_bytes = ledger_->limits.stream_bytes};
    KWAAI_CHECK(peer_, "a stream of a connection whose handshake is under way");
    const std::array accounts{&ledger_->account_of(peer_), &ledger_->system};
    const Result<> added = add_to_all(accounts, place);
    if (!added) {
        ledger_->drop_if_empty(*peer_);
        return std::unexpected<Error>(added.error());
    }
    add(use_, place);
    return std::make_shared<StreamScope>(shared_from_this(), place);
}

StreamScope::StreamScope(std::shared_ptr<ConnectionScope> connection, const ResourceUse& place)
    : connection_(std::move(connection)), place_(place) {}

StreamScope::~StreamScope() {
    ResourceLedger& ledger = *connection_->ledger_;
    const std::optional<PeerId>& peer = connection_->peer_;
    if (protocol_) {
        count_down(ledger.protocols, *protocol_);
        count_down(ledger.protocols_of_peers, {*protocol_, *peer});
    }
    end_agreeing();
    subtract(connection_->use_, place_);
    subtract(ledger.system.use, place_);
    ledger.take_from_peer(peer, place_);
}

bool StreamScope::may_agree() const {
    const std::size_t most = connection_->ledger_->limits.streams_pending_per_connection_max;
    return connection_->pending_streams_ < most;
}

Result<> StreamScope::begin_agreeing() {
    KWAAI_CHECK(!is_agreeing_ && !protocol_ && may_agree(), "a stream agrees out of its turn");
    ResourceLedger& ledger = *connection_->ledger_;
    if (ledger.pending_streams >= ledger.limits.streams_pending_max)
        return fail(Errc::limit_exceeded,
                    "this node agrees on the protocols of " +
                        std::to_string(ledger.pending_streams) + " streams, its limit");
    ++ledger.pending_streams;
    ++connection_->pending_streams_;
    is_agreeing_ = true;
    return {};
}

void StreamScope::end_agreeing() {
    if (!std::exchange(is_agreeing_, false)) return;
    --connection_->ledger_->pending_streams;
    --connection_->pending_streams_;
}

Result<> StreamScope::set_protocol(std::string_view protocol) {
    KWAAI_CHECK(!protocol_, "a stream is given two protocols");
    if (place_.streams_inbound == 0) return {};
    ResourceLedger& ledger = *connection_->ledger_;
    const std::string name(protocol);
    const ResourceLedger::ProtocolOfPeer key{name, *connection_->peer_};
    if (count_in(ledger.protocols, name) >= protocol_max(ledger.limits, protocol))
        return fail(Errc::limit_exceeded, "protocol " + name + " has all the streams it may have");
    if (count_in(ledger.protocols_of_peers, key) >= protocol_and_peer_max(ledger.limits, protocol))
        return fail(Errc::limit_exceeded,
                    "protocol " + name + " has all the streams it may have with this peer");
    ++ledger.protocols[name];
    ++ledger.protocols_of_peers[key];
    end_agreeing();
    protocol_ = name;
    return {};
}

ResourceManager::ResourceManager(const Limits& limits)
    : ledger_(std::make_shared<ResourceLedger>(limits)) {}

Result<std::shared_ptr<ConnectionScope>> ResourceManager::open_connection(Direction direction,
                                                                          bool has_descriptor) {
    const bool is_inbound = direction == Direction::inbound;
    const ResourceUse place{.connections_inbound = is_inbound ? 1U : 0U,
                            .connections_outbound = is_inbound ? 0U : 1U,
                            .descriptors = has_descriptor ? 1U : 0U,
                            .memory_bytes = ledger_->limits.connection_bytes};
    const std::array accounts{&ledger_->pending, &ledger_->system};
    KWAAI_CHECKED(add_to_all(accounts, place));
    return std::make_shared<ConnectionScope>(ledger_, place);
}

Result<> ResourceManager::check_dial() const {
    return check(ledger_->system, {.connections_outbound = 1, .descriptors = 1});
}

const ResourceUse& ResourceManager::total() const {
    return ledger_->system.use;
}

const ResourceUse& ResourceManager::pending() const {
    return ledger_->pending.use;
}

ResourceUse ResourceManager::of_peer(const PeerId& peer) const {
    const auto found = ledger_->peers.find(peer);
    return found == ledger_->peers.end() ? ResourceUse() : found->second.use;
}

std::size_t ResourceManager::streams_of(std::string_view protocol) const {
    return count_in(ledger_->protocols, std::string(protocol));
}

}  // namespace kwaai::p2p
