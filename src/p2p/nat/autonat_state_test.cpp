#include "p2p/nat/autonat_state.hpp"

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/nat/autonat_v1_wire.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

const io::TimePoint kBegin{};

Multiaddr at(const std::string& text) {
    return Multiaddr::parse(text).value();
}

const std::string kCircuit =
    "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";

TEST_CASE("v1 dials the observed IP alone, whatever IP was asked for") {
    const AutonatLimits limits;
    const auto observed = at("/ip4/203.0.113.5/tcp/50000");
    const auto chosen = v1_dialable(observed,
                                    {at("/ip4/198.51.100.1/tcp/4001"),  // somebody else
                                     at("/ip4/192.168.1.5/tcp/4001/ws"),
                                     at("/ip4/203.0.113.5/tcp/4001"),
                                     at("/dns4/victim.example/tcp/80"),
                                     at("/ip4/203.0.113.5/udp/4001"),
                                     at("/ip4/192.168.1.5/udp/4001/quic-v1"),
                                     at(kCircuit)},
                                    limits);
    CHECK(chosen == std::vector{at("/ip4/203.0.113.5/tcp/4001"),
                                at("/ip4/203.0.113.5/tcp/4001/ws"),
                                at("/ip4/203.0.113.5/udp/4001/quic-v1"),
                                observed});
}

TEST_CASE("v1 dials nobody who came over a relay or from a private network") {
    AutonatLimits limits;
    const std::vector asked{at("/ip4/203.0.113.5/tcp/4001")};
    CHECK(v1_dialable(at(kCircuit), asked, limits).empty());
    CHECK(v1_dialable(at("/ip4/10.0.0.5/tcp/4001"), asked, limits).empty());
    CHECK(v1_dialable(at("/ip4/127.0.0.1/tcp/4001"), asked, limits).empty());
    limits.allows_private = true;
    CHECK(v1_dialable(at("/ip4/10.0.0.5/tcp/4001"), asked, limits).size() == 1);
}

TEST_CASE("v1 dials a bounded number of addresses") {
    const AutonatLimits limits;
    std::vector<Multiaddr> asked;
    for (int port = 1; port < 17; ++port)
        asked.push_back(at("/ip4/203.0.113.5/tcp/" + std::to_string(port)));
    CHECK(v1_dialable(at("/ip4/203.0.113.5/tcp/9"), asked, limits).size() == limits.v1_dials_max);
}

TEST_CASE("v2 takes the first address that can be dialled, and has others' IPs paid for") {
    const AutonatLimits limits;
    const auto observed = at("/ip4/203.0.113.5/tcp/50000");
    const auto choose = [&](const std::vector<std::optional<Multiaddr>>& asked) {
        return v2_choice(observed, asked, limits);
    };
    const auto own = choose({std::nullopt,
                             at("/ip4/203.0.113.5/udp/4001"),
                             at("/ip4/192.168.1.1/tcp/80"),
                             at("/dns4/victim.example/tcp/80"),
                             at(kCircuit),
                             at("/ip4/203.0.113.5/tcp/4001")});
    REQUIRE(own.has_value());
    CHECK(own->index == 5);
    CHECK_FALSE(own->costs_data);
    CHECK(choose({at("/ip4/203.0.113.5/udp/4001/quic-v1")}).has_value());
    const auto other = choose({at("/ip4/198.51.100.1/tcp/4001")});
    REQUIRE(other.has_value());
    CHECK(other->costs_data);
    CHECK_FALSE(choose({at("/ip4/192.168.1.1/tcp/80")}).has_value());
    CHECK_FALSE(choose({}).has_value());
    CHECK_FALSE(v2_choice(at(kCircuit), {at("/ip4/203.0.113.5/tcp/4001")}, limits).has_value());
}

TEST_CASE("requests are granted so often a minute, to each peer and to all") {
    RequestLimiter limiter({.total_max = 30, .per_peer_max = 3});
    const auto one = make_identity(1);
    for (int i = 0; i < 3; ++i)
        CHECK(limiter.grant(one, kBegin));
    CHECK_FALSE(limiter.grant(one, kBegin + 59s));
    CHECK(limiter.grant(one, kBegin + 60s));
    for (unsigned char i = 2; i < 31; ++i)
        CHECK(limiter.grant(make_identity(i), kBegin + 60s));
    CHECK_FALSE(limiter.grant(make_identity(99), kBegin + 60s));
    CHECK(limiter.grant(make_identity(99), kBegin + 120s));
}

TEST_CASE("servers are asked in turn, who refused later, and few are remembered") {
    AutonatLimits limits;
    limits.servers_max = 4;
    AskedServers asked(limits);
    const auto a = make_identity(1);
    const auto b = make_identity(2);
    CHECK_FALSE(asked.choose({}, kBegin));
    CHECK(asked.choose({a, b}, kBegin) == a);
    asked.asked(a, kBegin);
    CHECK(asked.choose({a, b}, kBegin) == b);
    asked.refused(b, kBegin);
    CHECK_FALSE(asked.choose({a, b}, kBegin + 59s));
    CHECK(asked.choose({a, b}, kBegin + 60s) == a);
    CHECK(asked.choose({b}, kBegin + 9min) == std::nullopt);
    CHECK(asked.choose({b}, kBegin + 10min) == b);
    for (unsigned char i = 0; i < 99; ++i)
        asked.asked(make_identity(i), kBegin + std::chrono::seconds(i));
    CHECK(asked.size() == 4);
}

