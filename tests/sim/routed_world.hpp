// Relays that everybody reaches, a server of blocks behind a router, and a client behind another
// one, on a simulated network. All are nodes of one DHT.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "p2p/discovery/discovery.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/relay/nat_traversal.hpp"
#include "sim/swarm_world.hpp"

namespace kwaai::sim {

inline constexpr const char* kServerName = "inference:tiny";

/// What a host is beside: its addresses, the DHT, what it offers, and its way through routers.
struct Member {
    using Traversal = p2p::relay::NatTraversalOptions;

    Member(p2p::Host& the_host, io::Clock& clock, p2p::kad::Mode mode, Traversal traversal_options)
        : host(the_host),
          addresses(host,
                    clock,
                    {.interfaces =
                         [](io::IpFamily) {
                             return std::vector<std::string>();
                         }}),
          dht(host,
              clock,
              {.mode = mode,
               .own_addresses =
                   [this] {
                       return addresses.told();
                   }}),
          discovery(host, clock, dht, {.unix_seconds = today}),
          traversal(host, clock, &addresses, completed(std::move(traversal_options))) {}

    static std::uint64_t today() { return 1'790'000'000; }

    Traversal completed(Traversal options) {
        options.unix_seconds = today;
        options.find_relays = [this] {
            return find_relays();
        };
        options.on_places = [this](const std::vector<p2p::Multiaddr>&) {
            discovery.addresses_changed();
        };
        return options;
    }

    io::Task<void> find_relays() {
        const auto found = co_await discovery.find(p2p::relay::kRelayCapability, 4);
        static_cast<void>(found);  // they are connected now
    }

    void offer(const std::string& name) {
        p2p::Capability capability;
        capability.names = {name};
        REQUIRE(discovery.offer(std::move(capability)).has_value());
    }

    void run(io::TaskGroup& group) {
        group.spawn(&p2p::Host::run, std::ref(host));
        group.spawn(&p2p::AddressManager::run, std::ref(addresses));
        group.spawn(&p2p::kad::Dht::run, std::ref(dht));
        group.spawn(&p2p::Discovery::run, std::ref(discovery));
        group.spawn(&p2p::relay::NatTraversal::run, std::ref(traversal));
    }

    p2p::Host& host;
    p2p::AddressManager addresses;
    p2p::kad::Dht dht;
    p2p::Discovery discovery;
    p2p::relay::NatTraversal traversal;
};

class RoutedWorld {
public:
    static constexpr const char* kServerIp = "10.0.0.1";
    static constexpr const char* kClientIp = "10.0.1.1";

    RoutedWorld(SharedModel& model, testing::SimNatKind routers, std::size_t relay_count)
        : network_(simulation_.clock(), {.seed = 5}),
          server_(simulation_,
                  network_.host(kServerIp),
                  kServerIp,
                  900,
                  model.blocks({0, model.ends->config().block_count})),
          server_member(server_.host(),
                        simulation_.clock(),
                        p2p::kad::Mode::client,
                        {.places = p2p::relay::Use::automatic}),
          client_(network_.host(kClientIp),
                  simulation_.clock(),
                  {.identity = key_of(901), .random = random_of(901)}),
          client_member(client_,
                        simulation_.clock(),
                        p2p::kad::Mode::client,
                        {.listens = {p2p::Multiaddr::parse("/ip4/0.0.0.0/tcp/0").value()}}) {
        network_.put_behind_nat(kServerIp, "203.0.113.1", routers);
        network_.put_behind_nat(kClientIp, "203.0.113.2", routers);
        for (std::size_t i = 0; i < relay_count; ++i)
            add_relay(i);
        swarm_ = std::make_unique<petals::Swarm>(
            client_, simulation_.clock(), swarm_options(model), [this](const std::string& note) {
                notes.push_back(note);
            });
        petals::SwarmModelOptions options;
        options.on_session_event = [this](const petals::SessionEvent& event) {
            events.push_back(event);
        };
        model_ = std::make_unique<petals::SwarmModel>(simulation_.loop(),
                                                      simulation_.clock(),
                                                      client_,
                                                      work_,
                                                      *swarm_,
                                                      *model.ends,
                                                      std::move(options));
    }

    static std::string relay_ip(std::size_t index) {
        return "198.51.100." + std::to_string(index + 1);
    }

    [[nodiscard]] testing::SimNetwork& network() { return network_; }

    [[nodiscard]] io::Clock& clock() { return simulation_.clock(); }

    [[nodiscard]] bool is_direct() const {
        return client_.is_connected_directly(server_member.host.id());
    }

