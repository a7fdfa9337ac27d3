// One QUIC connection as a pure machine: packets and time in, packets and deadlines out. Over
// ngtcp2 with GnuTLS, which no other header of this room shows.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "io/clock.hpp"
#include "io/udp.hpp"
#include "p2p/bounds/memory_account.hpp"
#include "p2p/limits.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/quic/quic_id.hpp"
#include "p2p/quic/quic_identity.hpp"
#include "p2p/quic/quic_stream.hpp"

namespace kwaai::p2p {

struct QuicCoreOptions {
    const QuicIdentity* identity = nullptr;  // outlives the core
    const Limits* limits = nullptr;          // the same
    MemoryAccount* account = nullptr;        // the same; may be null
    QuicIdObserver* observer = nullptr;      // the same; told of its own ids
    io::Endpoint local;
    io::Endpoint remote;
};

/// The client's first packet, as QuicDoor judged it.
struct QuicHello {
    QuicId destination;
    QuicId source;
    std::uint32_t version = 0;
    /// Where the client has proven its address by a token of ours: what it called us at first.
    std::optional<QuicId> original;
    std::vector<std::byte> token;
};

class QuicCore {
public:
    /// As the client of `expected`.
    QuicCore(const QuicCoreOptions& options, const PeerId& expected, io::TimePoint now);
    /// As the server of a client, whose packet is to be given to receive() then.
    QuicCore(const QuicCoreOptions& options, const QuicHello& hello, io::TimePoint now);
    QuicCore(const QuicCore&) = delete;
    QuicCore& operator=(const QuicCore&) = delete;
    ~QuicCore();

    /// A packet from `from`.
    void receive(const io::Endpoint& from, Bytes packet, io::TimePoint now);
    void on_time(io::TimePoint now);
    [[nodiscard]] io::TimePoint deadline() const;

    struct Batch {
        io::Endpoint to;
        Bytes bytes;                   // empty: nothing to send now
        std::size_t packet_bytes = 0;  // of each but the last
    };

    /// The next packets, of which those that belong together leave together. They lie in `space`
    /// (io::kUdpBatchBytesMax).
    [[nodiscard]] Batch produce(MutableBytes space, io::TimePoint now);

    [[nodiscard]] bool is_handshaken() const;
    /// Of the authenticated peer, once is_handshaken().
    [[nodiscard]] const std::optional<crypto::PublicKey>& remote_key() const;
    /// Whether it takes no new streams: it is closing or has ended.
    [[nodiscard]] bool is_refusing() const;

    /// Nothing will be received or sent any more.
    [[nodiscard]] bool is_ended() const { return reason().has_value(); }

    [[nodiscard]] const std::optional<Error>& reason() const;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> round_trip_time() const;
    [[nodiscard]] std::size_t stream_count() const;

    /// Says goodbye as soon as all that was written has arrived, or after a quarter of a second.
    void close(io::TimePoint now);
    void end(Error why);

    /// Whether open() has to wait for the peer to allow another stream.
    [[nodiscard]] bool is_open_blocked() const;
    QuicStream& open();
    [[nodiscard]] bool has_incoming() const;
    [[nodiscard]] QuicStream* accept();

    std::size_t read(QuicStream& stream, MutableBytes into);
    /// `parts` are taken as the peer grants room; `is_writing` until all are.
    [[nodiscard]] Result<> begin_write(QuicStream& stream, std::span<const Bytes> parts);
    void abort_write(QuicStream& stream);
    [[nodiscard]] Result<> shutdown_write(QuicStream& stream);
    /// FIN where nothing went wrong; what still comes is refused. The stream is gone for the caller
    /// after this, reset() and release().
    void close(QuicStream& stream);
    void reset(QuicStream& stream, std::uint32_t code);
    [[nodiscard]] std::optional<Error> failure(const QuicStream& stream) const;

    /// Streams whose state changed since the last call.
    void take_changed(std::vector<QuicStream*>& changed);
    /// Whether produce() may have something since the last time it had not.
    [[nodiscard]] bool has_output() const;

    struct State;

private:
    std::unique_ptr<State> state_;
};

}  // namespace kwaai::p2p