TEST_CASE("v1: a yes is believed at once, a no when it was said often enough") {
    const AutonatLimits limits;
    V1Verdict verdict(limits);
    verdict.answered(Reachability::unreachable, kBegin);
    CHECK(verdict.verdict() == Reachability::unreachable);
    CHECK(verdict.due() == kBegin + 90s);
    verdict.answered(Reachability::reachable, kBegin);
    CHECK(verdict.verdict() == Reachability::reachable);
    for (int i = 0; i < 3; ++i)
        verdict.answered(Reachability::reachable, kBegin);
    CHECK(verdict.due() == kBegin + 15min);
    for (int i = 0; i < 3; ++i)
        verdict.answered(Reachability::unreachable, kBegin);
    CHECK(verdict.verdict() == Reachability::reachable);
    verdict.answered(Reachability::unreachable, kBegin);
    CHECK(verdict.verdict() == Reachability::unreachable);
}

TEST_CASE("v2: one proof makes an address reachable, three failures of two servers unreachable") {
    const AutonatLimits limits;
    V2Verdicts verdicts(limits);
    const auto address = at("/ip4/203.0.113.5/tcp/4001");
    const auto other = at("/ip4/203.0.113.5/tcp/4002");
    const auto a = make_identity(1);
    const auto b = make_identity(2);
    CHECK(verdicts.next({address, other}, kBegin) == address);
    CHECK(verdicts.answered(address, a, Reachability::reachable, kBegin) ==
          Reachability::reachable);
    CHECK(verdicts.next({address, other}, kBegin + 59min) == other);
    CHECK(verdicts.next({address, other}, kBegin + 60min) == address);
    const auto no = [&](const PeerId& server) {
        return verdicts.answered(address, server, Reachability::unreachable, kBegin);
    };
    CHECK(no(a) == Reachability::unknown);
    CHECK(no(a) == Reachability::unknown);
    CHECK(no(a) == Reachability::unknown);  // one server alone cannot say so
    CHECK(verdicts.answered(address, b, Reachability::unknown, kBegin) == Reachability::unknown);
    CHECK(no(b) == Reachability::unreachable);
    CHECK_FALSE(verdicts.next({address}, kBegin + 59min).has_value());
    // What is no candidate any more is forgotten.
    CHECK(verdicts.next({other}, kBegin) == other);
    CHECK(verdicts.next({address}, kBegin) == address);
}

TEST_CASE("v2: a server's claim without the nonce is worth nothing") {
    using autonat_v2::DialResponse;
    using autonat_v2::DialStatus;
    using autonat_v2::Status;
    const auto outcome = [](DialStatus dialled, bool is_back) {
        return v2_outcome(DialResponse{.status = Status::ok, .index = 0, .dial_status = dialled},
                          is_back);
    };
    CHECK(outcome(DialStatus::ok, true) == Reachability::reachable);
    CHECK(outcome(DialStatus::ok, false) == Reachability::unknown);
    CHECK(outcome(DialStatus::dial_back_error, true) == Reachability::reachable);
    CHECK(outcome(DialStatus::dial_back_error, false) == Reachability::unknown);
    CHECK(outcome(DialStatus::dial_error, false) == Reachability::unreachable);
    CHECK(outcome(DialStatus::unused, false) == Reachability::unknown);
    CHECK(v2_outcome(DialResponse{.status = Status::dial_refused}, true) == Reachability::unknown);
}

TEST_CASE("the messages have the bytes of the schema") {
    using testing::to_hex;
    const autonat_v1::Dial dial{.peer = codec::to_buffer(as_bytes("\x01\x02")),
                                .addresses = {at("/ip4/127.0.0.1/tcp/4321")}};
    CHECK(to_hex(autonat_v1::encode(dial)) == "080012100a0e0a0201021208047f0000010610e1");
    CHECK(to_hex(autonat_v1::encode(autonat_v1::DialResponse{
              .status = autonat_v1::Status::dial_refused, .text = "no", .address = {}})) ==
          "08011a06086512026e6f");
    autonat_v2::DialRequest request{.addresses = {}, .nonce = 0x0102030405060708};
    request.addresses.emplace_back(at("/ip4/127.0.0.1/tcp/4321"));
    CHECK(to_hex(autonat_v2::encode(request)) == "0a130a08047f0000010610e1110807060504030201");
    CHECK(to_hex(autonat_v2::encode(autonat_v2::DialDataRequest{.index = 1, .bytes = 30000})) ==
          "1a06080110b0ea01");
    CHECK(to_hex(autonat_v2::encode_dial_back(1)) == "090100000000000000");
}

TEST_CASE("requests with more addresses than the limit are cut") {
    autonat_v2::DialRequest request{.addresses = {}, .nonce = 1};
    for (std::size_t i = 0; i < autonat_v2::kAddressesMax + 9; ++i)
        request.addresses.emplace_back();
    const auto read = autonat_v2::decode(autonat_v2::encode(request));
    REQUIRE(read.has_value());
    CHECK(std::get<autonat_v2::DialRequest>(*read).addresses.size() == autonat_v2::kAddressesMax);
    autonat_v1::Dial dial;
    for (int i = 0; i < 20; ++i)
        dial.addresses.push_back(at("/ip4/127.0.0.1/tcp/4321"));
    const auto read_dial = autonat_v1::decode_dial(autonat_v1::encode(dial));
    REQUIRE(read_dial.has_value());
    CHECK(read_dial->addresses.size() == autonat_v1::kAddressesMax);
}

}  // namespace
}  // namespace kwaai::p2p
