#include "p2p/security/tls_channel.hpp"

#include <algorithm>
#include <utility>

#include "crypto/tls_engine.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/security/tls_certificate.hpp"
#include "p2p/security/tls_handshake.hpp"
#include "p2p/security/tls_stream.hpp"

namespace kwaai::p2p {
namespace {

std::chrono::sys_seconds system_time() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

struct TlsIdentity::State {
    State(const crypto::CertificateKey& key, Bytes certificate, WallClock wall_clock)
        : context(key, certificate), clock(std::move(wall_clock)) {
        if (!clock) clock = system_time;
    }

    crypto::TlsContext context;
    WallClock clock;
};

TlsIdentity::TlsIdentity(const crypto::PrivateKey& key, WallClock clock) {
    const crypto::CertificateKey certificate_key = crypto::CertificateKey::generate();
    const codec::Buffer certificate =
        make_tls_certificate(certificate_key, key, clock ? clock() : system_time());
    state_ = std::make_unique<State>(certificate_key, certificate, std::move(clock));
}

TlsIdentity::TlsIdentity(const crypto::CertificateKey& key, Bytes certificate, WallClock clock)
    : state_(std::make_unique<State>(key, certificate, std::move(clock))) {}

TlsIdentity::TlsIdentity(TlsIdentity&&) noexcept = default;
TlsIdentity& TlsIdentity::operator=(TlsIdentity&&) noexcept = default;
TlsIdentity::~TlsIdentity() = default;

namespace {

// One side's view of a handshake; the driver moves the bytes.
class Handshake {
public:
    Handshake(crypto::TlsRole role,
              const TlsIdentity::State& identity,
              const std::vector<std::string>& muxers,
              std::optional<PeerId> expected,
              std::shared_ptr<SignatureLimiter> limiter)
        : remote_key_(std::make_shared<std::optional<crypto::PublicKey>>()),
          muxers_(muxers),
          engine_(identity.context,
                  {.role = role,
                   .protocols = with_none(muxers),
                   .verify = judge(
                       remote_key_, identity.clock, std::move(expected), std::move(limiter))}) {}

    [[nodiscard]] crypto::TlsEngine& engine() { return engine_; }

    /// The handshake is done.
    Result<SecureChannel> finish(std::unique_ptr<io::Stream> raw) {
        std::optional<std::string> muxer = engine_.protocol();
        if (muxer == kTlsWithoutMuxer) muxer.reset();
        if (muxer && std::ranges::find(muxers_, *muxer) == muxers_.end())
            return fail(Errc::malformed, "the peer takes a muxer that it was not offered");
        if (!*remote_key_) return fail(Errc::malformed, "the peer shows no certificate");
        return SecureChannel{.stream = make_tls_stream(std::move(raw), std::move(engine_)),
                             .remote_key = **remote_key_,
                             .remote = PeerId::of(**remote_key_),
                             .muxer = std::move(muxer)};
    }

private:
    using KeyPlace = std::shared_ptr<std::optional<crypto::PublicKey>>;

    static std::vector<std::string> with_none(std::vector<std::string> muxers) {
        muxers.emplace_back(kTlsWithoutMuxer);
        return muxers;
    }

    // Owns all that it needs: the engine moves, and outlives the handshake.
    static std::function<Result<>(std::span<const Bytes>)> judge(
        KeyPlace place,
        WallClock clock,
        std::optional<PeerId> expected,
        std::shared_ptr<SignatureLimiter> limiter) {
        return [place = std::move(place),
                clock = std::move(clock),
                expected = std::move(expected),
                limiter = std::move(limiter)](std::span<const Bytes> chain) -> Result<> {
            KWAAI_TRY(*place, verify_tls_chain(chain, clock(), expected, limiter.get()));
            return {};
        };
    }

    KeyPlace remote_key_;
    std::vector<std::string> muxers_;
    crypto::TlsEngine engine_;
};

// The ClientHello behind the proposal, and the answer to the latter.
io::Task<Result<codec::Buffer>> propose(io::Stream& raw, crypto::TlsEngine& engine) {
    codec::Buffer flight = lazy_proposal(kTlsProtocol);
    KWAAI_CO_CHECKED(engine.handshake());
    engine.take_output(flight);
    const Bytes bytes(flight);
    KWAAI_CO_CHECKED(co_await raw.write(bytes));
    Result<codec::Buffer> residue = co_await read_lazy_answer(raw, kTlsProtocol);
    co_return residue;
}

}  // namespace

io::Task<Result<SecureChannel>> tls_outbound(std::unique_ptr<io::Stream> raw,
                                             const TlsIdentity& identity,
                                             const std::vector<std::string>& muxers,
                                             std::optional<PeerId> expected,
                                             std::optional<codec::Buffer> residue,
                                             const HandshakeBounds& bounds) {
    Handshake handshake(
        crypto::TlsRole::client, identity.state(), muxers, std::move(expected), nullptr);
    if (!residue) {
        KWAAI_CO_TRY(residue, co_await propose(*raw, handshake.engine()));
    }
    KWAAI_CO_CHECKED(
        co_await shake_hands(*raw, handshake.engine(), std::move(*residue), bounds.tls_bytes_max));
    co_return handshake.finish(std::move(raw));
}

io::Task<Result<SecureChannel>> tls_inbound(std::unique_ptr<io::Stream> raw,
                                            const TlsIdentity& identity,
                                            const std::vector<std::string>& muxers,
                                            codec::Buffer residue,
                                            const HandshakeBounds& bounds) {
    Handshake handshake(
        crypto::TlsRole::server, identity.state(), muxers, std::nullopt, bounds.signatures);
    KWAAI_CO_CHECKED(
        co_await shake_hands(*raw, handshake.engine(), std::move(residue), bounds.tls_bytes_max));
    co_return handshake.finish(std::move(raw));
}

}  // namespace kwaai::p2p
