#include "node/p2p_node.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "io/event.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "node/membership.hpp"
#include "node/swarm_names.hpp"
#include "p2p/dnsaddr.hpp"
#include "p2p/kad/validator.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/nat/autonat.hpp"
#include "p2p/protocol/perf.hpp"

namespace kwaai::node {
namespace {

constexpr io::Duration kMeetAgain = std::chrono::seconds(2);
constexpr std::size_t kNameBytesMax = 64;
constexpr std::uint64_t kValueLifetimeSeconds = 48 * 3600;

std::uint64_t milliseconds_since_1970() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(now).count());
}

Result<> check_name(const std::string& name) {
    if (!name.empty() && name.size() <= kNameBytesMax) return {};
    return fail(Errc::invalid_argument,
                "a key of " + std::to_string(name.size()) + " bytes; 1 to " +
                    std::to_string(kNameBytesMax) + " are taken");
}

Result<p2p::PeerId> parse_peer_id(const std::string& text) {
    auto peer = p2p::PeerId::parse(text);
    if (peer) return peer;
    return fail(Errc::invalid_argument,
                "\"" + text + "\" is neither an address with /p2p/ID nor a peer's id");
}

// Work beside the wait for a signal.
struct Staying {
    explicit Staying(io::Loop& loop) : signals(loop) {}

    void end() {
        is_over = true;
        ended.notify_all();
    }

    io::Signals signals;
    Result<> result = fail(Errc::cancelled, "interrupted");  // until the work has ended
    bool is_over = false;
    io::Event ended;
};

io::Task<void> watch_signals(Staying& staying) {
    const int number = co_await staying.signals.next();
    static_cast<void>(number);
    staying.end();
}

io::Task<void> do_work(Staying& staying, P2pNode& node, P2pNode::Work work) {
    auto working = work(node);
    staying.result = co_await std::move(working);
    if (!staying.result) staying.end();
}

io::Task<void> stay_beside(io::TaskGroup& group,
                           Staying& staying,
                           P2pNode& node,
                           P2pNode::Work work) {
    group.spawn(watch_signals, std::ref(staying));
    group.spawn(do_work, std::ref(staying), std::ref(node), std::move(work));
    while (!staying.is_over)
        co_await staying.ended.wait();
    group.cancel();
}

io::Task<Result<>> stay(P2pNode& node, P2pNode::Work work) {
    Staying staying(node.loop());
    co_await io::with_group(stay_beside, std::ref(staying), std::ref(node), std::move(work));
    co_return staying.result;
}

}  // namespace

Result<p2p::Multiaddr> parse_listen_address(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size())
        return p2p::Multiaddr::parse("/ip4/0.0.0.0/tcp/" + std::to_string(port));
    auto address = p2p::Multiaddr::parse(text);
    if (address) return address;
    return fail(Errc::invalid_argument,
                "cannot listen on \"" + std::string(text) + "\": " + address.error().context +
                    "; write a port, or for example /ip4/127.0.0.1/tcp/4001");
}

Result<p2p::Multiaddr> parse_peer_multiaddr(std::string_view text) {
    auto address = p2p::Multiaddr::parse(text);
    if (!address) return fail(Errc::invalid_argument, address.error().context);
    if (address->peer() || p2p::is_dnsaddr(*address)) return address;
    return fail(Errc::invalid_argument,
                std::string(text) + ": the address must end with /p2p/ID, the node's identity");
}

// In the order in which each needs those before it.
struct P2pNode::Parts {
    Parts(io::Loop& the_loop,
          Identity the_identity,
          const Identity& dialler_identity,
          P2pNodeOptions the_options)
        : loop(the_loop),
          identity(std::move(the_identity)),
          options(std::move(the_options)),
          network(loop),
          host(network,
               loop.clock(),
               {.identity = identity.key(),
                .agent = options.agent,
                .limits = options.limits,
                .record_sequence = seconds_since_1970(),
                .random = {},
                .web_server = options.web.server,
                .web_client = options.web.client}),
          addresses(host, loop.clock(), {.is_relayed_only = options.relaying.is_relayed_only}),
          dht(host, loop.clock(), dht_options()),
          discovery(host, loop.clock(), dht, discovery_options()),
          traversal(host, loop.clock(), &addresses, traversal_options()) {
        if (traversal.service() != nullptr)
            autonat.emplace(network,
                            loop.clock(),
                            host,
                            addresses,
                            autonat_options(dialler_identity, options.agent));
        if (!options.listen.empty() && !identity.network_path().empty())
            membership.emplace(loop, host, dht, MembershipOptions{.file = identity.network_path()});
        if (options.serves_perf) perf.emplace(host, loop.clock(), p2p::PerfLimits());
    }

