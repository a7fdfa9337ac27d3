// Nodes on a local network in memory, and packets of those who mean no good.
#include "p2p/discovery/mdns.hpp"

#include <deque>

#include <doctest/doctest.h>

#include "io/event.hpp"
#include "p2p/discovery/mdns_wire.hpp"
#include "p2p/host_world_test.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

const io::TimePoint kBegin{};

Multiaddr at(const std::string& text) {
    return Multiaddr::parse(text).value();
}

// All members hear what one says, itself too.
class FakeSegment {
public:
    class Member final : public io::MulticastSocket {
    public:
        explicit Member(FakeSegment& segment) : segment_(segment) {
            segment_.members_.push_back(this);
        }

        void send(Bytes bytes) override {
            ++segment_.sent;
            for (Member* const member : segment_.members_) {
                member->waiting_.push_back(codec::to_buffer(bytes));
                member->came_.notify_all();
            }
        }

        io::Task<Result<io::Datagram>> receive() override {
            while (waiting_.empty() && !is_closed_)
                co_await came_.wait();
            if (is_closed_) co_return fail(Errc::closed, "closed");
            io::Datagram datagram{.bytes = std::move(waiting_.front()), .from = {}};
            waiting_.pop_front();
            co_return datagram;
        }

        void close() override {
            is_closed_ = true;
            came_.notify_all();
        }

    private:
        FakeSegment& segment_;
        std::deque<codec::Buffer> waiting_;
        io::Event came_;
        bool is_closed_ = false;
    };

    std::unique_ptr<Member> join() { return std::make_unique<Member>(*this); }

    std::size_t sent = 0;

private:
    std::vector<Member*> members_;
};

struct Node {
    Node(HostWorld& world, std::size_t index, FakeSegment& segment)
        : mdns(world.host(index),
               world.clock(),
               segment.join(),
               {.limits = {},
                .random = {},
                .on_found = [this](const PeerId& peer, const std::vector<Multiaddr>& /*all*/) {
                    found.push_back(peer);
                }}) {}

    std::vector<PeerId> found;
    Mdns mdns;
};

io::Task<void> two_nodes(io::TaskGroup& group, HostWorld& world) {
    FakeSegment segment;
    const auto stranger = segment.join();
    Node first(world, 0, segment);
    Node second(world, 1, segment);
    group.spawn(&Mdns::run, std::ref(first.mdns));
    co_await world.clock().sleep_for(10s);
    group.spawn(&Mdns::run, std::ref(second.mdns));
    co_await world.clock().sleep_for(2s);
    CHECK(first.found == std::vector{world.host(1).id()});
    CHECK(second.found == std::vector{world.host(0).id()});
    CHECK(world.host(0).known_addresses(world.host(1).id()) ==
          std::vector{at("/ip4/10.0.0.2/tcp/4001")});
    const PeerId other = world.host(1).id();
    const auto time = co_await world.host(0).ping(other);
    CHECK(time.has_value());
    // Who asks without end is answered once a second.
    const std::size_t before = segment.sent;
    for (int i = 0; i < 100; ++i) {
        stranger->send(mdns_query());
        co_await world.clock().sleep_for(10ms);
    }
    CHECK(segment.sent - before <= 100 + 2 * 2);
    const std::size_t later = segment.sent;
    co_await world.clock().sleep_for(2s);
    CHECK(segment.sent - later <= 2);  // for the last who asked
    group.cancel();
    while (group.size() > 0)
        co_await world.clock().sleep_for(1ms);
}

TEST_CASE("nodes of a local network find each other, and are not made to chatter") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        co_await io::with_group(two_nodes, std::ref(world));
    });
}

