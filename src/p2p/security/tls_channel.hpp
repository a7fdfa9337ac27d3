// TLS 1.3 over a raw connection, behind the agreement on "/tls/1.0.0".
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "codec/buffer.hpp"
#include "crypto/certificate.hpp"
#include "crypto/key.hpp"
#include "p2p/security/handshake_bounds.hpp"
#include "p2p/security/secure_channel.hpp"
#include "p2p/security/tls_handshake.hpp"

namespace kwaai::p2p {

constexpr std::string_view kTlsProtocol = "/tls/1.0.0";
/// The application protocol that stands for "no muxer is agreed here".
constexpr std::string_view kTlsWithoutMuxer = "libp2p";

using WallClock = std::function<std::chrono::sys_seconds()>;

/// What a node brings to all its handshakes: a certificate on a key of its own, made once.
class TlsIdentity {
public:
    /// @param clock what certificates are made and judged by; the system's where empty
    explicit TlsIdentity(const crypto::PrivateKey& key, WallClock clock = nullptr);
    /// With a `certificate` of `key`, in DER.
    TlsIdentity(const crypto::CertificateKey& key, Bytes certificate, WallClock clock = nullptr);
    TlsIdentity(TlsIdentity&&) noexcept;
    TlsIdentity& operator=(TlsIdentity&&) noexcept;
    ~TlsIdentity();

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

/// As the dialler. Errors as secure_outbound(); a listener that refuses us may say so only to the
/// first read. `Errc::limit_exceeded` for a handshake of more bytes than `bounds` allow.
/// @param residue bytes that came behind the agreement on "/tls/1.0.0"; nothing where that is still
///   to be proposed, in one flight with the ClientHello
/// @param bounds outlives the handshake
io::Task<Result<SecureChannel>> tls_outbound(std::unique_ptr<io::Stream> raw,
                                             const TlsIdentity& identity,
                                             const std::vector<std::string>& muxers,
                                             std::optional<PeerId> expected,
                                             std::optional<codec::Buffer> residue,
                                             const HandshakeBounds& bounds);

/// As the listener.
io::Task<Result<SecureChannel>> tls_inbound(std::unique_ptr<io::Stream> raw,
                                            const TlsIdentity& identity,
                                            const std::vector<std::string>& muxers,
                                            codec::Buffer residue,
                                            const HandshakeBounds& bounds);

}  // namespace kwaai::p2p
