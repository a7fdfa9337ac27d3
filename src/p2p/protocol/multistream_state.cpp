#include "p2p/protocol/multistream_state.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "codec/varint.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kRefusal = "na";
// Nobody depends on the list that "ls" asks for, and it would tell strangers what we run.
constexpr std::string_view kList = "ls";

// A peer's text as far as people can read it in a message.
std::string quoted(std::string_view text) {
    constexpr std::size_t kShownMax = 64;
    std::string shown = "\"";
    for (const char c : text.substr(0, kShownMax))
        shown += c >= ' ' && c <= '~' ? c : '?';
    if (text.size() > kShownMax) shown += "...";
    return shown + "\"";
}

Result<> check_header(std::string_view line) {
    if (line == kMultistreamHeader) return {};
    return fail(
        Errc::malformed,
        "the peer begins with " + quoted(line) + " instead of " + std::string(kMultistreamHeader));
}

}  // namespace

bool is_protocol_id(std::string_view text) {
    return !text.empty() && text.size() < kMultistreamLineBytesMax && !text.contains('\n');
}

void append_multistream_line(codec::Buffer& out, std::string_view text) {
    codec::append_varint(out, text.size() + 1);
    codec::append(out, text);
    out.push_back(std::byte{'\n'});
}

Result<std::optional<MultistreamLine>> read_multistream_line(Bytes bytes) {
    KWAAI_TRY(const std::optional<codec::Varint> length, codec::read_varint(bytes));
    if (!length) return std::nullopt;
    if (length->value > kMultistreamLineBytesMax)
        return fail(Errc::malformed,
                    "a multistream message of " + std::to_string(length->value) +
                        " bytes, at most " + std::to_string(kMultistreamLineBytesMax) +
                        " expected");
    if (length->value < 2) return fail(Errc::malformed, "an empty multistream message");
    const auto line_size = static_cast<std::size_t>(length->value);
    if (bytes.size() - length->size < line_size) return std::nullopt;
    const std::string_view line = as_text(bytes.subspan(length->size, line_size));
    if (line.find('\n') != line_size - 1)
        return fail(Errc::malformed, "a multistream message that is not one line");
    return MultistreamLine{.text = line.substr(0, line_size - 1), .size = length->size + line_size};
}

Result<std::optional<std::string>> MultistreamLines::next(Bytes& bytes) {
    const std::size_t held = partial_.size();
    constexpr std::size_t kMessageBytesMax = codec::kVarintBytesMax + kMultistreamLineBytesMax;
    const std::size_t taken = std::min(bytes.size(), kMessageBytesMax - held);
    codec::append(partial_, bytes.first(taken));
    KWAAI_TRY(const std::optional<MultistreamLine> line, read_multistream_line(partial_));
    if (!line) {
        bytes = bytes.subspan(taken);
        return std::nullopt;
    }
    std::string text(line->text);
    bytes = bytes.subspan(line->size - held);
    partial_.clear();
    return text;
}

MultistreamDialer::MultistreamDialer(std::vector<std::string> protocols)
    : protocols_(std::move(protocols)) {
    KWAAI_CHECK(!protocols_.empty() && std::ranges::all_of(protocols_, is_protocol_id),
                "a negotiation without a protocol that can be proposed");
    append_multistream_line(output_, kMultistreamHeader);
    append_multistream_line(output_, protocols_.front());
}

codec::Buffer MultistreamDialer::take_output() {
    return std::exchange(output_, {});
}

Result<std::size_t> MultistreamDialer::receive(Bytes bytes) {
    Bytes rest = bytes;
    while (!rest.empty() && !is_agreed_) {
        KWAAI_TRY(const std::optional<std::string> line, lines_.next(rest));
        if (line) {
            KWAAI_CHECKED(answer(*line));
        }
    }
    return bytes.size() - rest.size();
}

Result<> MultistreamDialer::answer(std::string_view line) {
    if (!std::exchange(has_header_, true)) return check_header(line);
    if (line == protocols_[proposed_]) {
        is_agreed_ = true;
        return {};
    }
    if (line != kRefusal)
        return fail(Errc::malformed,
                    "the peer answers " + quoted(protocols_[proposed_]) + " with " + quoted(line));
    if (proposed_ + 1 == protocols_.size()) {
        std::string refused;
        for (const std::string& protocol : protocols_)
            refused += (refused.empty() ? "" : ", ") + protocol;
        return fail(Errc::unsupported, "the peer does not speak " + refused);
    }
    append_multistream_line(output_, protocols_[++proposed_]);
    return {};
}

const std::string* MultistreamDialer::agreed() const {
    return is_agreed_ ? &protocols_[proposed_] : nullptr;
}

MultistreamListener::MultistreamListener(std::function<bool(std::string_view)> knows,
                                         std::size_t proposals_max)
    : knows_(std::move(knows)), refusals_left_(proposals_max) {
    append_multistream_line(output_, kMultistreamHeader);
}

codec::Buffer MultistreamListener::take_output() {
    return std::exchange(output_, {});
}

Result<std::size_t> MultistreamListener::receive(Bytes bytes) {
    Bytes rest = bytes;
    while (!rest.empty() && !agreed_) {
        KWAAI_TRY(std::optional<std::string> line, lines_.next(rest));
        if (line) {
            KWAAI_CHECKED(answer(std::move(*line)));
        }
    }
    return bytes.size() - rest.size();
}

Result<> MultistreamListener::answer(std::string line) {
    if (!std::exchange(has_header_, true)) return check_header(line);
    if (line != kList && line != kRefusal && knows_(line)) {
        append_multistream_line(output_, line);
        agreed_ = std::move(line);
        return {};
    }
    if (refusals_left_ == 0)
        return fail(Errc::limit_exceeded,
                    "the peer proposes one protocol after the other, lastly " + quoted(line));
    --refusals_left_;
    append_multistream_line(output_, kRefusal);
    return {};
}

const std::string* MultistreamListener::agreed() const {
    return agreed_ ? &*agreed_ : nullptr;
}

}  // namespace kwaai::p2p
