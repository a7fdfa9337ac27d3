// A router in memory that forwards ports, keeps to its leases and may refuse.
#include "p2p/nat/port_mapper.hpp"

#include <map>

#include <doctest/doctest.h>

#include "p2p/nat/nat_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

class FakeGateway final : public Gateway {
public:
    explicit FakeGateway(io::Clock& clock) : clock_(clock) {}

    Result<PortMapping> map(std::uint16_t port, std::chrono::seconds lifetime) override {
        ++asked;
        if (!is_there) return fail(Errc::unavailable, "nobody answers");
        const std::chrono::seconds granted = std::min(lifetime, lifetime_max);
        leases[port] = clock_.now() + granted;
        return PortMapping{
            .ip = ip, .port = static_cast<std::uint16_t>(port + 1), .lifetime = granted};
    }

    void unmap(std::uint16_t port, const PortMapping& mapping) override {
        CHECK(mapping.port == port + 1);
        leases.erase(port);
    }

    [[nodiscard]] bool forwards(std::uint16_t port) const {
        const auto lease = leases.find(port);
        return lease != leases.end() && lease->second > clock_.now();
    }

    std::string ip = "203.0.113.200";
    std::chrono::seconds lifetime_max{3600};
    bool is_there = true;
    int asked = 0;
    std::map<std::uint16_t, io::TimePoint> leases;

private:
    io::Clock& clock_;
};

struct Mapped {
    explicit Mapped(NatWorld& world)
        : addresses(world.host(0), world.clock(), {}),
          first(std::make_shared<FakeGateway>(world.clock())),
          second(std::make_shared<FakeGateway>(world.clock())),
          mapper(world.host(0), world.clock(), addresses, work, {first, second}, {}) {}

    io::InlineWork work;
    AddressManager addresses;
    std::shared_ptr<FakeGateway> first;
    std::shared_ptr<FakeGateway> second;
    PortMapper mapper;
};

TEST_CASE("the ports of a node are mapped, told, renewed, and removed at the end") {
    run_nat_world(1, [](NatWorld& world) -> io::Task<void> {
        Mapped node(world);
        world.group().spawn(&PortMapper::run, std::ref(node.mapper));
        co_await world.clock().sleep_for(1s);
        const auto outer = world.parse({"/ip4/203.0.113.200/tcp/4002"});
        CHECK(node.addresses.external() == outer);
        for (int i = 0; i < 100; ++i) {
            CHECK(node.first->forwards(4001));
            co_await world.clock().sleep_for(10min);
        }
        CHECK(node.first->asked < 40);
        CHECK(node.second->asked == 0);
        co_await world.stop_group();
        CHECK(node.first->leases.empty());
        CHECK(node.addresses.external().empty());
    });
}

TEST_CASE("short leases are renewed in time, but no more often than every minute") {
    run_nat_world(1, [](NatWorld& world) -> io::Task<void> {
        Mapped node(world);
        node.first->lifetime_max = 130s;
        world.group().spawn(&PortMapper::run, std::ref(node.mapper));
        for (int i = 0; i < 60; ++i) {
            co_await world.clock().sleep_for(10s);
            CHECK(node.first->forwards(4001));
        }
        node.first->lifetime_max = 1s;
        node.first->asked = 0;
        co_await world.clock().sleep_for(1h);
        CHECK(node.first->asked <= 61);
        co_await world.stop_group();
    });
}

TEST_CASE("where one router does not answer the other is asked, and both again later") {
    run_nat_world(1, [](NatWorld& world) -> io::Task<void> {
        Mapped node(world);
        node.first->is_there = false;
        world.group().spawn(&PortMapper::run, std::ref(node.mapper));
        co_await world.clock().sleep_for(1s);
        CHECK(node.second->forwards(4001));
        node.first->is_there = true;
        co_await world.clock().sleep_for(2h);
        CHECK(node.second->forwards(4001));
        CHECK_FALSE(node.first->forwards(4001));  // not mapped twice
        node.first->is_there = false;
        node.second->is_there = false;
        co_await world.clock().sleep_for(2h);
        CHECK(node.addresses.external().empty());
        node.first->is_there = true;
        co_await world.clock().sleep_for(5min);
        CHECK(node.first->forwards(4001));
        co_await world.stop_group();
    });
}

TEST_CASE("an outer address behind another NAT is mapped but not told") {
    run_nat_world(1, [](NatWorld& world) -> io::Task<void> {
        Mapped node(world);
        node.first->ip = "100.64.3.4";
        world.group().spawn(&PortMapper::run, std::ref(node.mapper));
        co_await world.clock().sleep_for(1s);
        CHECK(node.first->forwards(4001));
        CHECK(node.addresses.external().empty());
        co_await world.stop_group();
    });
}

}  // namespace
}  // namespace kwaai::p2p
