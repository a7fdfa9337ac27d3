// TLS 1.3 of QUIC connections, by GnuTLS; for the sources of this folder.
#pragma once
#include <array>
#include <cstddef>
#include <optional>

#include <gnutls/gnutls.h>

#include "base/result.hpp"
#include "crypto/key.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/quic/quic_identity.hpp"

namespace kwaai::p2p {

struct QuicIdentity::State {
    gnutls_certificate_credentials_t credentials = nullptr;
    std::array<std::byte, 32> reset_secret{};  // makes tokens of stateless resets
    std::array<std::byte, 32> retry_secret{};  // seals tokens of retries
    std::shared_ptr<SignatureLimiter> signatures;
};

/// Who the peer is, as far as its handshake has told.
struct QuicPeer {
    std::optional<PeerId> expected;
    SignatureLimiter* signatures = nullptr;  // asked before one of the peer's is verified
    std::optional<crypto::PublicKey> key;
    std::optional<Error> refusal;
};

/// A session that demands a certificate and "libp2p" as the application protocol. ngtcp2 has to
/// be told of it.
[[nodiscard]] gnutls_session_t make_quic_tls(const QuicIdentity& identity, bool is_server);
/// Judges the peer's certificate; called in the handshake. False where it does not hold.
[[nodiscard]] bool verify_quic_peer(gnutls_session_t session, QuicPeer& peer);
[[nodiscard]] bool has_agreed_on_libp2p(gnutls_session_t session);

/// Where GnuTLS finds the QuicPeer of a session: called by its verifier.
[[nodiscard]] QuicPeer* quic_peer_of(gnutls_session_t session);

}  // namespace kwaai::p2p
