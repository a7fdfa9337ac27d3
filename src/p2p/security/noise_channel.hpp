// Noise over a raw connection, behind the agreement on "/noise".
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "p2p/security/handshake_bounds.hpp"
#include "p2p/security/secure_channel.hpp"

namespace kwaai::p2p {

/// What a node brings to all its handshakes. Made once: the signature over the static key is cached
/// (an RSA one takes a millisecond).
class NoiseIdentity {
public:
    /// A new static X25519 key, signed by `key`. `random` as in HostOptions; the system's where
    /// empty.
    NoiseIdentity(const crypto::PrivateKey& key, std::function<void(MutableBytes)> random);
    NoiseIdentity(NoiseIdentity&&) noexcept;
    NoiseIdentity& operator=(NoiseIdentity&&) noexcept;
    ~NoiseIdentity();

    struct State;

    [[nodiscard]] const State& state() const { return *state_; }

private:
    std::unique_ptr<State> state_;
};

/// As the dialler. The last message is held back and leaves with the first write on the channel, or
/// after read_some() is called without one. Errors as secure_outbound().
/// @param residue bytes that came behind the agreement on "/noise"; nothing where that is still to
///   be proposed, in one flight with the first message
/// @param bounds outlives the handshake
io::Task<Result<SecureChannel>> noise_outbound(std::unique_ptr<io::Stream> raw,
                                               const NoiseIdentity& identity,
                                               const std::vector<std::string>& muxers,
                                               std::optional<PeerId> expected,
                                               std::optional<codec::Buffer> residue,
                                               const HandshakeBounds& bounds);

/// As the listener.
io::Task<Result<SecureChannel>> noise_inbound(std::unique_ptr<io::Stream> raw,
                                              const NoiseIdentity& identity,
                                              const std::vector<std::string>& muxers,
                                              codec::Buffer residue,
                                              const HandshakeBounds& bounds);

}  // namespace kwaai::p2p
