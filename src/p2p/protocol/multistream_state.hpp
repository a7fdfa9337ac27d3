// multistream-select 1.0.0 without a stream: bytes in, bytes out (libp2p.md §1.6).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::p2p {

constexpr std::string_view kMultistreamHeader = "/multistream/1.0.0";
constexpr std::size_t kMultistreamLineBytesMax = 1024;  // with its newline, as go and js

/// Whether `text` can be proposed: not empty, no newline, and short enough for a line.
[[nodiscard]] bool is_protocol_id(std::string_view text);

/// Appends the message of one line: length, `text` (an is_protocol_id()), newline.
void append_multistream_line(codec::Buffer& out, std::string_view text);

struct MultistreamLine {
    std::string_view text;  // without the newline; a view into what was read
    std::size_t size = 0;   // bytes of the whole message
};

/// The message at the front of `bytes`; nothing where more bytes are needed. `Errc::malformed` for
/// one that is too long, empty, or not exactly one line.
[[nodiscard]] Result<std::optional<MultistreamLine>> read_multistream_line(Bytes bytes);

/// Cuts what a peer sends into lines; holds at most one that is not whole.
class MultistreamLines {
public:
    /// Takes bytes up to the end of the next line and removes them from `bytes`. Nothing where all
    /// were taken and the line is not whole. Errors as read_multistream_line.
    [[nodiscard]] Result<std::optional<std::string>> next(Bytes& bytes);

private:
    codec::Buffer partial_;
};

/// The side that proposes. After an error it is not used again.
class MultistreamDialer {
public:
    /// @param protocols each an is_protocol_id(), at least one; the first is proposed at once
    explicit MultistreamDialer(std::vector<std::string> protocols);

    /// What is to be sent now; empty where it is the peer's turn.
    [[nodiscard]] codec::Buffer take_output();

    /// Takes the peer's bytes and says how many: all of them, until a protocol is agreed; what
    /// lies behind the last message is not touched. `Errc::unsupported` once all are refused,
    /// `malformed`.
    [[nodiscard]] Result<std::size_t> receive(Bytes bytes);

    /// The protocol that was agreed; null until then.
    [[nodiscard]] const std::string* agreed() const;

private:
    Result<> answer(std::string_view line);

    std::vector<std::string> protocols_;
    std::size_t proposed_ = 0;
    bool has_header_ = false;
    bool is_agreed_ = false;
    MultistreamLines lines_;
    codec::Buffer output_;
};

/// The side that is asked. After an error it is not used again.
class MultistreamListener {
public:
    /// @param proposals_max how many proposals are refused before that is an error
    MultistreamListener(std::function<bool(std::string_view)> knows, std::size_t proposals_max);

    /// What is to be sent now: at first the header, which waits for nothing.
    [[nodiscard]] codec::Buffer take_output();

    /// As MultistreamDialer. `Errc::limit_exceeded` for one proposal too many, `malformed`.
    [[nodiscard]] Result<std::size_t> receive(Bytes bytes);

    [[nodiscard]] const std::string* agreed() const;

private:
    Result<> answer(std::string line);

    std::function<bool(std::string_view)> knows_;
    std::size_t refusals_left_;
    bool has_header_ = false;
    std::optional<std::string> agreed_;
    MultistreamLines lines_;
    codec::Buffer output_;
};

}  // namespace kwaai::p2p
