// Addresses as a whole host takes, keeps and gives them up.
#include <algorithm>

#include <doctest/doctest.h>

#include "p2p/bounds/public_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr const char* kMember = "/member/1.0.0";

bool is_stranger(const PeerInfo& info) {
    return std::ranges::find(info.protocols, kMember) == info.protocols.end();
}

TEST_CASE("connections to strangers are closed before those to members of the network") {
    Limits limits;
    limits.connections_low = 3;
    limits.connections_high = 5;
    PublicWorld world(9, limits);
    world.run([](PublicWorld& at) -> io::Task<void> {
        Host& host = *at.hosts[0];
        for (const std::size_t member : {1, 2})
            at.hosts[member]->handle(kMember, PublicWorld::hold);
        const auto lease = host.expend_first(is_stranger);
        for (std::size_t i = 1; i < at.hosts.size(); ++i) {
            const auto connected = co_await host.connect(at.address(i));
            REQUIRE(connected.has_value());
            // One that is no stranger any more says so by a push.
            if (i == 3) at.hosts[3]->handle(kMember, PublicWorld::hold);
            co_await at.clock().sleep_for(1s);
        }
        for (const std::size_t member : {1, 2, 3})
            CHECK(host.is_connected(at.hosts[member]->id()));
        for (const std::size_t stranger : {4, 5})
            CHECK_FALSE(host.is_connected(at.hosts[stranger]->id()));
        CHECK(host.is_connected(at.hosts[8]->id()));
    });
}

}  // namespace
}  // namespace kwaai::p2p
