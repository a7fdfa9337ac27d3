// What a QuicCore is made of; for the sources of this folder, which alone see ngtcp2.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "p2p/quic/quic_core.hpp"
#include "p2p/quic/quic_tls.hpp"

namespace kwaai::p2p {

/// An address in the form that ngtcp2 compares.
struct QuicAddress {
    explicit QuicAddress(const io::Endpoint& endpoint);

    [[nodiscard]] ngtcp2_addr view();

    union {
        ngtcp2_sockaddr any;
        ngtcp2_sockaddr_in v4;
        ngtcp2_sockaddr_in6 v6;
    };

    ngtcp2_socklen size = 0;
};

[[nodiscard]] io::Endpoint endpoint_of(const ngtcp2_addr& address);
[[nodiscard]] ngtcp2_cid cid_of(const QuicId& id);
[[nodiscard]] QuicId id_of(const ngtcp2_cid& cid);
[[nodiscard]] ngtcp2_tstamp stamp_of(io::TimePoint time);

[[nodiscard]] inline const std::uint8_t* in(Bytes bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

[[nodiscard]] inline std::uint8_t* out(MutableBytes bytes) {
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

/// A new id at random, and the token that ends a connection which has it.
[[nodiscard]] QuicId make_quic_id();
void write_reset_token(const QuicIdentity& identity, const ngtcp2_cid& cid, std::uint8_t* token);

struct QuicCore::State {
    State(const QuicCoreOptions& some_options, bool is_server);
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();

    // quic_core.cpp
    // `callbacks` are quic_callbacks(), but in tests of what ngtcp2 itself never sends.
    void start_client(const ngtcp2_callbacks& callbacks, io::TimePoint now);
    void start_server(const ngtcp2_callbacks& callbacks, const QuicHello& hello, io::TimePoint now);
    [[nodiscard]] ngtcp2_settings settings(io::TimePoint now) const;
    [[nodiscard]] ngtcp2_transport_params parameters() const;
    /// After an error of ngtcp2: what the peer is told, and our callers.
    void fail_with(int error);
    void end(Error why);
    /// How the peer said that it is over.
    [[nodiscard]] Error farewell() const;
    [[nodiscard]] ngtcp2_ssize write_packet(ngtcp2_path& path,
                                            MutableBytes into,
                                            ngtcp2_tstamp now);
    [[nodiscard]] ngtcp2_ssize write_close(ngtcp2_path& path, MutableBytes into, ngtcp2_tstamp now);
    [[nodiscard]] std::size_t burst_bytes() const;
    [[nodiscard]] bool is_close_due(io::TimePoint now) const;

    // quic_core_streams.cpp
    QuicStream& add_stream(std::int64_t id, bool is_inbound);
    void set_ready(QuicStream& stream);
    void set_changed(QuicStream& stream);
    void take_parts(QuicStream& stream);
    [[nodiscard]] std::uint64_t granted(const QuicStream& stream) const;
    /// Gives back the room of bytes that nobody will read.
    void forget_received(QuicStream& stream);
    void refuse_output(QuicStream& stream);
    void remove_if_over(QuicStream& stream);
    [[nodiscard]] ngtcp2_ssize write_stream(QuicStream& stream,
                                            ngtcp2_path& path,
                                            MutableBytes into,
                                            ngtcp2_tstamp now);

    QuicCoreOptions options;
    bool is_server;
    QuicPeer peer;
    gnutls_session_t tls = nullptr;
    ngtcp2_crypto_conn_ref reference{};  // where the TLS session finds the connection
    ngtcp2_conn* connection = nullptr;
    ChunkPool incoming;
    ChunkPool outgoing;
    std::unordered_map<std::int64_t, std::unique_ptr<QuicStream>> streams;
    std::deque<QuicStream*> ready;    // have something to send
    std::deque<QuicStream*> arrived;  // opened by the peer, not accepted yet
    std::vector<QuicStream*> changed;
    std::vector<std::byte> kept;  // a packet that did not fit into the last batch
    io::Endpoint kept_to;
    std::uint64_t unannounced = 0;  // as of a stream, of all of them
    bool is_handshaken = false;
    bool is_answered = false;  // has written since it was
    bool is_confirmed_early = false;
    bool is_closing = false;
    bool has_output = true;
    io::TimePoint close_by{};
    std::optional<ngtcp2_connection_close_error> failure;  // the peer is to be told
    std::optional<Error> failure_reason;
    std::optional<Error> reason;
};

// quic_callbacks.cpp: all that ngtcp2 calls.
void refer_to(QuicCore::State& state);
[[nodiscard]] ngtcp2_callbacks quic_callbacks(bool is_server);

}  // namespace kwaai::p2p
