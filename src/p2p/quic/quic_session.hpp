// A QUIC connection as a session of streams.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/udp.hpp"
#include "p2p/muxer/muxed_session.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/quic/quic_core.hpp"

namespace kwaai::p2p {

class QuicEndpoint;

/// Made by a QuicEndpoint, which it keeps alive. handshake() first, then run().
class QuicSession final : public MuxedSession, private QuicIdObserver {
public:
    QuicSession(std::shared_ptr<QuicEndpoint> endpoint,
                const io::Endpoint& remote,
                const PeerId& expected,
                MemoryAccount* account);
    QuicSession(std::shared_ptr<QuicEndpoint> endpoint,
                const io::Endpoint& remote,
                const QuicHello& hello,
                MemoryAccount* account);
    ~QuicSession() override;

    /// Who the peer is. `Errc::malformed` where it breaks the protocol or is not the one that was
    /// expected, `unavailable` where it refuses, `timed_out` after Limits::handshake_timeout.
    io::Task<Result<PeerId>> handshake();

    io::Task<Result<>> run() override;
    io::Task<Result<std::unique_ptr<MuxedStream>>> open() override;
    io::Task<Result<std::unique_ptr<MuxedStream>>> accept() override;
    void close() override;
    [[nodiscard]] bool is_closed() const override;
    [[nodiscard]] std::size_t stream_count() const override;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> round_trip_time() const override;

    /// For the endpoint: a packet, and then, after some of them, waking who waits for what came.
    void receive(const io::Endpoint& from, Bytes packet);
    void wake();

private:
    struct State;

    void id_added(const QuicId& id) override;
    void id_removed(const QuicId& id) override;
    [[nodiscard]] QuicCoreOptions core_options(const io::Endpoint& remote, MemoryAccount* account);

    std::shared_ptr<QuicEndpoint> endpoint_;
    io::Endpoint remote_;  // at first
    std::vector<QuicId> ids_;
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
