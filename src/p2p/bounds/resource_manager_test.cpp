#include "p2p/bounds/resource_manager.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/protocol/identify_wire.hpp"
#include "p2p/protocol/ping.hpp"

namespace kwaai::p2p {
namespace {

using Scopes = std::vector<std::shared_ptr<ConnectionScope>>;

/// Opens connections until one is refused, at most 3000; gives them to `peer` where there is one.
Scopes open_all(ResourceManager& manager,
                Direction direction,
                const std::optional<PeerId>& peer = std::nullopt,
                bool has_descriptor = true) {
    Scopes scopes;
    while (scopes.size() < 3000) {
        auto scope = manager.open_connection(direction, has_descriptor);
        if (!scope) break;
        if (peer && !(*scope)->set_peer(*peer)) break;
        scopes.push_back(std::move(*scope));
    }
    return scopes;
}

std::shared_ptr<ConnectionScope> open_one(ResourceManager& manager, const PeerId& peer) {
    auto scope = manager.open_connection(Direction::inbound, true).value();
    REQUIRE((*scope).set_peer(peer).has_value());
    return scope;
}

/// Streams until one is refused.
std::vector<std::shared_ptr<StreamScope>> open_streams(ConnectionScope& connection,
                                                       Direction direction,
                                                       std::string_view protocol = "") {
    std::vector<std::shared_ptr<StreamScope>> streams;
    while (streams.size() < 3000) {
        auto stream = connection.open_stream(direction);
        if (!stream) break;
        const bool is_inbound = direction == Direction::inbound;
        if (is_inbound && (!(*stream)->may_agree() || !(*stream)->begin_agreeing())) break;
        if (!protocol.empty() && !(*stream)->set_protocol(protocol)) break;
        streams.push_back(std::move(*stream));
    }
    return streams;
}

TEST_CASE("each number of connections ends where its limit says, and begins again behind it") {
    Limits limits;
    limits.connections_max = 20;
    limits.connections_inbound_max = 15;
    limits.connections_per_peer_max = 3;
    limits.pending_inbound_max = 7;
    limits.dials_max = 9;
    limits.descriptors_max = 11;
    ResourceManager manager(limits);
    CHECK(open_all(manager, Direction::inbound).size() == 7);   // pending_inbound_max
    CHECK(open_all(manager, Direction::outbound).size() == 9);  // dials_max
    CHECK(open_all(manager, Direction::inbound, make_identity(1)).size() == 3);
    CHECK(open_all(manager, Direction::outbound, make_identity(1)).size() == 3);
    CHECK(manager.total() == ResourceUse());

    Scopes held;
    for (unsigned char number = 0; number < 5; ++number)
        for (auto& scope : open_all(manager, Direction::inbound, make_identity(number), false))
            held.push_back(std::move(scope));
    CHECK(held.size() == 15);  // connections_inbound_max: the rest is for dials
    CHECK_FALSE(manager.open_connection(Direction::inbound, false).has_value());
    CHECK(manager.check_dial().has_value());
    const Scopes dialled = open_all(manager, Direction::outbound, std::nullopt, false);
    CHECK(dialled.size() == 5);  // connections_max
    CHECK_FALSE(manager.check_dial().has_value());
    const auto refused = manager.open_connection(Direction::outbound, true);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::limit_exceeded);
    CHECK(refused.error().context == "this node has 20 connections, its limit is 20");
}

TEST_CASE("connections that hold descriptors are bounded apart from those over relays") {
    Limits limits;
    limits.descriptors_max = 5;
    ResourceManager manager(limits);
    const Scopes direct = open_all(manager, Direction::inbound);
    CHECK(direct.size() == 5);
    CHECK_FALSE(manager.check_dial().has_value());
    CHECK(manager.open_connection(Direction::inbound, false).has_value());
}

TEST_CASE("each number of streams ends where its limit says, and begins again behind it") {
    Limits limits;
    limits.streams_max = 50;
    limits.streams_per_peer_max = 20;
    limits.streams_outbound_max = 40;
    limits.streams_outbound_per_peer_max = 30;
    limits.streams_pending_max = 10;
    limits.streams_per_protocol_max = 35;
    limits.streams_per_protocol_and_peer_max = 15;
    ResourceManager manager(limits);
    const PeerId one = make_identity(1);
    const auto first = open_one(manager, one);
    const auto second = open_one(manager, one);
    CHECK(open_streams(*first, Direction::inbound).size() == 10);  // streams_pending_max
    CHECK(open_streams(*first, Direction::inbound, "/a").size() == 15);
    {
        const auto a = open_streams(*first, Direction::inbound, "/a");
        const auto b = open_streams(*second, Direction::inbound, "/b");
        CHECK(a.size() + b.size() == 20);  // streams_per_peer_max, over both connections
        const auto out = open_streams(*first, Direction::outbound, "/a");
        CHECK(out.size() == 30);  // streams_outbound_per_peer_max
        const auto other = open_one(manager, make_identity(2));
        CHECK(open_streams(*other, Direction::outbound).size() == 10);  // streams_outbound_max
        CHECK(open_streams(*other, Direction::inbound, "/a").size() == 15);
        CHECK(manager.streams_of("/a") == 15);
    }
    CHECK(manager.streams_of("/a") == 0);
    CHECK(manager.of_peer(one).streams_inbound == 0);

    std::vector<std::shared_ptr<ConnectionScope>> many;
    std::vector<std::shared_ptr<StreamScope>> held;
    for (unsigned char number = 10; number < 20; ++number) {
        many.push_back(open_one(manager, make_identity(number)));
        for (auto& stream : open_streams(*many.back(), Direction::inbound, "/a"))
            held.push_back(std::move(stream));
    }
    CHECK(held.size() == 35);  // streams_per_protocol_max
    for (auto& stream : open_streams(*many.back(), Direction::inbound, "/b"))
        held.push_back(std::move(stream));
    for (auto& stream : open_streams(*many.front(), Direction::inbound, "/b"))
        held.push_back(std::move(stream));
    CHECK(held.size() == 50);  // streams_max
}

TEST_CASE("a connection agrees on so many streams' protocols at a time, and others on theirs") {
    const Limits limits;
    ResourceManager manager(limits);
    const auto greedy = open_one(manager, make_identity(1));
    const auto other = open_one(manager, make_identity(2));
    auto pending = open_streams(*greedy, Direction::inbound);
    CHECK(pending.size() == limits.streams_pending_per_connection_max);
    const auto waiting = greedy->open_stream(Direction::inbound).value();
    CHECK_FALSE(waiting->may_agree());
    CHECK(greedy->open_stream(Direction::outbound).has_value());
    CHECK(other->open_stream(Direction::inbound).value()->may_agree());
    REQUIRE(pending.front()->set_protocol("/a").has_value());
    REQUIRE(waiting->may_agree());
    REQUIRE(waiting->begin_agreeing().has_value());
    CHECK_FALSE(greedy->open_stream(Direction::inbound).value()->may_agree());
    pending.pop_back();
    CHECK(greedy->open_stream(Direction::inbound).value()->may_agree());
}

TEST_CASE("pings and identify have fewer streams than other protocols") {
    const Limits limits;
    ResourceManager manager(limits);
    const auto connection = open_one(manager, make_identity(1));
    CHECK(open_streams(*connection, Direction::inbound, kPingProtocol).size() ==
          limits.pings_per_peer_max);
    CHECK(open_streams(*connection, Direction::inbound, kIdentifyProtocol).size() ==
          limits.identifies_per_peer_max);
    std::vector<std::shared_ptr<ConnectionScope>> connections;
    std::vector<std::shared_ptr<StreamScope>> pings;
    std::vector<std::shared_ptr<StreamScope>> identifies;
    for (unsigned char number = 0; number < 40; ++number) {
        connections.push_back(open_one(manager, make_identity(number)));
        for (auto& one : open_streams(*connections.back(), Direction::inbound, kPingProtocol))
            pings.push_back(std::move(one));
        for (auto& one :
             open_streams(*connections.back(), Direction::inbound, kIdentifyPushProtocol))
            identifies.push_back(std::move(one));
    }
    CHECK(pings.size() == limits.pings_max);
    CHECK(identifies.size() == limits.identifies_max);
}

TEST_CASE("memory is bounded by connection, by peer, for handshakes and in all") {
    Limits limits;
    limits.connection_bytes = 100;
    limits.stream_bytes = 10;
    limits.memory_max = 10000;
    limits.memory_pending_max = 350;
    limits.memory_per_peer_max = 3000;
    limits.memory_per_connection_max = 2000;
    limits.memory_always = 400;
    ResourceManager manager(limits);
    CHECK(open_all(manager, Direction::inbound).size() == 3);  // memory_pending_max
    const PeerId one = make_identity(1);
    const auto first = open_one(manager, one);
    const auto second = open_one(manager, one);
    CHECK_FALSE(first->reserve(1901));  // memory_per_connection_max
    CHECK(first->reserve(1900));
    CHECK_FALSE(second->reserve(901));  // memory_per_peer_max
    CHECK(second->reserve(900));
    CHECK_FALSE(second->open_stream(Direction::inbound).has_value());
    CHECK(manager.of_peer(one).memory_bytes == 3000);
    first->release(1900);
    second->release(900);
    CHECK(manager.total().memory_bytes == 200);
    CHECK(second->open_stream(Direction::inbound).has_value());
}

TEST_CASE("above half of the memory only those who hold little get more") {
    Limits limits;
    limits.connection_bytes = 0;
    limits.memory_max = 10000;
    limits.memory_per_peer_max = 10000;
    limits.memory_per_connection_max = 10000;
    limits.memory_always = 400;
    ResourceManager manager(limits);
    const auto greedy = open_one(manager, make_identity(1));
    const auto modest = open_one(manager, make_identity(2));
    CHECK(greedy->reserve(5000));
    CHECK(modest->has_room_to_grow());
    CHECK_FALSE(greedy->reserve(1));
    CHECK(modest->reserve(400));
    CHECK_FALSE(modest->reserve(1));
    CHECK_FALSE(modest->has_room_to_grow());
    greedy->release(1000);
    CHECK(modest->reserve(600));
}

TEST_CASE("with the limits as they are, those who hold little can all be served at once") {
    const Limits limits;
    const std::size_t idle =
        limits.connections_max * limits.connection_bytes + limits.streams_max * limits.stream_bytes;
    CHECK(limits.memory_max / 2 + limits.connections_max * limits.memory_always + idle <=
          limits.memory_max);
}

TEST_CASE("a connection that has ended gives its place back although a stream of it is held") {
    Limits limits;
    limits.connections_per_peer_max = 1;
    ResourceManager manager(limits);
    const PeerId peer = make_identity(1);
    auto ended = open_one(manager, peer);
    auto stream = ended->open_stream(Direction::outbound).value();
    REQUIRE(ended->reserve(1000));
    ended->end();
    CHECK(manager.of_peer(peer).connections() == 0);
    CHECK(manager.of_peer(peer).streams_outbound == 1);
    const auto next = open_one(manager, peer);
    ended->release(1000);
    ended.reset();
    stream.reset();
    CHECK(manager.of_peer(peer).connections() == 1);
    CHECK(manager.of_peer(peer).streams_outbound == 0);
}

}  // namespace
}  // namespace kwaai::p2p
