#include "crypto/web_tls.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.hpp"
#include "crypto/tls_context.hpp"

namespace kwaai::crypto {
namespace {

using BioOwner = std::unique_ptr<BIO, detail::Freer<BIO_free>>;
using X509Owner = std::unique_ptr<X509, detail::Freer<X509_free>>;
using NamesOwner = std::unique_ptr<GENERAL_NAMES, detail::Freer<GENERAL_NAMES_free>>;

constexpr const char* kWebProtocol = "http/1.1";  // of ALPN

BioOwner reader_of(Bytes text) {
    BioOwner reader(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    KWAAI_CHECK(reader != nullptr, "out of memory");
    return reader;
}

// OpenSSL would ask on the terminal.
int no_passphrase(char* /*into*/, int /*size*/, int /*is_writing*/, void* /*argument*/) {
    return -1;
}

Result<std::vector<X509Owner>> read_certificates(Bytes pem, std::size_t count_max) {
    const BioOwner reader = reader_of(pem);
    std::vector<X509Owner> all;
    for (;;) {
        ERR_clear_error();
        X509Owner one(PEM_read_bio_X509(reader.get(), nullptr, no_passphrase, nullptr));
        if (one == nullptr) break;
        all.push_back(std::move(one));
        if (all.size() > count_max)
            return fail(Errc::limit_exceeded,
                        "more than " + std::to_string(count_max) + " certificates");
    }
    // Nothing but their end.
    const auto error = ERR_peek_last_error();
    const bool is_end =
        ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    if (!is_end) return fail(Errc::malformed, "a certificate: " + detail::tls_reason());
    if (all.empty()) return fail(Errc::malformed, "no certificate in PEM (BEGIN CERTIFICATE)");
    return all;
}

std::vector<std::string> dns_names(const X509& certificate) {
    std::vector<std::string> found;
    const NamesOwner names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        int type = 0;
        const void* const value =
            GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
        if (type != GEN_DNS) continue;
        const auto* const text = static_cast<const ASN1_STRING*>(value);
        std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                         static_cast<std::size_t>(ASN1_STRING_length(text)));
        if (!name.contains('*') && !name.contains('\0')) found.push_back(std::move(name));
    }
    return found;
}

std::chrono::sys_seconds not_after(const X509& certificate) {
    std::tm time{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &time) != 1) return {};
    return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&time)));
}

Result<> add_chain(SSL_CTX* context, const std::vector<X509Owner>& chain) {
    if (SSL_CTX_use_certificate(context, chain.front().get()) != 1)
        return fail(Errc::malformed, "the certificate: " + detail::tls_reason());
    for (std::size_t i = 1; i < chain.size(); ++i)
        if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
            return fail(Errc::malformed,
                        "certificate " + std::to_string(i + 1) + ": " + detail::tls_reason());
    return {};
}

}  // namespace

Result<WebServerTls> WebServerTls::from_pem(Bytes chain, Bytes key) {
    const detail::ErrorQueueGuard guard;
    std::unique_ptr<TlsContext::State> state = detail::make_tls_state();
    SSL_CTX* const context = state->context.get();
    KWAAI_TRY(const std::vector<X509Owner> certificates, read_certificates(chain, kWebChainMax));
    std::vector<std::string> names = dns_names(*certificates.front());
    const std::chrono::sys_seconds end = crypto::not_after(*certificates.front());
    KWAAI_CHECKED(add_chain(context, certificates));
    ERR_clear_error();
    const detail::Pkey pkey(
        PEM_read_bio_PrivateKey(reader_of(key).get(), nullptr, no_passphrase, nullptr));
    if (pkey == nullptr)
        return fail(Errc::malformed,
                    "no private key in PEM that needs no passphrase: " + detail::tls_reason());
    if (SSL_CTX_use_PrivateKey(context, pkey.get()) != 1)
        return fail(Errc::invalid_argument,
                    "the key is not that of the first certificate: " + detail::tls_reason());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    WebServerTls made{TlsContext(std::move(state))};
    made.names_ = std::move(names);
    made.not_after_ = end;
    return made;
}

bool WebServerTls::is_for_ip(const std::string& ip) const {
    const detail::ErrorQueueGuard guard;
    X509* const own = SSL_CTX_get0_certificate(context_.state().context.get());
    return X509_check_ip_asc(own, ip.c_str(), 0) == 1;
}

TlsEngine WebServerTls::accept() const {
    return {
        context_,
        {.role = TlsRole::server, .protocols = {kWebProtocol}, .server_name = {}, .verify = {}}};
}

namespace {

std::unique_ptr<TlsContext::State> client_state() {
    const detail::ErrorQueueGuard guard;
    std::unique_ptr<TlsContext::State> state = detail::make_tls_state();
    SSL_CTX* const context = state->context.get();
    // Where there are none, nobody is believed.
    static_cast<void>(SSL_CTX_set_default_verify_paths(context));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    return state;
}

}  // namespace

WebClientTls::WebClientTls() : context_(client_state()) {}

Result<WebClientTls> WebClientTls::with_authorities(Bytes authorities) {
    constexpr std::size_t kAuthoritiesMax = 1000;
    WebClientTls made;
    const detail::ErrorQueueGuard guard;
    KWAAI_TRY(const std::vector<X509Owner> all, read_certificates(authorities, kAuthoritiesMax));
    X509_STORE* const store = SSL_CTX_get_cert_store(made.context_.state().context.get());
    for (const X509Owner& one : all)
        if (X509_STORE_add_cert(store, one.get()) != 1)
            return fail(Errc::malformed, "an authority: " + detail::tls_reason());
    return made;
}

Result<TlsEngine> WebClientTls::connect(const std::string& name) const {
    constexpr std::size_t kNameBytesMax = 253;
    if (name.empty() || name.size() > kNameBytesMax || name.contains('\0'))
        return fail(Errc::invalid_argument, "no name that a certificate could be for");
    return TlsEngine(
        context_,
        {.role = TlsRole::client, .protocols = {kWebProtocol}, .server_name = name, .verify = {}});
}

}  // namespace kwaai::crypto
