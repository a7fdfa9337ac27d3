// The machine's network behind the interface: loopback and names that need no server.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/loop.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"

using namespace kwaai;
using io::IpFamily;
using io::Loop;
using io::Task;
using io::TaskGroup;
using Addresses = std::vector<std::string>;

namespace {

Result<Addresses> resolve(const std::string& name, IpFamily family) {
    Loop loop;
    io::TcpNetwork network(loop);
    return loop.run(network.resolve(name, family));
}

}  // namespace

TEST_CASE("loopback: the network connects to what it listens on") {
    static constexpr auto body = [](io::TcpNetwork& network) -> Task<void> {
        const auto listener = network.listen(io::Address{.host = "127.0.0.1", .port = 0});
        REQUIRE(listener.has_value());
        const std::string where = (*listener)->local_address();
        const Result<io::Address> address = io::parse_address(where);
        REQUIRE(address.has_value());
        const auto dialled = co_await network.connect(*address);
        REQUIRE(dialled.has_value());
        CHECK((*dialled)->peer() == where);
        const auto accepted = co_await (*listener)->accept();
        CHECK(accepted.has_value());
    };
    Loop loop;
    io::TcpNetwork network(loop);
    loop.run(body(network));
}

TEST_CASE(
    "loopback: a connection leaves from the port that a listener has, whose port stays its own") {
    static constexpr auto body = [](io::TcpNetwork& network) -> Task<void> {
        const io::Address any{.host = "127.0.0.1", .port = 0};
        const auto ours = network.listen(any);
        const auto theirs = network.listen(any);
        REQUIRE(ours.has_value());
        REQUIRE(theirs.has_value());
        const io::Address local = io::parse_address((*ours)->local_address()).value();
        const io::Address remote = io::parse_address((*theirs)->local_address()).value();
        const auto dialled = co_await network.connect_from(local, remote);
        REQUIRE(dialled.has_value());
        const auto accepted = co_await (*theirs)->accept();
        REQUIRE(accepted.has_value());
        CHECK((*accepted)->peer() == (*ours)->local_address());
        const auto again = co_await network.connect_from(local, remote);
        REQUIRE(!again.has_value());
        CHECK(again.error().code == Errc::invalid_argument);
        const auto second = network.listen(local);
        REQUIRE(!second.has_value());
        CHECK(second.error().code == Errc::unavailable);
    };
    Loop loop;
    io::TcpNetwork network(loop);
    loop.run(body(network));
}

TEST_CASE("the name localhost has the IPv4 loopback address") {
    const Result<Addresses> found = resolve("localhost", IpFamily::v4);
    REQUIRE(found.has_value());
    CHECK(*found == Addresses{"127.0.0.1"});
}

TEST_CASE("an IP address is its own address, in its own family only") {
    CHECK(resolve("192.0.2.7", IpFamily::any) == Addresses{"192.0.2.7"});
    CHECK(resolve("2001:db8::1", IpFamily::v6) == Addresses{"2001:db8::1"});
    const Result<Addresses> other = resolve("192.0.2.7", IpFamily::v6);
    REQUIRE(!other.has_value());
    CHECK(other.error().code == Errc::not_found);
    CHECK(other.error().context.starts_with("cannot look up \"192.0.2.7\""));
}

TEST_CASE("what cannot be a host name is refused without asking anybody") {
    for (const std::string& name :
         {std::string(), std::string(300, 'a'), std::string("local\0host", 10)}) {
        const Result<Addresses> found = resolve(name, IpFamily::any);
        REQUIRE(!found.has_value());
        CHECK(found.error().code == Errc::invalid_argument);
    }
}

TEST_CASE("a look-up that is cancelled ends, although the system may still work on it") {
    static constexpr auto look_up = [](io::TcpNetwork& network) -> Task<void> {
        (void)co_await network.resolve("localhost", IpFamily::any);
    };
    static constexpr auto body = [](TaskGroup& group, io::TcpNetwork& network) -> Task<void> {
        group.spawn(look_up, std::ref(network));
        group.cancel();
        co_return;
    };
    Loop loop;
    io::TcpNetwork network(loop);
    loop.run(io::with_group(body, std::ref(network)));
}