    /// The relay that the client reaches the server over; none where it does without.
    [[nodiscard]] std::optional<std::size_t> relay_in_use() const {
        for (const p2p::PeerInfo& info : client_.peers()) {
            if (info.peer != server_member.host.id() || !info.connected) continue;
            const auto place = info.connected->relay();
            for (std::size_t i = 0; place && i < relays_.size(); ++i)
                if (place->peer() == relays_[i].host->id()) return i;
        }
        return std::nullopt;
    }

    [[nodiscard]] petals::SwarmModel& model() { return *model_; }

    /// Once the server holds `places`, has the client find it and write `request`, and gives the
    /// tokens. `on_token(count)` may be empty.
    SwarmOutcome write(std::size_t places,
                       engine::Request request,
                       std::function<void(std::size_t)> on_token) {
        SwarmOutcome outcome;
        simulation_.run(io::with_group(&RoutedWorld::write_body,
                                       std::ref(*this),
                                       places,
                                       std::move(request),
                                       std::move(on_token),
                                       std::ref(outcome)));
        return outcome;
    }

    std::vector<std::string> notes;
    std::vector<petals::SessionEvent> events;
    std::vector<p2p::Multiaddr> told;  // by the server's record, when the text began

private:
    struct Relay {
        std::unique_ptr<p2p::Host> host;
        std::unique_ptr<Member> member;
    };

    void add_relay(std::size_t index) {
        Relay relay;
        relay.host = std::make_unique<p2p::Host>(
            network_.host(relay_ip(index)),
            simulation_.clock(),
            p2p::HostOptions{.identity = key_of(910 + index), .random = random_of(910 + index)});
        const auto listening = relay.host->listen(
            p2p::Multiaddr::parse("/ip4/" + relay_ip(index) + "/tcp/4001").value());
        REQUIRE(listening.has_value());
        relay.member =
            std::make_unique<Member>(*relay.host,
                                     simulation_.clock(),
                                     p2p::kad::Mode::server,
                                     Member::Traversal{.service = p2p::relay::Use::always});
        relay.member->offer(p2p::relay::kRelayCapability);
        relays_.push_back(std::move(relay));
    }

    petals::SwarmOptions swarm_options(const SharedModel& model) {
        petals::SwarmOptions swarm;
        swarm.block_count = model.ends->config().block_count;
        swarm.digest = petals::ModelDigest{};
        swarm.arithmetic_id = kernels::kArithmeticId;
        swarm.find = [this] {
            return find_servers();
        };
        return swarm;
    }

    io::Task<std::vector<petals::PeerAddress>> find_servers() {
        const auto found = co_await client_member.discovery.find(kServerName, 8);
        std::vector<petals::PeerAddress> servers;
        for (const p2p::FoundPeer& peer : found) {
            servers.push_back({.address = peer.address, .blocks = {}});
            told = peer.record.capability.addresses;
        }
        co_return servers;
    }

    io::Task<void> join(Member& member) {
        std::vector<p2p::Multiaddr> known{relays_.front().host->addresses().front()};
        const auto joined = co_await member.dht.bootstrap(std::move(known));
        if (!joined) FAIL(joined.error().context);
    }

    static io::Task<void> write_body(io::TaskGroup& group,
                                     RoutedWorld& world,
                                     std::size_t places,
                                     engine::Request request,
                                     std::function<void(std::size_t)> on_token,
                                     SwarmOutcome& outcome) {
        for (const Relay& relay : world.relays_)
            relay.member->run(group);
        for (std::size_t i = 1; i < world.relays_.size(); ++i)
            co_await world.join(*world.relays_[i].member);
        world.server_member.run(group);
        co_await world.join(world.server_member);
        world.server_member.offer(kServerName);
        world.server_member.addresses.set_node_verdict(p2p::Reachability::unreachable);
        while (world.server_member.traversal.places().size() < places)
            co_await world.clock().sleep_for(std::chrono::seconds(1));
        co_await world.clock().sleep_for(std::chrono::seconds(5));  // for its record
        world.client_member.run(group);
        co_await world.join(world.client_member);
        const Result<> found = co_await world.swarm_->connect();
        if (!found) FAIL(found.error().context);
        group.spawn(&petals::Swarm::run, std::ref(*world.swarm_));
        group.spawn(&petals::SwarmModel::run, std::ref(*world.model_));
        outcome = co_await write_through(*world.model_, std::move(request), std::move(on_token));
        group.cancel();
    }

    testing::Simulation simulation_;
    testing::SimNetwork network_;
    std::vector<Relay> relays_;
    SimServer server_;
    Member server_member;
    p2p::Host client_;
    Member client_member;
    io::InlineWork work_;
    std::unique_ptr<petals::Swarm> swarm_;
    std::unique_ptr<petals::SwarmModel> model_;
};

}  // namespace kwaai::sim
