// A raw connection made private and authenticated: multistream-select for "/noise", then Noise XX.
#pragma once
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

struct SecureChannel {
    std::unique_ptr<io::Stream>
        stream;  // plaintext; writes are sealed in records of up to 65519 bytes
    crypto::PublicKey remote_key;
    PeerId remote;
    /// The muxer agreed inside the handshake; nothing where multistream-select has to.
    std::optional<std::string> muxer;
};

/// As the dialler. Sends header, "/noise" and the first Noise message in one flight; the last
/// message is held back and leaves with the first write on the channel, or after read_some() is
/// called without one: a dial takes two round trips until the peer's answer to that write.
/// `Errc::malformed` where the peer breaks the protocol, a signature is wrong, or the peer is not
/// `expected`; `unsupported` where it speaks no Noise. No time limit of its own.
io::Task<Result<SecureChannel>> secure_outbound(std::unique_ptr<io::Stream> raw,
                                                const NoiseIdentity& identity,
                                                const std::vector<std::string>& muxers,
                                                std::optional<PeerId> expected);

/// As the listener.
io::Task<Result<SecureChannel>> secure_inbound(std::unique_ptr<io::Stream> raw,
                                               const NoiseIdentity& identity,
                                               const std::vector<std::string>& muxers);

}  // namespace kwaai::p2p
