// TLS 1.3 without a stream: bytes in, bytes out (RFC 8446). Both sides show a certificate, and who
// may show which is for the caller to say; as on the web: web_tls.hpp.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/certificate.hpp"

namespace kwaai::crypto {

constexpr std::size_t kTlsPlainBytesMax = 16384;  // of one record
/// What a record adds: header, content type, tag.
constexpr std::size_t kTlsOverheadBytes = 22;

enum class TlsRole : std::uint8_t { client, server };

/// What connections have in common: the own certificate. No session is ever resumed.
class TlsContext {
public:
    /// @param certificate of `key`, in DER, as CertificateKey::certify() makes it
    TlsContext(const CertificateKey& key, Bytes certificate);
    TlsContext(TlsContext&&) noexcept;
    TlsContext& operator=(TlsContext&&) noexcept;
    ~TlsContext();

    struct State;

    explicit TlsContext(std::unique_ptr<State> state);

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

struct TlsOptions {
    TlsRole role = TlsRole::client;
    /// Application protocols. A client offers them in this order, and a server takes the first of
    /// the client's that is among them; where none is, it ends the handshake.
    std::vector<std::string> protocols;
    /// Of a client on the web: the DNS name or IP address that the server's certificate has to
    /// be for.
    std::string server_name;
    /// Judges the certificates that the peer shows, each in DER, before its signature over the
    /// handshake is checked and before any byte of its application is given out. Its error is that
    /// of handshake(). Not called on the web.
    std::function<Result<>(std::span<const Bytes> chain)> verify;
};

/// One side of a connection. After an error it gives only its output, with the alert for the peer.
class TlsEngine {
public:
    /// `context` may go before the engine.
    TlsEngine(const TlsContext& context, TlsOptions options);
    TlsEngine(TlsEngine&&) noexcept;
    TlsEngine& operator=(TlsEngine&&) noexcept;
    ~TlsEngine();

    /// Takes bytes of the peer. They are kept until handshake() or read() uses them: feed what one
    /// read of the transport gave, and use it up.
    void feed(Bytes bytes);
    /// Appends what is to be sent to `out`: look after each call of handshake(), write() and end().
    /// Where `out` is empty its memory is used for what comes next.
    void take_output(std::vector<std::byte>& out);

    /// Goes as far as what was fed allows; whether the handshake is done, else more is needed.
    /// `Errc::malformed` where the peer breaks the protocol or ends it with an alert.
    [[nodiscard]] Result<bool> handshake();
    /// The application protocol that both agree on; nothing where the client offered none, or the
    /// server took none.
    [[nodiscard]] std::optional<std::string> protocol() const;

    /// Plaintext into the front of `into` (not empty): how many bytes; 0 once the peer has said
    /// that no more come; nothing where more bytes have to be fed. `Errc::malformed`.
    [[nodiscard]] Result<std::optional<std::size_t>> read(MutableBytes into);
    /// Seals one record of 1 to kTlsPlainBytesMax bytes.
    [[nodiscard]] Result<> write(Bytes plain);
    /// Tells the peer that no more comes (close_notify); reading goes on. Repeatable.
    [[nodiscard]] Result<> end();

private:
    friend class TlsContext;
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::crypto