TEST_CASE("an answer has the name, the addresses of the network and their time to live") {
    const auto peer = make_identity(1);
    const MdnsLimits limits;
    const std::vector<Multiaddr> addresses{
        at("/ip4/192.168.1.5/tcp/4001").with_peer(peer),
        at("/ip4/127.0.0.1/tcp/4001").with_peer(peer),
        at("/ip4/192.168.1.5/tcp/4001/ws").with_peer(peer),
        at("/dns4/a.example/tcp/4001").with_peer(peer),
        at("/ip4/192.168.1.5/tcp/4001/p2p/" + peer.to_text() + "/p2p-circuit").with_peer(peer)};
    const auto packet = mdns_answer("abc", addresses, limits);
    const auto message = decode_dns(packet);
    REQUIRE(message.has_value());
    REQUIRE(message->records.size() == 2);
    CHECK(message->records[0].target == "abc._p2p._udp.local");
    CHECK(message->records[1].ttl_s == 360);
    CHECK(message->records[1].texts ==
          std::vector{"dnsaddr=/ip4/192.168.1.5/tcp/4001/p2p/" + peer.to_text()});
    const auto peers = mdns_peers(packet);
    REQUIRE(peers.size() == 1);
    CHECK(peers.at(peer) == std::vector{addresses[0]});
    CHECK(mdns_answer("abc", {addresses[1]}, limits).empty());
    CHECK(is_mdns_query(mdns_query()));
    CHECK_FALSE(is_mdns_query(packet));
}

TEST_CASE("an answer fits into a packet, whatever there is to tell") {
    std::vector<Multiaddr> many;
    for (int port = 1; port < 100; ++port)
        many.push_back(
            at("/ip4/192.168.1.5/tcp/" + std::to_string(port)).with_peer(make_identity(1)));
    MdnsLimits limits;
    limits.addresses_max = 99;
    CHECK(mdns_answer("abc", many, limits).size() <= kDnsMessageBytesMax);
}

TEST_CASE("a query has the bytes of RFC 1035") {
    CHECK(testing::to_hex(mdns_query()) ==
          "000000000001000000000000045f703270045f756470056c6f63616c00000c0001");
}

TEST_CASE("compressed names are read, in any case of letters, and cannot loop") {
    const auto decode = [](const std::string& hex) {
        return decode_dns(testing::from_hex(hex));
    };
    const std::string head = "000084000001000100000000";
    const std::string question = "045F703270045f756470056c6f63616c00000c0001";
    // PTR, at 12, to "a" before the name at 12.
    const auto read = decode(head + question + "c00c000c000100000168" + "0004" + "0161c00c");
    REQUIRE(read.has_value());
    CHECK(read->questions.at(0).name == kMdnsService);
    CHECK(read->records.at(0).name == kMdnsService);
    CHECK(read->records.at(0).target == "a._p2p._udp.local");
    const std::string one = "000000000001000000000000";
    CHECK_FALSE(decode(one + "c00c000c0001").has_value());          // itself
    CHECK_FALSE(decode(one + "0161c00c000c0001").has_value());      // its own beginning
    CHECK_FALSE(decode(one + "c012000c00010161c00c").has_value());  // forwards
    CHECK_FALSE(decode(one + "40").has_value());
    CHECK_FALSE(decode(one).has_value());
    CHECK_FALSE(decode("0000").has_value());
    std::string long_name = one;
    for (int i = 0; i < 5; ++i)
        long_name += "3f" + std::string(126, '6');
    CHECK_FALSE(decode(long_name + "00000c0001").has_value());
}

TEST_CASE("who floods the network is heard in part") {
    const MdnsLimits limits;
    MdnsState state(limits);
    std::size_t taken = 0;
    for (int i = 0; i < 1000; ++i)
        taken += state.takes_packet(kBegin) ? 1 : 0;
    CHECK(taken == limits.packets_max);
    CHECK(state.takes_packet(kBegin + 1s));
    for (int i = 0; i < 256; ++i)
        CHECK(state.is_news(make_identity(static_cast<unsigned char>(i)), kBegin));
    CHECK(state.size() == limits.peers_max);
    const auto key = crypto::PrivateKey::generate(crypto::KeyType::ed25519);
    REQUIRE(key.has_value());
    const PeerId newcomer = PeerId::of(key->public_key());
    CHECK_FALSE(state.is_news(newcomer, kBegin + 59s));
    CHECK(state.is_news(newcomer, kBegin + 60s));
}

}  // namespace
}  // namespace kwaai::p2p
