// The bytes of calls, pure: the envelope of unary calls (hivemind-protocol.md §1.5) and the frames
// of streaming ones (§1.6).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::hivemind {

/// Tells the calls of all callers of a peer apart: 16 random bytes, a UUID of version 4. Hivemind's
/// daemon gives an answer to whoever uses the same id, so it must not be guessable.
using CallId = std::array<std::byte, 16>;

[[nodiscard]] CallId make_call_id();

/// PersistentConnectionRequest{callId, callUnary}. Views into what was decoded.
struct UnaryRequest {
    CallId id{};
    Bytes peer;  // whom the caller means; receivers go by the authenticated peer instead
    std::string_view method;
    Bytes data;
};

/// PersistentConnectionRequest{callId, unaryResponse}. `data` is the response, or a text where the
/// handler failed.
struct UnaryReply {
    CallId id{};
    bool is_error = false;
    Bytes data;
};

/// Everything before `data`, the varint of the envelope's length included: `data` follows as it is.
/// The envelope must be smaller than 2^63 bytes.
[[nodiscard]] codec::Buffer encode_head(const UnaryRequest& request);
[[nodiscard]] codec::Buffer encode_head(const UnaryReply& reply);
/// Bytes of the envelope, without its length: what Hivemind's limit of 4 MiB is about.
[[nodiscard]] std::size_t envelope_size(const UnaryRequest& request);
[[nodiscard]] std::size_t envelope_size(const UnaryReply& reply);

/// The envelope without its length. `Errc::malformed` where a required field is missing or the id
/// has not 16 bytes; unknown fields are skipped.
[[nodiscard]] Result<UnaryRequest> decode_unary_request(Bytes envelope);
[[nodiscard]] Result<UnaryReply> decode_unary_reply(Bytes envelope);

/// What stands before the payload of a frame.
enum class FrameKind : std::uint8_t {
    message = 0,
    error = 1,  // from the caller: no more requests, whatever it says; from the callee: it failed
};

constexpr std::size_t kFrameHeaderBytes = 9;
using FrameHeader = std::array<std::byte, kFrameHeaderBytes>;

[[nodiscard]] FrameHeader encode_frame_header(FrameKind kind, std::uint64_t payload_bytes);

/// An error frame with RPCError{message}; without a text the end of requests.
[[nodiscard]] codec::Buffer encode_error_frame(std::string_view text);
/// The message of RPCError, empty where it has none, as valid UTF-8 of at most 4096 bytes.
[[nodiscard]] Result<std::string> decode_error_text(Bytes payload);
/// A peer's text for people: valid UTF-8 of at most 4096 bytes, without control characters.
[[nodiscard]] std::string clean_text(std::string_view text);

struct Frame {
    FrameKind kind = FrameKind::message;
    codec::Buffer payload;
};

/// Puts frames together from bytes as they come. Where they go is for the reader to say, so that
/// nothing is copied and nothing is read beyond the frame:
///
///     FrameReader reader(bytes_max);
///     loop: read up to space().size() bytes into space(), call advance(count); true: take()
///
/// Memory grows with what has arrived: at most 64 KiB, or twice that, is set aside.
class FrameReader {
public:
    /// @param payload_bytes_max of a message; error frames may have 64 KiB
    explicit FrameReader(std::size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}

    /// Never empty.
    [[nodiscard]] MutableBytes space();
    /// `count` bytes were put at the front of space(). True where the frame is whole.
    /// `Errc::malformed` for another marker than 0 or 1, `limit_exceeded` for a payload over the
    /// limit; the reader is of no use then.
    [[nodiscard]] Result<bool> advance(std::size_t count);
    /// The whole frame; the reader begins with the next one.
    [[nodiscard]] Frame take();

    /// Whether nothing of a frame has arrived: where a stream may end.
    [[nodiscard]] bool is_between_frames() const { return header_bytes_ == 0; }

    /// Memory that the payload takes.
    [[nodiscard]] std::size_t memory() const { return payload_.size(); }

private:
    [[nodiscard]] Result<> read_header();

    std::size_t payload_bytes_max_;
    FrameHeader header_{};
    std::size_t header_bytes_ = 0;
    std::size_t length_ = 0;  // of the payload, once the header is whole
    std::size_t filled_ = 0;  // bytes of the payload that have arrived
    codec::Buffer payload_;
};

}  // namespace kwaai::hivemind
