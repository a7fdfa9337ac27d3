#include "p2p/relay/relay_wire.hpp"

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "p2p/envelope.hpp"
#include "p2p/host_world_test.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p::relay {
namespace {

constexpr std::size_t kAddressesMax = 2;

Bytes unframed(const codec::Buffer& message) {
    return Bytes(message).subspan(1);  // the lengths here are below 128
}

TEST_CASE("a request for a reservation has its type, though that is zero") {
    const codec::Buffer bytes = encode_hop({.type = HopType::reserve,
                                            .peer = {},
                                            .reservation = {},
                                            .limit = {},
                                            .status = Status::none});
    CHECK(testing::to_hex(bytes) == "020800");
}

TEST_CASE("hop messages come back as they were written") {
    HopMessage message{
        .type = HopType::status,
        .peer = make_identity(3),
        .reservation = {},
        .limit = CircuitLimit{.duration = std::chrono::seconds(120), .bytes = 131072},
        .status = Status::ok};
    message.reservation.emplace();
    message.reservation->expires = 1'700'003'600;
    message.reservation->addresses = {Multiaddr::parse("/ip4/192.0.2.1/tcp/4001").value()};
    const codec::Buffer bytes = encode_hop(message);
    const auto back = decode_hop(unframed(bytes), kAddressesMax);
    REQUIRE(back.has_value());
    CHECK(back->type == HopType::status);
    CHECK(back->peer == message.peer);
    CHECK(back->limit == message.limit);
    CHECK(back->status == Status::ok);
    REQUIRE(back->reservation.has_value());
    CHECK(back->reservation->expires == message.reservation->expires);
    CHECK(back->reservation->addresses == message.reservation->addresses);
}

TEST_CASE("stop messages come back as they were written") {
    const codec::Buffer bytes = encode_stop({.type = StopType::connect,
                                             .peer = make_identity(3),
                                             .limit = CircuitLimit{},
                                             .status = Status::none});
    const auto back = decode_stop(unframed(bytes));
    REQUIRE(back.has_value());
    CHECK(back->type == StopType::connect);
    CHECK(back->peer == make_identity(3));
    CHECK(back->limit == CircuitLimit{});
}

TEST_CASE("no more addresses of a reservation are read than the limit") {
    HopMessage message{.type = HopType::status,
                       .peer = {},
                       .reservation = WireReservation{},
                       .limit = {},
                       .status = Status::ok};
    for (int i = 0; i < 5; ++i)
        message.reservation->addresses.push_back(
            Multiaddr::parse("/ip4/192.0.2." + std::to_string(i) + "/tcp/1").value());
    const auto back = decode_hop(unframed(encode_hop(message)), kAddressesMax);
    REQUIRE(back.has_value());
    CHECK(back->reservation->addresses.size() == kAddressesMax);
}

TEST_CASE("messages without a type, of unknown types and with broken peers are refused") {
    CHECK(decode_hop({}, kAddressesMax).error().code == Errc::malformed);
    CHECK(decode_stop({}).error().code == Errc::malformed);
    CHECK(!decode_hop(testing::from_hex("0803"), kAddressesMax).has_value());
    CHECK(!decode_stop(testing::from_hex("0802")).has_value());
    CHECK(!decode_hop(testing::from_hex("08011200"), kAddressesMax).has_value());  // no id
    CHECK(!decode_stop(testing::from_hex("080012040a020102")).has_value());        // no peer id
}

TEST_CASE("a voucher is believed only where its own relay has signed it") {
    const Voucher voucher{.relay = make_identity(1), .peer = make_identity(2), .expires = 77};
    const auto good = open_voucher(seal_voucher(make_key(1), voucher));
    REQUIRE(good.has_value());
    CHECK(good->relay == voucher.relay);
    CHECK(good->peer == voucher.peer);
    CHECK(good->expires == 77);
    // The class of RUSTSEC-2022-0009: a valid signature of somebody else.
    CHECK(open_voucher(seal_voucher(make_key(2), voucher)).error().code == Errc::malformed);
    const codec::Buffer record =
        seal_peer_record(make_key(1), {.peer = make_identity(1), .sequence = 1, .addresses = {}});
    CHECK(open_voucher(record).error().code == Errc::malformed);
}

}  // namespace
}  // namespace kwaai::p2p::relay
