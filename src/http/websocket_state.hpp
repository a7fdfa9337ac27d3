// A WebSocket connection behind its handshake: frames in, the bytes of binary messages out. Pure.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "http/websocket_wire.hpp"

namespace kwaai::http {

enum class WebSocketRole : std::uint8_t { client, server };

/// What a peer may send. Payload is passed on as it arrives, so that the last two bound no memory.
struct WebSocketLimits {
    std::size_t header_bytes_max = std::size_t{8} << 10;  // of the HTTP request or answer
    std::uint64_t frame_bytes_max = std::uint64_t{1} << 20;
    std::uint64_t message_bytes_max = std::uint64_t{1} << 20;  // all fragments of it
};

/// Checks what the peer sends and decides what it is answered: Ping by Pong (the latest one where
/// several wait, section 5.5.3), what breaks the rules by Close with its code.
class WebSocketState {
public:
    WebSocketState(WebSocketRole role, const WebSocketLimits& limits);

    /// Takes all of `bytes`, in the pieces in which they arrive, and moves the payload that is in
    /// them to their front: returns its size. Takes nothing in once is_ended() or failed().
    std::size_t take(MutableBytes bytes);

    /// The peer has sent Close: nothing follows.
    [[nodiscard]] bool is_ended() const { return is_ended_; }

    /// What the peer did wrong: `Errc::malformed`; `unsupported` for a text message;
    /// `limit_exceeded` for a frame or message that is too large.
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

    /// Between two frames, and between two messages.
    [[nodiscard]] bool is_at_boundary() const;

    /// Ends our direction: Close is to be sent. Repeatable.
    void end_sending();

    /// After it nothing may be sent but the control frame that waits, if any.
    [[nodiscard]] bool is_sending_ended() const { return close_code_.has_value(); }

    /// Whether a control frame waits to be sent.
    [[nodiscard]] bool has_control() const { return has_pong_ || is_close_waiting_; }

    /// The waiting control frame, which then waits no more; valid until the next call. A client
    /// masks it with `mask`.
    [[nodiscard]] Bytes take_control(const WsMask& mask);

private:
    std::size_t take_header(Bytes bytes);
    void begin_frame(const WsHeader& header);
    void end_frame();
    void take_control_payload(Bytes payload);
    void answer_ping();
    void take_close();
    void fail_with(WsCloseCode code, Errc errc, std::string why);

    [[nodiscard]] MutableBytes control_payload() {
        return MutableBytes(control_in_).first(control_size_);
    }

    WebSocketRole role_;
    WebSocketLimits limits_;

    // The frame that is being taken.
    std::array<std::byte, kWsHeaderBytesMax> header_in_{};
    std::size_t header_size_ = 0;
    WsHeader frame_;
    bool is_in_payload_ = false;
    std::uint64_t payload_taken_ = 0;
    std::array<std::byte, kWsControlBytesMax> control_in_{};
    std::size_t control_size_ = 0;

    bool is_in_message_ = false;
    std::uint64_t message_bytes_ = 0;
    bool is_ended_ = false;
    std::optional<std::uint16_t> peer_close_code_;
    std::optional<Error> failure_;

    // What is to be sent.
    std::array<std::byte, kWsControlBytesMax> pong_{};
    std::size_t pong_size_ = 0;
    bool has_pong_ = false;
    std::optional<std::uint16_t> close_code_;
    bool is_close_waiting_ = false;
    std::array<std::byte, kWsHeaderBytesMax + kWsControlBytesMax> control_out_{};
};

}  // namespace kwaai::http
