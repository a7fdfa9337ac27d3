// A node as a relay: peers that cannot be dialled reserve a place, and others reach them through
// it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "io/clock.hpp"
#include "p2p/host.hpp"
#include "p2p/relay/relay_limits.hpp"
#include "p2p/relay/relay_state.hpp"

namespace kwaai::p2p::relay {

struct RelayServiceOptions {
    RelayLimits limits;
    /// Of the wall clock, since 1970.
    std::function<std::uint64_t()> unix_seconds;
    bool is_serving = true;  // from its construction on
    /// Called when a reservation or a circuit has come or gone, with how many there are; may be
    /// empty.
    std::function<void(std::size_t reservations, std::size_t circuits)> on_use;
};

/// Serves the hop protocol; nothing is relayed without one. Never over a connection that is relayed
/// itself. Confined to the loop's thread.
class RelayService {
public:
    /// `host` and `clock` outlive it, and the host's run() has ended before its destruction.
    RelayService(Host& host, io::Clock& clock, RelayServiceOptions options);
    RelayService(const RelayService&) = delete;
    RelayService& operator=(const RelayService&) = delete;
    ~RelayService();

    /// Begins or stops to take requests; circuits that are open go on. Connected peers learn it by
    /// identify push.
    void set_serving(bool is_serving);

    [[nodiscard]] bool is_serving() const { return is_serving_; }

    [[nodiscard]] std::size_t reservation_count() const { return state_.reservation_count(); }

    [[nodiscard]] std::size_t circuit_count() const { return state_.circuit_count(); }

private:
    io::Task<void> serve(std::unique_ptr<Stream> stream);
    io::Task<Result<>> answer(Stream& stream);
    io::Task<Result<>> refuse(Stream& stream, Status status);
    io::Task<Result<>> reserve(Stream& stream);
    io::Task<Result<>> connect(Stream& stream, PeerId destination);
    io::Task<Result<std::unique_ptr<Stream>>> reach(PeerId source, PeerId destination);
    io::Task<Result<std::unique_ptr<Stream>>> ask_destination(PeerId source, PeerId destination);
    void forget(const PeerId& peer);
    void tell_use() const;
    [[nodiscard]] WireReservation reservation_for(const PeerId& peer) const;

    Host& host_;
    io::Clock& clock_;
    RelayServiceOptions options_;
    RelayState state_;
    bool is_serving_ = false;
    std::shared_ptr<void> observing_;
};

}  // namespace kwaai::p2p::relay
