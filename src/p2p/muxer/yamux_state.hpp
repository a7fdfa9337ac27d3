// A yamux session without its connection: bytes in, bytes out, time given, deadlines told. The
// rules and their sources are in libp2p.md §1.9.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/clock.hpp"
#include "p2p/limits.hpp"
#include "p2p/muxer/receive_buffer.hpp"
#include "p2p/muxer/yamux_stream.hpp"
#include "p2p/muxer/yamux_wire.hpp"

namespace kwaai::p2p {

/// Who dialled: its streams have odd ids, the listener's even ones.
enum class YamuxRole : std::uint8_t { dialer, listener };

/// Pure. Memory is bounded: what arrives is kept up to the windows granted, which together exceed
/// the initial ones by `window_total_max` at most; frames that wait to be sent are at most a few
/// per stream, and `control_frames_max` resets of streams that are gone.
class YamuxState {
public:
    /// @param account of what arrives, where it is bounded together with others'; outlives this. A
    /// stream for whose bytes it has no room is reset (`resource_limit`).
    /// @param window_learned what streams of an earlier session with this peer grew to: those of
    /// this one begin there, within the same bounds; 0 where there was none
    YamuxState(YamuxRole role,
               const Limits& limits,
               io::TimePoint now,
               MemoryAccount* account = nullptr,
               std::uint32_t window_learned = 0);
    YamuxState(const YamuxState&) = delete;
    YamuxState& operator=(const YamuxState&) = delete;
    ~YamuxState();

    // The connection

    /// What was read: any piece of it, as often as it comes. Ignored where !is_reading().
    void receive(Bytes bytes, io::TimePoint now);
    /// False once the peer broke the protocol, or the session ended.
    [[nodiscard]] bool is_reading() const;
    [[nodiscard]] bool has_output() const;
    /// Appends whole frames to `out`, at most about 256 KiB; all that is ready where it fits.
    void produce(std::vector<std::byte>& out, io::TimePoint now);
    /// Frame the sending of what produce() gave.
    void begin_sending(io::TimePoint now);
    void end_sending(io::TimePoint now);

    [[nodiscard]] bool is_sending() const { return sending_since_.has_value(); }

    /// Nothing can be sent any more; what comes is read for a little while.
    void lose_output(Error why);

    /// When to call on_time().
    [[nodiscard]] io::TimePoint deadline() const;
    void on_time(io::TimePoint now);

    /// GoAway follows what can be sent now; no stream is opened or accepted any more. Repeatable.
    void close(io::TimePoint now);
    /// Closing, and nothing is left to be sent.
    [[nodiscard]] bool is_flushed() const;
    /// The session is over, for this reason if it is the first; all streams fail.
    void end(Error why);

    /// Why the session is over, or will be once flushed.
    [[nodiscard]] const std::optional<Error>& reason() const { return reason_; }

    [[nodiscard]] bool is_ended() const { return phase_ == Phase::ended; }

    // Streams. A YamuxStream& is valid until it is given to close(), reset() or release().

    /// No stream is opened any more.
    [[nodiscard]] bool is_refusing() const;
    /// Too many of ours are unacknowledged.
    [[nodiscard]] bool is_open_blocked() const;
    /// Neither refusing nor blocked.
    [[nodiscard]] YamuxStream& open(io::TimePoint now);

    [[nodiscard]] bool has_incoming() const { return !incoming_.empty(); }

    /// The next stream of the peer, or nullptr.
    [[nodiscard]] YamuxStream* accept(io::TimePoint now);

    /// Takes what has arrived, `into.size()` at most.
    std::size_t read(YamuxStream& stream, MutableBytes into, io::TimePoint now);
    /// Makes sure that the peer learns of the stream although nothing is written.
    void announce(YamuxStream& stream);
    /// Why nothing more can be read, or written: `Errc::closed`. Nothing where it can.
    [[nodiscard]] std::optional<Error> failure(const YamuxStream& stream) const;
    /// Starts sending all parts, which the caller keeps alive until `!stream.is_writing`;
    /// `stream.is_cut` then says whether it failed. No write is under way.
    Result<> begin_write(YamuxStream& stream, std::span<const Bytes> parts);
    /// Forgets what was not sent of the write under way, if one is.
    void abort_write(YamuxStream& stream);
    Result<> shutdown_write(YamuxStream& stream);

    /// FIN where all that came was read and all that was to be written is sent, else a reset.
    void close(YamuxStream& stream);
    void reset(YamuxStream& stream, std::uint32_t code);
    /// Resets what has not ended.
    void release(YamuxStream& stream);

    /// Streams of the caller, of which something has changed since the last call.
    void take_changed(std::vector<YamuxStream*>& into);

    // For the curious

    [[nodiscard]] std::size_t stream_count() const { return streams_.size(); }

