#include "crypto/tls_engine.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.hpp"
#include "crypto/certificate_key.hpp"
#include "crypto/tls_context.hpp"

namespace kwaai::crypto {
namespace {

using detail::in;
using SslOwner = std::unique_ptr<SSL, detail::Freer<SSL_free>>;

constexpr std::size_t kBusyBytes = kTlsPlainBytesMax / 2;  // at once: more are likely to follow
constexpr int kQuietUses = 8;  // in a row with less: nobody is busy any more
constexpr long kChainBytesMax = 2 * static_cast<long>(kCertificateBytesMax);
// AES-128 first: fewer rounds than AES-256, and as hard to break in practice.
constexpr const char* kCiphers =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256:P-384";

// The list of ALPN: each name behind its length.
std::vector<unsigned char> protocol_list(const std::vector<std::string>& protocols) {
    std::vector<unsigned char> list;
    for (const std::string& protocol : protocols) {
        KWAAI_CHECK(!protocol.empty() && protocol.size() <= 255, "a name that ALPN cannot say");
        list.push_back(static_cast<unsigned char>(protocol.size()));
        list.insert(list.end(), protocol.begin(), protocol.end());
    }
    return list;
}

// What OpenSSL writes goes to the end of the vector that is the BIO's data.
int append(BIO* bio, const char* bytes, std::size_t count, std::size_t* taken) {
    auto& into = *static_cast<std::vector<std::byte>*>(BIO_get_data(bio));
    const Bytes written = std::as_bytes(std::span(bytes, count));
    into.insert(into.end(), written.begin(), written.end());
    *taken = count;
    return 1;
}

long control(BIO* /*bio*/, int command, long /*number*/, void* /*argument*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* output_method() {
    static const auto method = [] {
        const int type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
        std::unique_ptr<BIO_METHOD, detail::Freer<BIO_meth_free>> made(
            BIO_meth_new(type, "vector"));
        KWAAI_CHECK(made != nullptr && BIO_meth_set_write_ex(made.get(), append) == 1 &&
                        BIO_meth_set_ctrl(made.get(), control) == 1,
                    "out of memory");
        return made;
    }();
    return method.get();
}

Result<> no_judge(std::span<const Bytes> /*chain*/) {
    return fail(Errc::malformed, "nobody judges the peer's certificate");
}

}  // namespace

std::string detail::tls_reason() {
    const char* const text = ERR_reason_error_string(ERR_peek_last_error());
    return text != nullptr ? text : "unknown failure";
}

std::unique_ptr<TlsContext::State> detail::make_tls_state() {
    auto state = std::make_unique<TlsContext::State>();
    state->context.reset(SSL_CTX_new(TLS_method()));
    SSL_CTX* const context = state->context.get();
    KWAAI_CHECK(context != nullptr && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                    SSL_CTX_set_ciphersuites(context, kCiphers) == 1 &&
                    SSL_CTX_set1_groups_list(context, kGroups) == 1,
                "OpenSSL speaks TLS 1.3");
    SSL_CTX_set_options(context,
                        SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    KWAAI_CHECK(SSL_CTX_set_num_tickets(context, 0) == 1, "OpenSSL can do without tickets");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, kChainBytesMax);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return state;
}

struct TlsEngine::State {
    SslOwner ssl;
    BIO* input = nullptr;  // of ssl
    std::vector<std::byte> output;
    bool keeps_buffers = false;
    int quiet_uses = 0;  // in a row
    TlsOptions options;
    std::optional<Error> refusal;  // of options.verify

    static State& of(const SSL* ssl) { return *static_cast<State*>(SSL_get_app_data(ssl)); }