    p2p::kad::DhtOptions dht_options();
    p2p::DiscoveryOptions discovery_options();
    p2p::relay::NatTraversalOptions traversal_options();
    static io::Task<void> attend(io::TaskGroup& group, P2pNode& node, Work work, Result<>& ended);
    io::Task<void> run_host(io::TaskGroup& group);
    io::Task<void> stay_joined();
    io::Task<Result<p2p::PeerId>> look_up(P2pNode& node, p2p::PeerId peer);

    void note(const std::string& text) const {
        if (options.on_note) options.on_note(text);
    }

    io::Loop& loop;
    Identity identity;
    P2pNodeOptions options;
    io::TcpNetwork network;
    p2p::Host host;
    p2p::AddressManager addresses;
    p2p::kad::Dht dht;
    std::optional<Membership> membership;  // of a node that comes back to its network
    p2p::Discovery discovery;
    p2p::relay::NatTraversal traversal;
    std::optional<p2p::Autonat> autonat;
    std::optional<p2p::PerfServer> perf;
    bool has_joined = false;
};

p2p::kad::DhtOptions P2pNode::Parts::dht_options() {
    p2p::kad::DhtOptions chosen;
    chosen.protocol = options.kad_protocol;
    chosen.mode = options.listen.empty() ? p2p::kad::Mode::client : p2p::kad::Mode::server;
    chosen.seed = seconds_since_1970();
    chosen.validators = p2p::kad::standard_validators(seconds_since_1970);
    chosen.own_addresses = [this] {
        return addresses.told();
    };
    return chosen;
}

p2p::DiscoveryOptions P2pNode::Parts::discovery_options() {
    p2p::DiscoveryOptions chosen{.unix_seconds = seconds_since_1970};
    chosen.on_provided = [this](const std::string& name, std::size_t told) {
        note(std::to_string(told) + (told == 1 ? " node knows" : " nodes know") +
             " that this one provides " + name + ".");
    };
    return chosen;
}

p2p::relay::NatTraversalOptions P2pNode::Parts::traversal_options() {
    auto chosen = member_traversal(options.relaying, false, host, discovery);
    chosen.on_failure = [this](const Error& error) {
        note("A relay does not work; it is tried again: " + error.context);
    };
    return chosen;
}

// The host ends last: what is still to be said to peers goes over it.
io::Task<void> P2pNode::Parts::run_host(io::TaskGroup& group) {
    co_await host.run();
    group.cancel();
}

io::Task<void> P2pNode::Parts::stay_joined() {
    while (!options.bootstrap.empty()) {
        co_await loop.clock().sleep_for(kMeetAgain);
        if (!has_joined || dht.peer_count() > 0) continue;
        const auto joined = co_await dht.bootstrap(options.bootstrap);
        if (joined) note(joined_sentence(*joined));
    }
}

io::Task<void> P2pNode::Parts::attend(io::TaskGroup& group,
                                      P2pNode& node,
                                      Work work,
                                      Result<>& ended) {
    Parts& parts = *node.parts_;
    group.spawn(&Parts::run_host, std::ref(parts), std::ref(group));
    group.spawn(&p2p::AddressManager::run, std::ref(parts.addresses));
    group.spawn(&p2p::kad::Dht::run, std::ref(parts.dht));
    if (parts.membership)
        group.spawn(&Membership::run, std::ref(*parts.membership), parts.options.on_note);
    group.spawn(&p2p::Discovery::run, std::ref(parts.discovery));
    group.spawn(&p2p::relay::NatTraversal::run, std::ref(parts.traversal));
    if (parts.autonat) group.spawn(&p2p::Autonat::run, std::ref(*parts.autonat));
    group.spawn(follow_addresses,
                std::ref(parts.addresses),
                std::ref(parts.discovery),
                std::ref(parts.dht),
                parts.dht.mode(),
                std::ref(parts.loop.clock()));
    group.spawn(&Parts::stay_joined, std::ref(parts));
    auto working = work(node);
    ended = co_await std::move(working);
    parts.host.close();
}

Result<std::unique_ptr<P2pNode>> P2pNode::make(io::Loop& loop,
                                               Identity identity,
                                               P2pNodeOptions options) {
    KWAAI_TRY(const Identity dialler, Identity::ephemeral());
    auto parts = std::make_unique<Parts>(loop, std::move(identity), dialler, std::move(options));
    for (const p2p::Multiaddr& address : parts->options.listen)
        KWAAI_CHECKED(parts->host.listen(address));
    if (parts->membership) {
        KWAAI_CHECKED(parts->membership->open());
    }
    return std::unique_ptr<P2pNode>(new P2pNode(std::move(parts)));
}

