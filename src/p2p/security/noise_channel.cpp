#include "p2p/security/noise_channel.hpp"

#include <algorithm>
#include <utility>

#include "crypto/random.hpp"
#include "p2p/protocol/multistream.hpp"
#include "p2p/security/noise_state.hpp"
#include "p2p/security/noise_wire.hpp"
#include "p2p/security/secure_stream.hpp"

namespace kwaai::p2p {

struct NoiseIdentity::State {
    [[nodiscard]] crypto::X25519Pair new_pair() const {
        crypto::SecretBytes secret(32);
        random(secret);
        return crypto::x25519_pair(secret);
    }

    std::function<void(MutableBytes)> random;
    crypto::X25519Pair static_pair;
    NoisePayload payload;  // without muxers
};

NoiseIdentity::NoiseIdentity(const crypto::PrivateKey& key,
                             std::function<void(MutableBytes)> random)
    : state_(std::make_unique<State>()) {
    state_->random = random ? std::move(random) : crypto::fill_random;
    state_->static_pair = state_->new_pair();
    state_->payload.identity_key = codec::to_buffer(key.public_key().protobuf());
    state_->payload.identity_signature =
        key.sign(signed_static_key(state_->static_pair.public_key));
}

NoiseIdentity::NoiseIdentity(NoiseIdentity&&) noexcept = default;
NoiseIdentity& NoiseIdentity::operator=(NoiseIdentity&&) noexcept = default;
NoiseIdentity::~NoiseIdentity() = default;

namespace {

// One side's view of a handshake; the driver moves the messages.
class Handshake {
public:
    Handshake(NoiseRole role,
              const NoiseIdentity& identity,
              const std::vector<std::string>& muxers,
              std::optional<PeerId> expected,
              SignatureLimiter* limiter)
        : noise_(role,
                 NoiseKeys{.local_static = identity.state().static_pair,
                           .ephemeral = identity.state().new_pair()}),
          payload_(identity.state().payload),
          expected_(std::move(expected)),
          limiter_(limiter) {
        payload_.muxers = muxers;
    }

    // Initiator's first: whatever it says is neither secret nor authentic, so it says nothing.
    Result<codec::Buffer> write_hello() { return framed(Bytes()); }

    Result<> read_hello(Bytes message) {
        KWAAI_TRY(const codec::Buffer payload, noise_.read_message(message));
        if (payload.empty()) return {};
        return fail(Errc::malformed, "the first handshake message has a payload");
    }

    Result<codec::Buffer> write_identity() { return framed(write_noise_payload(payload_)); }

    Result<> read_identity(Bytes message) {
        KWAAI_TRY(const codec::Buffer bytes, noise_.read_message(message));
        KWAAI_TRY(NoisePayload payload, read_noise_payload(bytes));
        KWAAI_TRY(remote_key_,
                  verify_identity(payload, noise_.remote_static(), expected_, limiter_));
        remote_muxers_ = std::move(payload.muxers);
        return {};
    }

    // The handshake is finished; `held` and `residue` as in make_secure_stream().
    SecureChannel finish(std::unique_ptr<io::Stream> raw,
                         NoiseRole role,
                         codec::Buffer held,
                         Bytes residue) {
        const bool is_initiator = role == NoiseRole::initiator;
        return SecureChannel{
            .stream = make_secure_stream(std::move(raw), noise_.split(), std::move(held), residue),
            .remote_key = *remote_key_,
            .remote = PeerId::of(*remote_key_),
            .muxer = choose_muxer(is_initiator ? payload_.muxers : remote_muxers_,
                                  is_initiator ? remote_muxers_ : payload_.muxers)};
    }

private:
    Result<codec::Buffer> framed(Bytes payload) {
        KWAAI_TRY(const codec::Buffer message, noise_.write_message(payload));
        codec::Buffer frame;
        append_noise_frame(frame, message);
        return frame;
    }

    NoiseHandshake noise_;
    NoisePayload payload_;
    std::optional<PeerId> expected_;
    SignatureLimiter* limiter_;
    std::optional<crypto::PublicKey> remote_key_;
    std::vector<std::string> remote_muxers_;
};

// Reads handshake messages; what comes behind the last one remains.
class MessageReader {
public:
    MessageReader(codec::Buffer residue, std::size_t message_bytes_max)
        : bytes_(std::move(residue)), message_bytes_max_(message_bytes_max) {}

