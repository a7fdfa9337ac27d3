// The only file that sees the JSON library: its event parser feeds a tape.
// NOLINTBEGIN(readability-identifier-naming): the library chose these names.
#define JSON_NOEXCEPTION
#define JSON_NO_IO
#define JSON_USE_IMPLICIT_CONVERSIONS 0
// NOLINTEND(readability-identifier-naming)
#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/utf8.hpp"
#include "json/document.hpp"
#include "json/tape.hpp"
#include "json/writer.hpp"

namespace kwaai::json {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{1} << 30;  // node numbers and offsets are 32 bits
constexpr std::size_t kShownBytes = 160;                     // of a message about bad syntax

// The library's sentence without its own prefix ("[json.exception...] parse error at line 1,
// column 2: "), short, and valid UTF-8 whatever the text held.
std::string shown(std::string_view what) {
    if (const auto column = what.find("column "); column != std::string_view::npos) {
        if (const auto colon = what.find(": ", column); colon != std::string_view::npos) {
            what.remove_prefix(colon + 2);
        }
    }
    std::string text = replace_invalid_utf8(what.substr(0, kShownBytes));
    if (what.size() > kShownBytes) text += "...";
    return text;
}

/// Receives the parser's events. A handler that returns false ends parsing; `error` then says why.
class TapeBuilder {
public:
    using Json = nlohmann::json;

    TapeBuilder(Tape& tape, const Limits& limits) : tape_(tape), limits_(limits) {}

    [[nodiscard]] Error take_error() { return std::move(*error_); }

    bool null() {
        return add(NodeType::null, [](Node&) {});
    }

    bool boolean(bool value) {
        return add(NodeType::boolean, [&](Node& node) { node.boolean = value; });
    }

    bool number_integer(Json::number_integer_t value) {
        return add(NodeType::negative, [&](Node& node) { node.negative = value; });
    }

    bool number_unsigned(Json::number_unsigned_t value) {
        return add(NodeType::natural, [&](Node& node) { node.natural = value; });
    }

    bool number_float(Json::number_float_t value, const std::string& /*literal*/) {
        return add(NodeType::real, [&](Node& node) { node.real = value; });
    }

    bool string(std::string& value) {
        return add(NodeType::string, [&](Node& node) { node.text = append(value); });
    }

    bool key(std::string& value) {
        return add_node(NodeType::string, [&](Node& node) { node.text = append(value); });
    }

    bool binary(Json::binary_t& /*value*/) { return false; }  // never sent for text

    bool start_object(std::size_t /*size*/) { return open(NodeType::object); }

    bool start_array(std::size_t /*size*/) { return open(NodeType::array); }

    bool end_object() {
        const std::uint32_t node = open_.back();
        close();
        return index_keys(node);
    }

    bool end_array() {
        close();
        return true;
    }

    template <class Exception>
    bool parse_error(std::size_t position, const std::string& /*token*/, const Exception& reason) {
        const std::size_t offset = position == 0 ? 0 : position - 1;
        error_ = Error{Errc::malformed,
                       "not JSON at byte " + std::to_string(offset) + ": " + shown(reason.what())};
        return false;
    }

private:
    // Appends a node that `fill` completes, where the limit allows one more.
    template <class Fill>
    bool add_node(NodeType type, Fill fill) {
        if (tape_.nodes.size() >= limits_.values_max) {
            error_ = Error{Errc::limit_exceeded,
                           "JSON has more than " + std::to_string(limits_.values_max) + " values"};
            return false;
        }
        Node node;
        node.type = type;
        node.natural = 0;
        fill(node);
        tape_.nodes.push_back(node);
        return true;
    }

    // A value: counts in the container it stands in.
    template <class Fill>
    bool add(NodeType type, Fill fill) {
        if (!open_.empty()) ++container(open_.back()).size;
        return add_node(type, fill);
    }

