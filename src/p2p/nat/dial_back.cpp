#include "p2p/nat/dial_back.hpp"

#include <utility>

#include "io/timeout.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::milliseconds kHangUpPause{10};

}  // namespace

// A peer that is being dialled; its connections end with it.
class DialBack::Turn {
public:
    Turn(DialBack& owner, PeerId peer) : owner_(owner), peer_(std::move(peer)) {
        owner_.busy_.insert(peer_);
    }

    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    ~Turn() {
        owner_.host_->disconnect(peer_);
        owner_.busy_.erase(peer_);
        owner_.freed_.notify_all();
    }

private:
    DialBack& owner_;
    PeerId peer_;
};

DialBack::DialBack(io::Network& network,
                   io::Clock& clock,
                   HostOptions options,
                   const DialBackLimits& limits)
    : clock_(clock),
      limits_(limits),
      host_(std::make_unique<Host>(network, clock, std::move(options))) {}

DialBack::~DialBack() = default;

io::Task<void> DialBack::run() {
    co_await host_->run();
}

io::Task<void> DialBack::wait_for_turn(PeerId peer) {
    while (true) {
        if (busy_.contains(peer))
            co_await freed_.wait();
        else if (host_->is_connected(peer))  // of the turn before
            co_await clock_.sleep_for(kHangUpPause);
        else
            co_return;
    }
}

io::Task<Result<PeerId>> DialBack::dial(Multiaddr address) {
    auto dialling = host_->connect_again(std::move(address));
    auto dialled = co_await io::with_timeout(clock_, limits_.dial_timeout, std::move(dialling));
    co_return dialled;
}

io::Task<void> DialBack::reach(PeerId peer, Multiaddr address, std::optional<Multiaddr>& reached) {
    auto place = address.with_peer(peer);
    const auto dialled = co_await dial(std::move(place));
    if (dialled && !reached) reached = std::move(address);
}

io::Task<void> DialBack::reach_all(io::TaskGroup& group,
                                   DialBack& self,
                                   const PeerId& peer,
                                   const std::vector<Multiaddr>& addresses,
                                   std::optional<Multiaddr>& reached) {
    for (const Multiaddr& address : addresses)
        group.spawn(&DialBack::reach, std::ref(self), peer, address, std::ref(reached));
    co_return;
}

io::Task<std::optional<Multiaddr>> DialBack::reach_any(PeerId peer,
                                                       std::vector<Multiaddr> addresses) {
    co_await wait_for_turn(peer);
    const Turn turn(*this, peer);
    std::optional<Multiaddr> reached;
    co_await io::with_group(&DialBack::reach_all,
                            std::ref(*this),
                            std::cref(peer),
                            std::cref(addresses),
                            std::ref(reached));
    co_return reached;
}

io::Task<Result<>> DialBack::send_nonce(PeerId peer, Multiaddr address, std::uint64_t nonce) {
    const OpenOptions eager{.is_lazy = false, .timeout = limits_.reply_timeout};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host_->open(peer, autonat_v2::kDialBackProtocol, eager));
    // Identify has told us other addresses: a connection to one of those proves nothing.
    if (stream->remote_address() != address)
        co_return fail(Errc::closed, "the connection to the address is gone");
    const codec::Buffer message = autonat_v2::encode_dial_back(nonce);
    KWAAI_CO_CHECKED(co_await write_length_prefixed(*stream, message));
    // That an answer comes says that the nonce has arrived; what it says is of no interest.
    // go-libp2p resets the stream behind it, and over QUIC that is all that comes, at times before
    // our end has been sent.
    const Result<> ended = co_await stream->shutdown_write();
    const auto answer = co_await read_length_prefixed(*stream, autonat_v2::kDialBackBytesMax);
    static_cast<void>(ended);
    static_cast<void>(answer);
    stream->close();
    co_return Result<>();
}

io::Task<autonat_v2::DialStatus> DialBack::hand_over(PeerId peer,
                                                     Multiaddr address,
                                                     std::uint64_t nonce) {
    co_await wait_for_turn(peer);
    const Turn turn(*this, peer);
    const Multiaddr place = address.with_peer(peer);
    const auto dialled = co_await dial(place);
    if (!dialled) co_return autonat_v2::DialStatus::dial_error;
    auto sending = send_nonce(peer, place, nonce);
    const Result<> sent =
        co_await io::with_timeout(clock_, limits_.reply_timeout, std::move(sending));
    co_return sent ? autonat_v2::DialStatus::ok : autonat_v2::DialStatus::dial_back_error;
}

}  // namespace kwaai::p2p
