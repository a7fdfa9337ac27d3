// The only file that sees the JSON library: its event parser feeds a tape.
#define JSON_NOEXCEPTION
#define JSON_NO_IO
#define JSON_USE_IMPLICIT_CONVERSIONS 0
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
    if (const auto column = what.find("column "); column != std::string_view::npos)
        if (const auto colon = what.find(": ", column); colon != std::string_view::npos)
            what.remove_prefix(colon + 2);
    std::string text = replace_invalid_utf8(what.substr(0, kShownBytes));
    if (what.size() > kShownBytes) text += "...";
    return text;
}

/// Receives the parser's events. A handler that returns false ends parsing; `error` then says why.
class TapeBuilder {
public:
    using Json = nlohmann::json;

    TapeBuilder(Tape& tape, std::size_t depth_max) : tape_(tape), depth_max_(depth_max) {}

    [[nodiscard]] Error take_error() { return std::move(*error_); }

    bool null() { return add(NodeType::null) != nullptr; }

    bool boolean(bool value) {
        add(NodeType::boolean)->boolean = value;
        return true;
    }

    bool number_integer(Json::number_integer_t value) {
        add(NodeType::negative)->negative = value;
        return true;
    }

    bool number_unsigned(Json::number_unsigned_t value) {
        add(NodeType::natural)->natural = value;
        return true;
    }

    bool number_float(Json::number_float_t value, const std::string& /*literal*/) {
        add(NodeType::real)->real = value;
        return true;
    }

    bool string(std::string& value) {
        add(NodeType::string)->text = append(value);
        return true;
    }

    bool key(std::string& value) {
        add_node(NodeType::string)->text = append(value);
        return true;
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
    Node* add_node(NodeType type) {
        Node node;
        node.type = type;
        node.natural = 0;
        tape_.nodes.push_back(node);
        return &tape_.nodes.back();
    }

    // A value: counts in the container it stands in.
    Node* add(NodeType type) {
        if (!open_.empty()) ++container(open_.back()).size;
        return add_node(type);
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
        if (open_.size() == depth_max_) {
            error_ = Error{Errc::limit_exceeded,
                           "JSON is nested deeper than " + std::to_string(depth_max_) + " levels"};
            return false;
        }
        const auto index = static_cast<std::uint32_t>(tape_.containers.size());
        add(type)->container = {0, index};
        tape_.containers.push_back({0, 0});
        open_.push_back(static_cast<std::uint32_t>(tape_.nodes.size() - 1));
        return true;
    }

    void close() {
        tape_.nodes[open_.back()].container.end = static_cast<std::uint32_t>(tape_.nodes.size());
        open_.pop_back();
    }

    // Refuses duplicate keys and orders the keys of large objects for look-up. Sorting rather than
    // hashing: no choice of keys makes it quadratic.
    bool index_keys(std::uint32_t object) {
        std::vector<std::uint32_t>& order = tape_.order;
        const auto start = static_cast<std::ptrdiff_t>(order.size());
        const std::uint32_t end = tape_.nodes[object].container.end;
        for (std::uint32_t node = object + 1; node < end; node = tape_.next(node + 1))
            order.push_back(node);
        const auto text_of = [&](std::uint32_t node) {
            return tape_.text_of(node);
        };
        std::ranges::sort(order.begin() + start, order.end(), {}, text_of);
        const auto twice =
            std::ranges::adjacent_find(order.begin() + start, order.end(), {}, text_of);
        if (twice != order.end()) {
            error_ = Error{Errc::malformed,
                           "JSON: the key " + quote(text_of(*twice).substr(0, kShownBytes)) +
                               " stands twice in one object"};
            return false;
        }
        if (container(object).size > Tape::kSmallObject)
            container(object).order = static_cast<std::uint32_t>(start);
        else
            order.resize(static_cast<std::size_t>(start));
        return true;
    }

    Tape& tape_;
    std::size_t depth_max_;
    std::vector<std::uint32_t> open_;  // arrays and objects not closed yet
    std::optional<Error> error_;
};

}  // namespace

Result<Document> parse(std::string_view text, Limits limits) {
    const std::size_t text_bytes_max = std::min(limits.text_bytes_max, kTextBytesMax);
    if (text.size() > text_bytes_max)
        return fail(Errc::limit_exceeded,
                    "JSON of " + std::to_string(text.size()) + " bytes; at most " +
                        std::to_string(text_bytes_max) + " are read");
    // The library takes NUL for the end of the text and would ignore what follows.
    if (const auto nul = text.find('\0'); nul != std::string_view::npos)
        return fail(Errc::malformed, "not JSON at byte " + std::to_string(nul) + ": a NUL byte");
    auto tape = std::make_unique<Tape>();
    TapeBuilder builder(*tape, limits.depth_max);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
        return std::unexpected<Error>(builder.take_error());
    return Document(std::move(tape));
}

}  // namespace kwaai::json