    static int judge(X509_STORE_CTX* store, void* /*argument*/) {
        const auto* const connection = static_cast<const SSL*>(
            X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
        State& state = of(connection);
        std::vector<std::vector<std::byte>> written;
        STACK_OF(X509)* const shown = X509_STORE_CTX_get0_untrusted(store);
        for (int i = 0; i < sk_X509_num(shown); ++i) {
            X509* const certificate = sk_X509_value(shown, i);
            std::vector<std::byte>& der = written.emplace_back(
                static_cast<std::size_t>(std::max(0, i2d_X509(certificate, nullptr))));
            unsigned char* to = detail::out(der);
            (void)i2d_X509(certificate, &to);
        }
        const std::vector<Bytes> chain(written.begin(), written.end());
        if (const Result<> verdict = state.options.verify(chain); !verdict) {
            state.refusal = verdict.error();
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
            return 0;
        }
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }

    static int choose_protocol(SSL* connection,
                               const unsigned char** chosen,
                               unsigned char* chosen_size,
                               const unsigned char* offered,
                               unsigned int offered_size,
                               void* /*argument*/) {
        const std::vector<std::string>& ours = of(connection).options.protocols;
        std::span<const unsigned char> rest(offered, offered_size);
        while (!rest.empty() && rest.size() > rest[0]) {
            const auto name = rest.subspan(1, rest[0]);
            if (std::ranges::find(ours, as_text(std::as_bytes(name))) != ours.end()) {
                *chosen = name.data();
                *chosen_size = rest[0];
                return SSL_TLSEXT_ERR_OK;
            }
            rest = rest.subspan(1 + name.size());
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }

    // OpenSSL's buffers for a record each way: many large records use them again and again, a
    // connection that says little does without. The last record of a large message may be small.
    void keep_buffers(bool is_large) {
        quiet_uses = is_large ? 0 : std::min(quiet_uses + 1, kQuietUses);
        const bool is_busy = quiet_uses < (keeps_buffers ? kQuietUses : 1);
        if (is_busy == std::exchange(keeps_buffers, is_busy)) return;
        if (is_busy)
            SSL_clear_mode(ssl.get(), SSL_MODE_RELEASE_BUFFERS);
        else
            SSL_set_mode(ssl.get(), SSL_MODE_RELEASE_BUFFERS);
    }

    // Whether the peer has to say more; an error of `result` else.
    Result<bool> wants_more(int result) {
        const int error = SSL_get_error(ssl.get(), result);
        if (error == SSL_ERROR_WANT_READ) return true;
        if (refusal) return std::unexpected(*refusal);
        if (const long verdict = SSL_get_verify_result(ssl.get()); verdict != X509_V_OK)
            return fail(Errc::malformed,
                        "TLS: the certificate of " + options.server_name +
                            " is not believed: " + X509_verify_cert_error_string(verdict));
        if (error == SSL_ERROR_ZERO_RETURN) return false;
        return fail(Errc::malformed, "TLS: " + detail::tls_reason());
    }
};

TlsContext::TlsContext(const CertificateKey& key, Bytes certificate) {
    const detail::ErrorQueueGuard guard;
    state_ = detail::make_tls_state();
    SSL_CTX* const context = state_->context.get();
    KWAAI_CHECK(SSL_CTX_use_certificate_ASN1(
                    context, static_cast<int>(certificate.size()), in(certificate)) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key.state().pkey.get()) == 1,
                "a certificate of ours belongs to its key");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context, &TlsEngine::State::judge, nullptr);
    SSL_CTX_set_alpn_select_cb(context, &TlsEngine::State::choose_protocol, nullptr);
}

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {
    SSL_CTX_set_alpn_select_cb(state_->context.get(), &TlsEngine::State::choose_protocol, nullptr);
}

namespace {

// A name is asked for as well; an IP address cannot be (RFC 6066).
void expect_server(SSL* ssl, const std::string& name) {
    X509_VERIFY_PARAM* const expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) == 1) return;
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    KWAAI_CHECK(X509_VERIFY_PARAM_set1_host(expected, name.data(), name.size()) == 1 &&
                    SSL_set_tlsext_host_name(ssl, name.c_str()) == 1,
                "the server's name is one");
}

}  // namespace

TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;