    [[nodiscard]] std::optional<io::Duration> round_trip_time() const { return round_trip_; }

    /// What a stream begins with, where there is room: the largest window that one grew to.
    [[nodiscard]] std::uint32_t window_learned() const { return window_hint_; }

    /// Held for what has arrived.
    [[nodiscard]] std::size_t received_bytes_held() const { return pool_.bytes_in_use(); }

    /// Gives memory back that is kept for speed.
    void trim() { pool_.trim(); }

private:
    enum class Phase : std::uint8_t {
        running,
        closing,  // what is ready leaves, then GoAway
        failing,  // GoAway leaves alone: the peer broke the protocol
        ended,
    };

    struct Reset {
        std::uint32_t id;
        std::uint32_t code;
    };

    // Frames that arrive
    void on_header(const YamuxHeader& header);
    void on_stream_frame(const YamuxHeader& header);
    void on_syn(std::uint32_t id);
    void on_window_update(YamuxStream& stream, std::uint32_t delta);
    void on_payload(Bytes bytes);
    void on_fin(YamuxStream& stream);
    void on_reset(YamuxStream& stream, std::uint32_t code);
    void on_lack_of_memory(YamuxStream& stream);
    void lose_stream(YamuxStream& stream, YamuxStream::End why);
    void on_ping(const YamuxHeader& header);
    void on_go_away(std::uint32_t code);
    void break_off(Error why);
    void close_for(Error why);

    // Streams
    YamuxStream& add_stream(bool is_inbound);
    void leave_wire(YamuxStream& stream);
    void erase(YamuxStream& stream);
    void linger(YamuxStream& stream);
    void settle(YamuxStream& stream);
    void acknowledge(YamuxStream& stream);
    void fail_streams();
    void end_if_idle();
    void mark_changed(YamuxStream& stream);
    void grow_window(YamuxStream& stream, std::uint64_t window, std::uint64_t growth_max);
    void grant_again(YamuxStream& stream);
    [[nodiscard]] YamuxStream* find(std::uint32_t id) const;
    [[nodiscard]] bool is_on_wire(const YamuxStream& stream) const;

    // Frames that leave
    void want_control(YamuxStream& stream);
    void want_turn(YamuxStream& stream);
    void produce_control(std::vector<std::byte>& out);
    void produce_update(std::vector<std::byte>& out, YamuxStream& stream);
    void produce_turn(std::vector<std::byte>& out, YamuxStream& stream, std::size_t bytes_max);
    void produce_ping(std::vector<std::byte>& out);
    [[nodiscard]] std::uint16_t take_flags(YamuxStream& stream);

    YamuxRole role_;
    Limits limits_;
    Phase phase_ = Phase::running;
    std::optional<Error> reason_;  // set where phase_ is not running

    // The frame that is arriving
    std::array<std::byte, kYamuxHeaderBytes> header_{};
    std::size_t header_size_ = 0;
    std::uint32_t payload_left_ = 0;
    std::uint32_t payload_stream_ = 0;  // 0: dropped
    bool is_fin_behind_payload_ = false;

    // Streams
    MemoryAccount* account_;
    ChunkPool pool_;  // outlives the streams
    std::unordered_map<const YamuxStream*, std::unique_ptr<YamuxStream>> streams_;
    std::unordered_map<std::uint32_t, YamuxStream*> by_id_;  // those that both sides know
    std::list<YamuxStream*> incoming_;                       // to be accepted
    std::list<YamuxStream*> lingering_;                      // the oldest first
    std::vector<YamuxStream*> changed_;
    std::uint32_t next_id_;
    std::size_t inbound_count_ = 0;
    std::size_t unacknowledged_count_ = 0;
    std::uint64_t window_budget_;  // what windows may still grow
    std::uint32_t window_hint_;    // what a stream grew to: others begin there
    bool is_peer_going_away_ = false;

    // To be sent
    std::vector<Reset> resets_;
    std::vector<YamuxStream*> control_;  // a window update, SYN or ACK is wanted
    YamuxTurns ready_;                   // data within the window, or FIN: round robin
    std::optional<YamuxGoAway> go_away_;
    std::optional<std::uint32_t> pong_;
    std::size_t batch_bytes_;
    bool is_output_lost_ = false;

    // Time
    io::TimePoint now_;  // as told last
    std::optional<io::Duration> round_trip_;
    std::uint32_t ping_value_ = 0;
    std::optional<io::TimePoint> ping_sent_at_;  // no answer yet
    bool is_ping_due_ = false;
    io::TimePoint next_ping_at_;
    io::TimePoint received_at_;
    std::optional<io::TimePoint> sending_since_;
    std::optional<io::TimePoint> flush_until_;
};

}  // namespace kwaai::p2p
