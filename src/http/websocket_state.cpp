#include "http/websocket_state.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace kwaai::http {

WebSocketState::WebSocketState(WebSocketRole role, const WebSocketLimits& limits)
    : role_(role), limits_(limits) {}

bool WebSocketState::is_at_boundary() const {
    return header_size_ == 0 && !is_in_payload_ && !is_in_message_;
}

std::size_t WebSocketState::take(MutableBytes bytes) {
    std::size_t kept = 0;
    MutableBytes rest = bytes;
    while (!rest.empty() && !is_ended_ && !failure_) {
        if (!is_in_payload_) {
            rest = rest.subspan(take_header(rest));
            continue;
        }
        const std::uint64_t left = frame_.payload_bytes - payload_taken_;
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, rest.size()));
        const MutableBytes payload = rest.first(count);
        if (frame_.mask) apply_ws_mask(payload, *frame_.mask, payload_taken_);
        if (is_control(frame_.opcode)) {
            take_control_payload(payload);
        } else {
            std::memmove(bytes.data() + kept, payload.data(), count);
            kept += count;
        }
        payload_taken_ += count;
        rest = rest.subspan(count);
        if (payload_taken_ == frame_.payload_bytes) end_frame();
    }
    return kept;
}

// How many of `bytes` belong to the header: all of them where it goes on.
std::size_t WebSocketState::take_header(Bytes bytes) {
    const std::size_t before = header_size_;
    const std::size_t count = std::min(bytes.size(), header_in_.size() - before);
    std::ranges::copy(bytes.first(count), header_in_.begin() + static_cast<int>(before));
    const auto parsed = read_ws_header(Bytes(header_in_).first(before + count));
    if (!parsed) {
        fail_with(WsCloseCode::protocol_error, parsed.error().code, parsed.error().context);
        return bytes.size();
    }
    if (!*parsed) {
        header_size_ += count;
        return count;
    }
    header_size_ = 0;
    begin_frame((*parsed)->header);
    return (*parsed)->size - before;
}

void WebSocketState::begin_frame(const WsHeader& header) {
    if (header.mask.has_value() != (role_ == WebSocketRole::server))
        return fail_with(WsCloseCode::protocol_error,
                         Errc::malformed,
                         role_ == WebSocketRole::server ? "a client's frame without a mask"
                                                        : "a server's frame with a mask");
    if (header.opcode == WsOpcode::text)
        return fail_with(WsCloseCode::unsupported_data,
                         Errc::unsupported,
                         "a text message; only binary ones are spoken");
    if (!is_control(header.opcode)) {
        if ((header.opcode == WsOpcode::continuation) != is_in_message_)
            return fail_with(
                WsCloseCode::protocol_error,
                Errc::malformed,
                is_in_message_ ? "a message inside another one" : "a continuation of no message");
        // Neither sum can overflow: what was added before is below its limit.
        if (header.payload_bytes > limits_.frame_bytes_max ||
            header.payload_bytes > limits_.message_bytes_max - message_bytes_)
            return fail_with(WsCloseCode::too_large,
                             Errc::limit_exceeded,
                             "a frame of " + std::to_string(header.payload_bytes) +
                                 " bytes behind " + std::to_string(message_bytes_) +
                                 " bytes of its message");
        message_bytes_ += header.payload_bytes;
        is_in_message_ = true;
    }
    frame_ = header;
    is_in_payload_ = true;
    payload_taken_ = 0;
    control_size_ = 0;
    if (header.payload_bytes == 0) end_frame();
}

void WebSocketState::end_frame() {
    is_in_payload_ = false;
    switch (frame_.opcode) {
        case WsOpcode::continuation:
        case WsOpcode::text:
        case WsOpcode::binary:
            is_in_message_ = !frame_.is_final;
            if (frame_.is_final) message_bytes_ = 0;
            break;
        case WsOpcode::ping: answer_ping(); break;
        case WsOpcode::pong: break;
        case WsOpcode::close: take_close(); break;
    }
}

void WebSocketState::take_control_payload(Bytes payload) {
    std::ranges::copy(payload, control_in_.begin() + static_cast<int>(control_size_));
    control_size_ += payload.size();
}

void WebSocketState::answer_ping() {
    if (is_sending_ended()) return;
    std::ranges::copy(control_payload(), pong_.begin());
    pong_size_ = control_size_;
    has_pong_ = true;
}

void WebSocketState::take_close() {
    const auto code = read_ws_close(control_payload());
    if (!code)
        return fail_with(WsCloseCode::protocol_error, code.error().code, code.error().context);
    peer_close_code_ = *code;
    is_ended_ = true;
}

void WebSocketState::end_sending() {
    if (is_sending_ended()) return;
    close_code_ = peer_close_code_.value_or(static_cast<std::uint16_t>(WsCloseCode::normal));
    is_close_waiting_ = true;
}

void WebSocketState::fail_with(WsCloseCode code, Errc errc, std::string why) {
    failure_ = Error{errc, std::move(why)};
    if (is_sending_ended()) return;
    close_code_ = static_cast<std::uint16_t>(code);
    is_close_waiting_ = true;
}

Bytes WebSocketState::take_control(const WsMask& mask) {
    // A Pong that waits goes first: nothing follows Close.
    std::array<std::byte, kWsControlBytesMax> payload;
    std::size_t payload_size = 0;
    WsHeader header{.opcode = WsOpcode::pong, .is_final = true, .mask = {}, .payload_bytes = 0};
    if (std::exchange(has_pong_, false)) {
        payload = pong_;
        payload_size = pong_size_;
    } else {
        is_close_waiting_ = false;
        header.opcode = WsOpcode::close;
        const std::uint16_t code = close_code_.value_or(0);
        payload[0] = static_cast<std::byte>(code >> 8);
        payload[1] = static_cast<std::byte>(code & 0xff);
        payload_size = 2;
    }
    header.payload_bytes = payload_size;
    const MutableBytes out = MutableBytes(payload).first(payload_size);
    if (role_ == WebSocketRole::client) {
        header.mask = mask;
        apply_ws_mask(out, mask, 0);
    }
    const std::size_t size =
        write_ws_header(header, std::span(control_out_).first<kWsHeaderBytesMax>());
    std::ranges::copy(out, control_out_.begin() + static_cast<int>(size));
    return Bytes(control_out_).first(size + payload_size);
}

}  // namespace kwaai::http
