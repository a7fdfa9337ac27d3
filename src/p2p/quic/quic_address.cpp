// Between our terms and ngtcp2's.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"
#include "crypto/random.hpp"
#include "p2p/quic/quic_core_state.hpp"

namespace kwaai::p2p {
namespace {

// In the order of the network.
std::uint16_t swapped(std::uint16_t port) {
    if constexpr (std::endian::native == std::endian::big) return port;
    return static_cast<std::uint16_t>(port << 8 | port >> 8);
}

}  // namespace

QuicAddress::QuicAddress(const io::Endpoint& endpoint) : v6() {
    if (endpoint.is_v6) {
        v6.sin6_family = NGTCP2_AF_INET6;
        v6.sin6_port = swapped(endpoint.port);
        std::memcpy(&v6.sin6_addr, endpoint.ip.data(), 16);
        size = sizeof v6;
    } else {
        v4.sin_family = NGTCP2_AF_INET;
        v4.sin_port = swapped(endpoint.port);
        std::memcpy(&v4.sin_addr, endpoint.ip.data(), 4);
        size = sizeof v4;
    }
}

ngtcp2_addr QuicAddress::view() {
    return {.addr = &any, .addrlen = size};
}

io::Endpoint endpoint_of(const ngtcp2_addr& address) {
    io::Endpoint endpoint;
    endpoint.is_v6 = address.addr->sa_family == NGTCP2_AF_INET6;
    if (endpoint.is_v6) {
        ngtcp2_sockaddr_in6 v6{};
        std::memcpy(&v6, address.addr, sizeof v6);
        endpoint.port = swapped(v6.sin6_port);
        std::memcpy(endpoint.ip.data(), &v6.sin6_addr, 16);
    } else {
        ngtcp2_sockaddr_in v4{};
        std::memcpy(&v4, address.addr, sizeof v4);
        endpoint.port = swapped(v4.sin_port);
        std::memcpy(endpoint.ip.data(), &v4.sin_addr, 4);
    }
    return endpoint;
}

ngtcp2_cid cid_of(const QuicId& id) {
    ngtcp2_cid cid{};
    ngtcp2_cid_init(&cid, in(id.view()), id.size);
    return cid;
}

QuicId id_of(const ngtcp2_cid& cid) {
    return QuicId(std::as_bytes(std::span(cid.data, cid.datalen)));
}

ngtcp2_tstamp stamp_of(io::TimePoint time) {
    return static_cast<ngtcp2_tstamp>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

QuicId make_quic_id() {
    std::array<std::byte, kQuicOwnIdBytes> bytes{};
    crypto::fill_random(bytes);
    return QuicId(bytes);
}

void write_reset_token(const QuicIdentity& identity, const ngtcp2_cid& cid, std::uint8_t* token) {
    const Bytes secret(identity.state().reset_secret);
    const int error =
        ngtcp2_crypto_generate_stateless_reset_token(token, in(secret), secret.size(), &cid);
    KWAAI_CHECK(error == 0, "a token is made of a secret and an id");
}

}  // namespace kwaai::p2p
