#include "cli/metadata_text.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "base/utf8.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

template <class T>
inline constexpr bool kIsArray = false;
template <class T>
inline constexpr bool kIsArray<std::vector<T>> = true;

/// At most `bytes_max` bytes, cut between characters.
std::string_view beginning(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return text;
    const std::string_view cut = text.substr(0, bytes_max);
    return cut.substr(0, cut.size() - incomplete_utf8_tail(cut));
}

std::string quoted(std::string_view text, std::size_t bytes_max) {
    const std::string_view shown = beginning(text, bytes_max);
    return printable(json::quote(shown)) + (shown.size() < text.size() ? "…" : "");
}

template <class T>
std::string scalar_text(const T& value, const MetadataLimits& limits) {
    if constexpr (std::is_same_v<T, std::string>)
        return quoted(value, limits.text_bytes_max);
    else
        return fmt::format("{}", value);
}

template <class T>
std::string array_text(const std::vector<T>& values, const MetadataLimits& limits) {
    const std::size_t shown = std::min(values.size(), limits.elements_max);
    std::string out = shown < values.size() ? fmt::format("{} of [", values.size()) : "[";
    for (std::size_t i = 0; i < shown; ++i)
        out += (i == 0 ? "" : ", ") + scalar_text<T>(values[i], limits);
    return out + (shown < values.size() ? ", …]" : "]");
}

void write_text(json::Writer& out, std::string_view text, std::size_t bytes_max) {
    const std::string_view shown = beginning(text, bytes_max);
    if (shown.size() == text.size()) {
        out.value(text);
        return;
    }
    out.begin_object().member("size_bytes", text.size()).member("first", shown).end();
}

template <class T>
void write_array(json::Writer& out, const std::vector<T>& values, const MetadataLimits& limits) {
    const std::size_t shown = std::min(values.size(), limits.elements_max);
    const bool is_short = shown < values.size();
    if (is_short) out.begin_object().member("length", values.size()).key("first");
    out.begin_array();
    for (std::size_t i = 0; i < shown; ++i)
        out.value(values[i]);
    out.end();
    if (is_short) out.end();
}

}  // namespace

std::string metadata_text(const inference::MetadataValue& value, const MetadataLimits& limits) {
    return std::visit(
        [&limits](const auto& held) {
            using T = std::decay_t<decltype(held)>;
            if constexpr (kIsArray<T>)
                return array_text(held, limits);
            else
                return scalar_text<T>(held, limits);
        },
        value);
}

void write_metadata(json::Writer& out,
                    const inference::MetadataValue& value,
                    const MetadataLimits& limits) {
    std::visit(
        [&out, &limits](const auto& held) {
            using T = std::decay_t<decltype(held)>;
            if constexpr (kIsArray<T>)
                write_array(out, held, limits);
            else if constexpr (std::is_same_v<T, std::string>)
                write_text(out, held, limits.text_bytes_max);
            else
                out.value(held);
        },
        value);
}

}  // namespace kwaai::cli