    Node::Text append(std::string_view value) {
        const auto offset = static_cast<std::uint32_t>(tape_.text.size());
        tape_.text += value;
        return {offset, static_cast<std::uint32_t>(value.size())};
    }

    Tape::Container& container(std::uint32_t node) {
        return tape_.containers[tape_.nodes[node].container.index];
    }

    bool open(NodeType type) {
        if (open_.size() == limits_.depth_max) {
            error_ = Error{
                Errc::limit_exceeded,
                "JSON is nested deeper than " + std::to_string(limits_.depth_max) + " levels"};
            return false;
        }
        const auto index = static_cast<std::uint32_t>(tape_.containers.size());
        if (!add(type, [&](Node& node) { node.container = {0, index}; })) return false;
        tape_.containers.push_back({0, 0});
        open_.push_back(static_cast<std::uint32_t>(tape_.nodes.size() - 1));
        return true;
    }

    void close() {
        tape_.nodes[open_.back()].container.end = static_cast<std::uint32_t>(tape_.nodes.size());
        open_.pop_back();
    }

    /// A key to sort: comparing the first bytes decides most pairs without touching the text.
    struct SortKey {
        std::uint64_t head;  // the first eight bytes, big-endian, zeros behind the end
        std::uint32_t node;
    };

    [[nodiscard]] SortKey sort_key(std::uint32_t node) const {
        const std::string_view text = tape_.text_of(node);
        std::uint64_t head = 0;
        for (std::size_t i = 0; i < 8; ++i) {
            head = head << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
        }
        return {head, node};
    }

    // Refuses duplicate keys and orders the keys of large objects for look-up. Sorting rather than
    // hashing: no choice of keys makes it quadratic.
    bool index_keys(std::uint32_t object) {
        sort_keys_.clear();
        const std::uint32_t end = tape_.nodes[object].container.end;
        for (std::uint32_t node = object + 1; node < end; node = tape_.next(node + 1)) {
            sort_keys_.push_back(sort_key(node));
        }
        std::ranges::sort(sort_keys_, [&](const SortKey& a, const SortKey& b) {
            if (a.head != b.head) return a.head < b.head;
            return tape_.text_of(a.node) < tape_.text_of(b.node);
        });
        const auto twice =
            std::ranges::adjacent_find(sort_keys_, [&](const SortKey& a, const SortKey& b) {
                return a.head == b.head && tape_.text_of(a.node) == tape_.text_of(b.node);
            });
        if (twice != sort_keys_.end()) {
            const std::string_view key = tape_.text_of(twice->node).substr(0, kShownBytes);
            error_ = Error{Errc::malformed,
                           "JSON: the key " + quote(key) + " stands twice in one object"};
            return false;
        }
        if (container(object).size <= Tape::kSmallObject) return true;
        container(object).order = static_cast<std::uint32_t>(tape_.order.size());
        for (const SortKey& key : sort_keys_) {
            tape_.order.push_back(key.node);
        }
        return true;
    }

    Tape& tape_;
    Limits limits_;
    std::vector<std::uint32_t> open_;  // arrays and objects not closed yet
    std::vector<SortKey> sort_keys_;   // of the object that ends; kept for its memory
    std::optional<Error> error_;
};

}  // namespace

Result<Document> parse(std::string_view text, Limits limits) {
    const std::size_t text_bytes_max = std::min(limits.text_bytes_max, kTextBytesMax);
    if (text.size() > text_bytes_max) {
        return fail(Errc::limit_exceeded,
                    "JSON of " + std::to_string(text.size()) + " bytes; at most " +
                        std::to_string(text_bytes_max) + " are read");
    }
    // The library takes NUL for the end of the text and would ignore what follows.
    if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
        return fail(Errc::malformed, "not JSON at byte " + std::to_string(nul) + ": a NUL byte");
    }
    auto tape = std::make_unique<Tape>();
    TapeBuilder builder(*tape, limits);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
        return std::unexpected<Error>(builder.take_error());
    }
    return Document(std::move(tape));
}

}  // namespace kwaai::json
