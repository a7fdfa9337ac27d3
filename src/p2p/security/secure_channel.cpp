#include "p2p/security/secure_channel.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/security/noise_channel.hpp"
#include "p2p/security/noise_wire.hpp"
#include "p2p/security/tls_channel.hpp"

namespace kwaai::p2p {

struct SecureIdentity::State {
    [[nodiscard]] bool has(Security security) const {
        return security == Security::noise ? noise.has_value() : tls.has_value();
    }

    HandshakeBounds bounds;
    std::optional<NoiseIdentity> noise;
    std::optional<TlsIdentity> tls;
};

SecureIdentity::SecureIdentity(const crypto::PrivateKey& key,
                               const std::vector<Security>& securities,
                               const std::function<void(MutableBytes)>& random,
                               HandshakeBounds bounds)
    : state_(std::make_unique<State>()) {
    state_->bounds = std::move(bounds);
    KWAAI_CHECK(!securities.empty(), "a node without any security");
    for (const Security security : securities) {
        if (security == Security::noise) state_->noise.emplace(key, random);
        if (security == Security::tls) state_->tls.emplace(key);
    }
}

SecureIdentity::SecureIdentity(NoiseIdentity noise, HandshakeBounds bounds)
    : state_(std::make_unique<State>()) {
    state_->bounds = std::move(bounds);
    state_->noise.emplace(std::move(noise));
}

SecureIdentity::SecureIdentity(TlsIdentity tls, HandshakeBounds bounds)
    : state_(std::make_unique<State>()) {
    state_->bounds = std::move(bounds);
    state_->tls.emplace(std::move(tls));
}

SecureIdentity::SecureIdentity(SecureIdentity&&) noexcept = default;
SecureIdentity& SecureIdentity::operator=(SecureIdentity&&) noexcept = default;
SecureIdentity::~SecureIdentity() = default;

namespace {

std::string_view protocol_of(Security security) {
    return security == Security::noise ? kNoiseProtocol : kTlsProtocol;
}

io::Task<Result<SecureChannel>> connect(std::unique_ptr<io::Stream> raw,
                                        const SecureIdentity::State& identity,
                                        const std::vector<Security>& securities,
                                        const std::vector<std::string>& muxers,
                                        std::optional<PeerId> expected) {
    Security chosen = securities.front();
    std::optional<codec::Buffer> residue;
    // All libp2p nodes speak Noise, not all TLS: only on Noise is the connection worth betting.
    if (chosen != Security::noise && securities.size() > 1) {
        std::vector<std::string> protocols;
        for (const Security security : securities)
            protocols.emplace_back(protocol_of(security));
        KWAAI_CO_TRY(Negotiated agreed, co_await negotiate_outbound(*raw, protocols));
        if (agreed.protocol == kNoiseProtocol) chosen = Security::noise;
        residue = std::move(agreed.residue);
    }
    KWAAI_CHECK(identity.has(chosen), "a security that the identity is not made for");
    if (chosen == Security::noise) {
        Result<SecureChannel> channel = co_await noise_outbound(std::move(raw),
                                                                *identity.noise,
                                                                muxers,
                                                                std::move(expected),
                                                                std::move(residue),
                                                                identity.bounds);
        co_return channel;
    }
    Result<SecureChannel> channel = co_await tls_outbound(std::move(raw),
                                                          *identity.tls,
                                                          muxers,
                                                          std::move(expected),
                                                          std::move(residue),
                                                          identity.bounds);
    co_return channel;
}

io::Task<Result<SecureChannel>> accept(std::unique_ptr<io::Stream> raw,
                                       const SecureIdentity::State& identity,
                                       const std::vector<std::string>& muxers) {
    const Limits limits;
    const std::function<bool(std::string_view)> knows = [&identity](std::string_view protocol) {
        return (protocol == kNoiseProtocol && identity.has(Security::noise)) ||
               (protocol == kTlsProtocol && identity.has(Security::tls));
    };
    KWAAI_CO_TRY(Negotiated agreed, co_await negotiate_inbound(*raw, knows, limits));
    if (agreed.protocol == kNoiseProtocol) {
        Result<SecureChannel> channel = co_await noise_inbound(
            std::move(raw), *identity.noise, muxers, std::move(agreed.residue), identity.bounds);
        co_return channel;
    }
    Result<SecureChannel> channel = co_await tls_inbound(
        std::move(raw), *identity.tls, muxers, std::move(agreed.residue), identity.bounds);
    co_return channel;
}

}  // namespace

io::Task<Result<SecureChannel>> secure_outbound(std::unique_ptr<io::Stream> raw,
                                                const SecureIdentity& identity,
                                                const std::vector<Security>& securities,
                                                const std::vector<std::string>& muxers,
                                                std::optional<PeerId> expected) {
    KWAAI_CHECK(!securities.empty(), "no security is proposed");
    const std::string doing = "securing the connection to " + raw->peer();
    Result<SecureChannel> channel =
        co_await connect(std::move(raw), identity.state(), securities, muxers, std::move(expected));
    if (!channel) co_return forward_error(channel, doing);
    co_return channel;
}

io::Task<Result<SecureChannel>> secure_inbound(std::unique_ptr<io::Stream> raw,
                                               const SecureIdentity& identity,
                                               const std::vector<std::string>& muxers) {
    const std::string doing = "securing the connection of " + raw->peer();
    Result<SecureChannel> channel = co_await accept(std::move(raw), identity.state(), muxers);
    if (!channel) co_return forward_error(channel, doing);
    co_return channel;
}

}  // namespace kwaai::p2p