TlsEngine::TlsEngine(const TlsContext& context, TlsOptions options)
    : state_(std::make_unique<State>()) {
    const detail::ErrorQueueGuard guard;
    state_->options = std::move(options);
    if (!state_->options.verify) state_->options.verify = no_judge;
    state_->ssl.reset(SSL_new(context.state().context.get()));
    SSL* const ssl = state_->ssl.get();
    state_->input = BIO_new(BIO_s_mem());
    BIO* const output = BIO_new(output_method());
    KWAAI_CHECK(ssl != nullptr && state_->input != nullptr && output != nullptr, "out of memory");
    BIO_set_data(output, &state_->output);
    BIO_set_init(output, 1);
    // At its end is more, some time: not the end of the connection.
    BIO_set_mem_eof_return(state_->input, -1);
    SSL_set_bio(ssl, state_->input, output);
    SSL_set_app_data(ssl, state_.get());
    if (state_->options.role == TlsRole::server) {
        SSL_set_accept_state(ssl);
        return;
    }
    SSL_set_connect_state(ssl);
    if (!state_->options.server_name.empty()) expect_server(ssl, state_->options.server_name);
    const std::vector<unsigned char> list = protocol_list(state_->options.protocols);
    KWAAI_CHECK(list.empty() ||
                    SSL_set_alpn_protos(ssl, list.data(), static_cast<unsigned>(list.size())) == 0,
                "out of memory");
}

TlsEngine::TlsEngine(TlsEngine&&) noexcept = default;
TlsEngine& TlsEngine::operator=(TlsEngine&&) noexcept = default;
TlsEngine::~TlsEngine() = default;

void TlsEngine::feed(Bytes bytes) {
    state_->keep_buffers(bytes.size() >= kBusyBytes);
    KWAAI_CHECK(
        bytes.empty() || BIO_write(state_->input, bytes.data(), static_cast<int>(bytes.size())) ==
                             static_cast<int>(bytes.size()),
        "out of memory");
}

void TlsEngine::take_output(std::vector<std::byte>& out) {
    if (out.empty()) return out.swap(state_->output);
    out.insert(out.end(), state_->output.begin(), state_->output.end());
    state_->output.clear();
}

Result<bool> TlsEngine::handshake() {
    const detail::ErrorQueueGuard guard;
    const int result = SSL_do_handshake(state_->ssl.get());
    if (result == 1) return true;
    KWAAI_TRY(const bool wants_more, state_->wants_more(result));
    if (wants_more) return false;
    return fail(Errc::malformed, "TLS: the peer ends the connection during the handshake");
}

std::optional<std::string> TlsEngine::protocol() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
    if (size == 0) return std::nullopt;
    return std::string(as_text(std::as_bytes(std::span(name, size))));
}

Result<std::optional<std::size_t>> TlsEngine::read(MutableBytes into) {
    const detail::ErrorQueueGuard guard;
    std::size_t count = 0;
    const int result = SSL_read_ex(state_->ssl.get(), into.data(), into.size(), &count);
    if (result == 1) return count;
    KWAAI_TRY(const bool wants_more, state_->wants_more(result));
    if (wants_more) return std::nullopt;
    return std::size_t{0};
}

Result<> TlsEngine::write(Bytes plain) {
    KWAAI_CHECK(!plain.empty() && plain.size() <= kTlsPlainBytesMax, "a record of 1 to 16384");
    const detail::ErrorQueueGuard guard;
    state_->keep_buffers(plain.size() >= kBusyBytes);
    std::size_t count = 0;
    if (SSL_write_ex(state_->ssl.get(), plain.data(), plain.size(), &count) == 1) return {};
    return fail(Errc::closed, "TLS: " + detail::tls_reason());
}

Result<> TlsEngine::end() {
    const detail::ErrorQueueGuard guard;
    if ((SSL_get_shutdown(state_->ssl.get()) & SSL_SENT_SHUTDOWN) != 0) return {};
    if (SSL_shutdown(state_->ssl.get()) >= 0) return {};
    return fail(Errc::closed, "TLS: " + detail::tls_reason());
}

}  // namespace kwaai::crypto
