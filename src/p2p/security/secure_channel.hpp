// A raw connection made private and authenticated: multistream-select for "/noise" or "/tls/1.0.0",
// then Noise XX or TLS 1.3.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/key.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/security/handshake_bounds.hpp"

namespace kwaai::p2p {

class NoiseIdentity;
class TlsIdentity;

/// How connections are made private.
enum class Security : std::uint8_t { noise, tls };

/// What a node brings to all its handshakes: keys and certificates that its identity has signed.
/// Made once.
class SecureIdentity {
public:
    /// @param securities what a listener accepts, at least one
    /// @param random as in HostOptions; the system's where empty. TLS always uses the system's.
    SecureIdentity(const crypto::PrivateKey& key,
                   const std::vector<Security>& securities,
                   const std::function<void(MutableBytes)>& random,
                   HandshakeBounds bounds = HandshakeBounds());
    /// For one security alone.
    explicit SecureIdentity(NoiseIdentity noise, HandshakeBounds bounds = HandshakeBounds());
    explicit SecureIdentity(TlsIdentity tls, HandshakeBounds bounds = HandshakeBounds());
    SecureIdentity(SecureIdentity&&) noexcept;
    SecureIdentity& operator=(SecureIdentity&&) noexcept;
    ~SecureIdentity();

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

struct SecureChannel {
    std::unique_ptr<io::Stream> stream;  // plaintext; writes are sealed in records
    crypto::PublicKey remote_key;
    PeerId remote;
    /// The muxer agreed inside the handshake; nothing where multistream-select has to.
    std::optional<std::string> muxer;
};

/// As the dialler. Proposes `securities` of the identity (at least one), by preference.
/// Noise as the first, and whatever is the only one, is proposed in one flight with the handshake's
/// first message: a dial takes two round trips until the peer's answer to the first write. Where
/// the peer refuses that, `Errc::unsupported`, nothing else can be tried on this connection.
/// Otherwise the peer is asked first, for one after the other, which takes a round trip more.
/// `Errc::malformed` where the peer breaks the protocol, a signature is wrong, or the peer is not
/// `expected`; `unsupported` where it speaks none of them. No time limit of its own.
io::Task<Result<SecureChannel>> secure_outbound(std::unique_ptr<io::Stream> raw,
                                                const SecureIdentity& identity,
                                                const std::vector<Security>& securities,
                                                const std::vector<std::string>& muxers,
                                                std::optional<PeerId> expected);

/// As the listener, with whatever of the identity's securities the peer proposes. Errors as above;
/// `Errc::limit_exceeded` beyond the identity's bounds.
io::Task<Result<SecureChannel>> secure_inbound(std::unique_ptr<io::Stream> raw,
                                               const SecureIdentity& identity,
                                               const std::vector<std::string>& muxers);

}  // namespace kwaai::p2p