P2pNode::P2pNode(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

P2pNode::~P2pNode() = default;

io::Task<Result<>> P2pNode::run(Work work) {
    Result<> ended;
    co_await io::with_group(&Parts::attend, std::ref(*this), std::move(work), std::ref(ended));
    co_return ended;
}

io::Task<Result<>> P2pNode::run_until_signal(Work work) {
    Work staying = [work = std::move(work)](P2pNode& node) {
        return stay(node, work);
    };
    Result<> ended = co_await run(std::move(staying));
    co_return ended;
}

io::Task<Result<std::size_t>> P2pNode::join() {
    Parts& parts = *parts_;
    if (parts.options.bootstrap.empty()) co_return std::size_t{0};
    auto known = co_await parts.dht.bootstrap(parts.options.bootstrap);
    parts.has_joined = known.has_value();
    if (known) parts.note(joined_sentence(*known));
    co_return known;
}

io::Task<Result<p2p::PeerId>> P2pNode::Parts::look_up(P2pNode& node, p2p::PeerId peer) {
    if (dht.peer_count() == 0) {
        KWAAI_CO_TRY(const std::size_t known, co_await node.join());
        if (known == 0)
            co_return fail(
                Errc::invalid_argument,
                "to look up " + peer.to_text() + ", a node of its network must be named");
    }
    KWAAI_CO_TRY(const p2p::kad::PeerAddresses found, co_await dht.find_peer(peer));
    KWAAI_CO_TRY(const p2p::PeerInfo info, co_await host.identify(found.peer));
    co_return info.peer;
}

io::Task<Result<p2p::PeerId>> P2pNode::reach(std::string target) {
    if (!target.starts_with('/')) {
        KWAAI_CO_TRY(p2p::PeerId peer, parse_peer_id(target));
        auto found = co_await parts_->look_up(*this, std::move(peer));
        co_return found;
    }
    KWAAI_CO_TRY(p2p::Multiaddr address, parse_peer_multiaddr(target));
    auto connected = co_await parts_->host.connect(std::move(address));
    co_return connected;
}

io::Task<Result<std::size_t>> P2pNode::put(std::string name, std::string value) {
    Parts& parts = *parts_;
    KWAAI_CO_CHECKED(check_name(name));
    // Whoever writes has seen what is there: its clock may be behind that of the last writer.
    std::uint64_t sequence = milliseconds_since_1970();
    const auto last = co_await get(name);
    if (last) sequence = std::max(sequence, last->written + 1);
    codec::Buffer record =
        p2p::kad::seal_shared_record(parts.identity.key(),
                                     name,
                                     sequence,
                                     seconds_since_1970() + kValueLifetimeSeconds,
                                     as_bytes(value));
    codec::Buffer key = p2p::kad::shared_record_key(name);
    auto taken = co_await parts.dht.put(std::move(key), std::move(record));
    if (!taken && taken.error().code == Errc::unavailable && parts.dht.peer_count() == 0)
        co_return std::size_t{0};
    co_return taken;
}

io::Task<Result<SharedValue>> P2pNode::get(std::string name) {
    KWAAI_CO_CHECKED(check_name(name));
    const codec::Buffer key = p2p::kad::shared_record_key(name);
    KWAAI_CO_TRY(const codec::Buffer bytes, co_await parts_->dht.get(key));
    KWAAI_CO_TRY(const p2p::kad::SignedRecord record, p2p::kad::open_shared_record(key, bytes));
    co_return SharedValue{.publisher = record.peer,
                          .written = record.sequence,
                          .expires = record.expires,
                          .value = std::string(as_text(record.value))};
}

std::vector<p2p::Multiaddr> P2pNode::addresses() const {
    std::vector<p2p::Multiaddr> all;
    for (const p2p::Multiaddr& address : parts_->addresses.told())
        all.push_back(address.with_peer(parts_->host.id()));
    return all;
}

const P2pNodeOptions& P2pNode::options() const {
    return parts_->options;
}

io::Loop& P2pNode::loop() {
    return parts_->loop;
}

p2p::Host& P2pNode::host() {
    return parts_->host;
}

p2p::kad::Dht& P2pNode::dht() {
    return parts_->dht;
}

p2p::Discovery& P2pNode::discovery() {
    return parts_->discovery;
}

}  // namespace kwaai::node
