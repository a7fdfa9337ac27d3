#include "inference/text_stream.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/utf8.hpp"

namespace kwaai::inference {
namespace {

// Where the stop string that is complete first begins, the longest of those; npos for none.
std::size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
    std::size_t begin = text.npos;
    std::size_t end = text.npos;
    for (const std::string& stop : stops) {
        const std::size_t at = text.find(stop);
        if (at == text.npos) continue;
        if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
            begin = at;
            end = at + stop.size();
        }
    }
    return begin;
}

// Bytes at the end of `text` that begin one of the stop strings.
std::size_t begun_stop(std::string_view text, const std::vector<std::string>& stops) {
    std::size_t longest = 0;
    for (const std::string_view stop : stops) {
        std::size_t size = std::min(text.size(), stop.size() - 1);
        while (size > longest && !text.ends_with(stop.substr(0, size)))
            --size;
        longest = std::max(longest, size);
    }
    return longest;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops, TextStart start)
    : tokenizer_(tokenizer),
      stops_(std::move(stops)),
      drops_space_(start == TextStart::beginning && tokenizer.add_space_prefix()) {
    std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string TextStream::push(TokenId token) {
    if (is_stopped_) return {};
    std::string piece = tokenizer_.piece(token);
    if (piece.empty()) return {};
    if (std::exchange(drops_space_, false) && piece.starts_with(' ')) piece.erase(0, 1);
    held_ += piece;
    return release(false);
}

std::string TextStream::finish() {
    return release(true);
}

std::string TextStream::release(bool is_last) {
    std::size_t size = held_.size();
    if (const std::size_t stop = find_stop(held_, stops_); stop != held_.npos) {
        is_stopped_ = true;
        size = stop;
    } else if (!is_last) {
        size -= begun_stop(held_, stops_);
        size -= incomplete_utf8_tail(std::string_view(held_).substr(0, size));
    }
    std::string text = replace_invalid_utf8(std::string_view(held_).substr(0, size));
    held_.erase(0, is_stopped_ ? held_.size() : size);
    return text;
}

}  // namespace kwaai::inference
