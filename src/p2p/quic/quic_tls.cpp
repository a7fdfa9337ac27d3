#include "p2p/quic/quic_tls.hpp"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "crypto/certificate.hpp"
#include "crypto/random.hpp"
#include "p2p/security/tls_certificate.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kAlpn = "libp2p";
// TLS 1.3 alone, AES with 128 bits first: the fastest where the processor has it.
constexpr const char* kPriorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";

std::chrono::sys_seconds system_time() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

gnutls_datum_t datum(Bytes bytes) {
    return {.data = const_cast<unsigned char*>(
                reinterpret_cast<const unsigned char*>(bytes.data())),  // GnuTLS only reads
            .size = static_cast<unsigned>(bytes.size())};
}

int verify(gnutls_session_t session) {
    QuicPeer* const peer = quic_peer_of(session);
    return peer != nullptr && verify_quic_peer(session, *peer) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

}  // namespace

QuicIdentity::QuicIdentity(const crypto::PrivateKey& key,
                           std::shared_ptr<SignatureLimiter> signatures)
    : state_(std::make_unique<State>()) {
    state_->signatures = std::move(signatures);
    const crypto::CertificateKey certificate_key = crypto::CertificateKey::generate();
    const codec::Buffer certificate = make_tls_certificate(certificate_key, key, system_time());
    const crypto::SecretBytes private_key = certificate_key.private_key();
    const gnutls_datum_t certificate_der = datum(certificate);
    const gnutls_datum_t key_der = datum(private_key);
    KWAAI_CHECK(gnutls_certificate_allocate_credentials(&state_->credentials) == 0 &&
                    gnutls_certificate_set_x509_key_mem(
                        state_->credentials, &certificate_der, &key_der, GNUTLS_X509_FMT_DER) >= 0,
                "GnuTLS takes a certificate of ours");
    gnutls_certificate_set_verify_function(state_->credentials, verify);
    crypto::fill_random(state_->reset_secret);
    crypto::fill_random(state_->retry_secret);
}

QuicIdentity::~QuicIdentity() {
    gnutls_certificate_free_credentials(state_->credentials);
}

gnutls_session_t make_quic_tls(const QuicIdentity& identity, bool is_server) {
    const unsigned side = is_server ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT;
    gnutls_session_t session = nullptr;
    const gnutls_datum_t alpn = datum(as_bytes(kAlpn));
    KWAAI_CHECK(gnutls_init(&session, side | GNUTLS_NO_TICKETS) == 0 &&
                    gnutls_priority_set_direct(session, kPriorities, nullptr) == 0 &&
                    gnutls_credentials_set(
                        session, GNUTLS_CRD_CERTIFICATE, identity.state().credentials) == 0 &&
                    gnutls_alpn_set_protocols(session, &alpn, 1, GNUTLS_ALPN_MANDATORY) == 0,
                "GnuTLS makes a session");
    if (is_server) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    return session;
}

bool verify_quic_peer(gnutls_session_t session, QuicPeer& peer) {
    unsigned count = 0;
    const gnutls_datum_t* const shown = gnutls_certificate_get_peers(session, &count);
    std::vector<Bytes> chain;
    for (unsigned i = 0; i < count; ++i)
        chain.push_back(std::as_bytes(std::span(shown[i].data, shown[i].size)));
    Result<crypto::PublicKey> key =
        verify_tls_chain(chain, system_time(), peer.expected, peer.signatures);
    if (!key) {
        peer.refusal = std::move(key).error();
        return false;
    }
    peer.key = std::move(*key);
    return true;
}

bool has_agreed_on_libp2p(gnutls_session_t session) {
    gnutls_datum_t chosen{};
    return gnutls_alpn_get_selected_protocol(session, &chosen) == 0 &&
           as_text(std::as_bytes(std::span(chosen.data, chosen.size))) == kAlpn;
}

}  // namespace kwaai::p2p