    // A view that is valid until the next call.
    io::Task<Result<Bytes>> next(io::Stream& stream) {
        KWAAI_CO_CHECKED(co_await fill(stream, 2));
        const auto high = std::to_integer<std::size_t>(bytes_[begin_]);
        const auto low = std::to_integer<std::size_t>(bytes_[begin_ + 1]);
        const std::size_t size = high << 8 | low;
        if (size > message_bytes_max_)
            co_return fail(Errc::malformed,
                           "a handshake message of " + std::to_string(size) + " bytes, at most " +
                               std::to_string(message_bytes_max_) + " expected");
        KWAAI_CO_CHECKED(co_await fill(stream, 2 + size));
        const Bytes message = Bytes(bytes_).subspan(begin_ + 2, size);
        begin_ += 2 + size;
        co_return message;
    }

    [[nodiscard]] Bytes residue() const { return Bytes(bytes_).subspan(begin_); }

private:
    // Until `count` bytes are there.
    io::Task<Result<>> fill(io::Stream& stream, std::size_t count) {
        while (bytes_.size() - begin_ < count) {
            bytes_.erase(bytes_.begin(),
                         bytes_.begin() + static_cast<std::ptrdiff_t>(std::exchange(begin_, 0)));
            const std::size_t held = bytes_.size();
            bytes_.resize(2 + message_bytes_max_);
            const MutableBytes space = MutableBytes(bytes_).subspan(held);
            const Result<std::size_t> arrived = co_await stream.read_some(space);
            bytes_.resize(held + arrived.value_or(0));
            if (!arrived) co_return std::unexpected<Error>(arrived.error());
            if (*arrived == 0)
                co_return fail(Errc::closed, "the peer ended the connection during the handshake");
        }
        co_return Result<>();
    }

    codec::Buffer bytes_;
    std::size_t begin_ = 0;
    std::size_t message_bytes_max_;
};

}  // namespace

io::Task<Result<SecureChannel>> noise_outbound(std::unique_ptr<io::Stream> raw,
                                               const NoiseIdentity& identity,
                                               const std::vector<std::string>& muxers,
                                               std::optional<PeerId> expected,
                                               std::optional<codec::Buffer> residue,
                                               const HandshakeBounds& bounds) {
    Handshake handshake(NoiseRole::initiator, identity, muxers, std::move(expected), nullptr);
    codec::Buffer flight;
    if (!residue) flight = lazy_proposal(kNoiseProtocol);
    KWAAI_CO_TRY(const codec::Buffer hello, handshake.write_hello());
    codec::append(flight, hello);
    const Bytes bytes(flight);
    KWAAI_CO_CHECKED(co_await raw->write(bytes));
    if (!residue) {
        KWAAI_CO_TRY(residue, co_await read_lazy_answer(*raw, kNoiseProtocol));
    }
    MessageReader reader(std::move(*residue), bounds.noise_bytes_max);
    KWAAI_CO_TRY(const Bytes answer, co_await reader.next(*raw));
    KWAAI_CO_CHECKED(handshake.read_identity(answer));
    KWAAI_CO_TRY(codec::Buffer held, handshake.write_identity());
    co_return handshake.finish(
        std::move(raw), NoiseRole::initiator, std::move(held), reader.residue());
}

io::Task<Result<SecureChannel>> noise_inbound(std::unique_ptr<io::Stream> raw,
                                              const NoiseIdentity& identity,
                                              const std::vector<std::string>& muxers,
                                              codec::Buffer residue,
                                              const HandshakeBounds& bounds) {
    Handshake handshake(
        NoiseRole::responder, identity, muxers, std::nullopt, bounds.signatures.get());
    MessageReader reader(std::move(residue), bounds.noise_bytes_max);
    KWAAI_CO_TRY(const Bytes hello, co_await reader.next(*raw));
    KWAAI_CO_CHECKED(handshake.read_hello(hello));
    KWAAI_CO_TRY(const codec::Buffer answer, handshake.write_identity());
    const Bytes bytes(answer);
    KWAAI_CO_CHECKED(co_await raw->write(bytes));
    KWAAI_CO_TRY(const Bytes last, co_await reader.next(*raw));
    KWAAI_CO_CHECKED(handshake.read_identity(last));
    co_return handshake.finish(
        std::move(raw), NoiseRole::responder, codec::Buffer(), reader.residue());
}

}  // namespace kwaai::p2p
