#include "p2p/quic/quic_door.hpp"

#include <algorithm>
#include <array>

#include "crypto/random.hpp"
#include "p2p/quic/quic_core_state.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kHelloBytesMin = 1200;              // RFC 9000 section 14.1
constexpr std::size_t kResetBytesMin = 5 + 16;            // random bytes and the token
constexpr std::size_t kResetBytesMax = 43;                // looks like a small packet
constexpr std::uint64_t kTokenLifetime = 10'000'000'000;  // ns, of a retry
constexpr std::array<std::uint32_t, 1> kVersions{NGTCP2_PROTO_VER_V1};

QuicVerdict answer(QuicVerdict::Kind kind, std::vector<std::byte> bytes, ngtcp2_ssize size) {
    if (size <= 0) return {};
    bytes.resize(static_cast<std::size_t>(size));
    return {.kind = kind, .hello = {}, .answer = std::move(bytes)};
}

QuicVerdict offer_versions(const ngtcp2_version_cid& seen) {
    std::vector<std::byte> bytes(kHelloBytesMin);
    std::byte unpredictable{};
    crypto::fill_random(MutableBytes(&unpredictable, 1));
    const ngtcp2_ssize size =
        ngtcp2_pkt_write_version_negotiation(out(bytes),
                                             bytes.size(),
                                             std::to_integer<std::uint8_t>(unpredictable),
                                             seen.scid,
                                             seen.scidlen,
                                             seen.dcid,
                                             seen.dcidlen,
                                             kVersions.data(),
                                             kVersions.size());
    return answer(QuicVerdict::Kind::answer, std::move(bytes), size);
}

// Ends a connection that the peer believes in and that is gone here.
QuicVerdict reset(const QuicIdentity& identity, const ngtcp2_version_cid& seen, std::size_t size) {
    if (size <= kResetBytesMin) return {};
    ngtcp2_cid cid{};
    ngtcp2_cid_init(&cid, seen.dcid, seen.dcidlen);
    std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token{};
    write_reset_token(identity, cid, token.data());
    std::array<std::byte, kResetBytesMax> random{};
    crypto::fill_random(random);
    std::vector<std::byte> bytes(std::min(size - 1, kResetBytesMax));
    const ngtcp2_ssize written =
        ngtcp2_pkt_write_stateless_reset(out(bytes),
                                         bytes.size(),
                                         token.data(),
                                         in(random),
                                         bytes.size() - NGTCP2_STATELESS_RESET_TOKENLEN);
    return answer(QuicVerdict::Kind::answer, std::move(bytes), written);
}

QuicVerdict ask_for_proof(const QuicIdentity& identity,
                          const io::Endpoint& from,
                          const ngtcp2_pkt_hd& header,
                          io::TimePoint now) {
    const QuicAddress remote(from);
    const Bytes secret(identity.state().retry_secret);
    const ngtcp2_cid source = cid_of(make_quic_id());
    std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token{};
    const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token(token.data(),
                                                                       in(secret),
                                                                       secret.size(),
                                                                       header.version,
                                                                       &remote.any,
                                                                       remote.size,
                                                                       &source,
                                                                       &header.dcid,
                                                                       stamp_of(now));
    if (token_size < 0) return {};
    std::vector<std::byte> bytes(kHelloBytesMin);
    const ngtcp2_ssize size = ngtcp2_crypto_write_retry(out(bytes),
                                                        bytes.size(),
                                                        header.version,
                                                        &header.scid,
                                                        &source,
                                                        &header.dcid,
                                                        token.data(),
                                                        static_cast<std::size_t>(token_size));
    return answer(QuicVerdict::Kind::retry, std::move(bytes), size);
}

// What the client called us before it was asked for proof, which its token is.
std::optional<QuicId> proven(const QuicIdentity& identity,
                             const io::Endpoint& from,
                             const ngtcp2_pkt_hd& header,
                             io::TimePoint now) {
    if (header.token.len == 0 || header.token.base[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return std::nullopt;
    const QuicAddress remote(from);
    const Bytes secret(identity.state().retry_secret);
    ngtcp2_cid original{};
    const int error = ngtcp2_crypto_verify_retry_token(&original,
                                                       header.token.base,
                                                       header.token.len,
                                                       in(secret),
                                                       secret.size(),
                                                       header.version,
                                                       &remote.any,
                                                       remote.size,
                                                       &header.dcid,
                                                       kTokenLifetime,
                                                       stamp_of(now));
    if (error != 0) return std::nullopt;
    return id_of(original);
}

}  // namespace

std::optional<QuicId> quic_destination(Bytes packet) {
    if (packet.empty()) return std::nullopt;
    ngtcp2_version_cid seen{};
    const int error =
        ngtcp2_pkt_decode_version_cid(&seen, in(packet), packet.size(), kQuicOwnIdBytes);
    const bool is_known = error == 0 || error == NGTCP2_ERR_VERSION_NEGOTIATION;
    if (!is_known || seen.dcidlen > kQuicIdBytesMax) return std::nullopt;
    return QuicId(std::as_bytes(std::span(seen.dcid, seen.dcidlen)));
}

QuicVerdict judge_quic_packet(const QuicIdentity& identity,
                              const io::Endpoint& from,
                              Bytes packet,
                              bool needs_proof,
                              io::TimePoint now) {
    if (packet.empty()) return {};
    ngtcp2_version_cid seen{};
    const int error =
        ngtcp2_pkt_decode_version_cid(&seen, in(packet), packet.size(), kQuicOwnIdBytes);
    const bool is_long = (packet[0] & std::byte{0x80}) != std::byte{0};
    const bool is_other = error == NGTCP2_ERR_VERSION_NEGOTIATION ||
                          (error == 0 && is_long && seen.version != NGTCP2_PROTO_VER_V1);
    // Version 0 is an answer itself.
    if (is_other && seen.version != 0 && packet.size() >= kHelloBytesMin)
        return offer_versions(seen);
    if (error != 0 || is_other) return {};
    if (!is_long) return reset(identity, seen, packet.size());
    ngtcp2_pkt_hd header{};
    if (ngtcp2_accept(&header, in(packet), packet.size()) != 0) return {};
    const std::optional<QuicId> original = proven(identity, from, header, now);
    if (!original && needs_proof) return ask_for_proof(identity, from, header, now);
    const Bytes token = std::as_bytes(std::span(header.token.base, header.token.len));
    QuicVerdict verdict{.kind = QuicVerdict::Kind::hello, .hello = {}, .answer = {}};
    verdict.hello.destination = id_of(header.dcid);
    verdict.hello.source = id_of(header.scid);
    verdict.hello.version = header.version;
    verdict.hello.original = original;
    if (original) verdict.hello.token.assign(token.begin(), token.end());
    return verdict;
}

}  // namespace kwaai::p2p
