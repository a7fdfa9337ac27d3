#include "json/document.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "json/tape.hpp"
#include "json/writer.hpp"

namespace kwaai::json {
namespace {

constexpr double kTwoTo63 = 9223372036854775808.0;
constexpr double kTwoTo64 = 18446744073709551616.0;
constexpr std::size_t kShownKeyBytes = 64;  // of a key in a message

bool is_plain_key(std::string_view key) {
    return !key.empty() && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

// `.key` or `["odd key"]`, cut short where it is long.
void append_key(std::string& path, std::string_view key) {
    if (is_plain_key(key) && key.size() <= kShownKeyBytes) {
        if (!path.empty()) path += '.';
        path += key;
        return;
    }
    const bool is_long = key.size() > kShownKeyBytes;
    path += '[';
    path += quote(key.substr(0, kShownKeyBytes));
    path += is_long ? "...]" : "]";
}

}  // namespace

std::string_view to_string(Kind kind) {
    switch (kind) {
        case Kind::null: return "null";
        case Kind::boolean: return "a boolean";
        case Kind::number: return "a number";
        case Kind::string: return "a string";
        case Kind::array: return "an array";
        case Kind::object: return "an object";
    }
    return "a value";
}

Kind Value::kind() const {
    switch (tape_->nodes[node_].type) {
        case NodeType::null: return Kind::null;
        case NodeType::boolean: return Kind::boolean;
        case NodeType::negative:
        case NodeType::natural:
        case NodeType::real: return Kind::number;
        case NodeType::string: return Kind::string;
        case NodeType::array: return Kind::array;
        case NodeType::object: return Kind::object;
    }
    return Kind::null;
}

std::uint32_t Value::next() const {
    return tape_->next(node_);
}

Result<bool> Value::boolean() const {
    const Node& node = tape_->nodes[node_];
    if (node.type != NodeType::boolean) return mismatch("a boolean");
    return node.boolean;
}

Result<double> Value::number() const {
    const Node& node = tape_->nodes[node_];
    if (node.type == NodeType::negative) return static_cast<double>(node.negative);
    if (node.type == NodeType::natural) return static_cast<double>(node.natural);
    if (node.type == NodeType::real) return node.real;
    return mismatch("a number");
}

Result<std::int64_t> Value::integer() const {
    const Node& node = tape_->nodes[node_];
    if (node.type == NodeType::negative) return node.negative;
    if (node.type == NodeType::natural && node.natural <= std::uint64_t{INT64_MAX}) {
        return static_cast<std::int64_t>(node.natural);
    }
    if (node.type == NodeType::real && node.real >= -kTwoTo63 && node.real < kTwoTo63) {
        const auto whole = static_cast<std::int64_t>(node.real);
        if (static_cast<double>(whole) == node.real) return whole;
    }
    return kind() == Kind::number ? error("expected an integer of 64 bits")
                                  : mismatch("an integer");
}

Result<std::uint64_t> Value::unsigned_integer() const {
    const Node& node = tape_->nodes[node_];
    if (node.type == NodeType::natural) return node.natural;
    if (node.type == NodeType::real && node.real >= 0 && node.real < kTwoTo64) {
        const auto whole = static_cast<std::uint64_t>(node.real);
        if (static_cast<double>(whole) == node.real) return whole;
    }
    return kind() == Kind::number ? error("expected an integer of at least 0")
                                  : mismatch("an integer");
}

Result<std::string_view> Value::string() const {
    if (kind() != Kind::string) return mismatch("a string");
    return tape_->text_of(node_);
}

Result<Array> Value::array() const {
    if (kind() != Kind::array) return mismatch("an array");
    return Array(*this);
}

Result<Object> Value::object() const {
    if (kind() != Kind::object) return mismatch("an object");
    return Object(*this);
}

std::optional<Value> Value::find(std::string_view key) const {
    if (kind() != Kind::object) return std::nullopt;
    const Tape::Container& object = tape_->container_of(node_);
    if (object.size > Tape::kSmallObject) {
        const auto first = tape_->order.begin() + object.order;
        const auto last = first + object.size;
        const auto found = std::ranges::lower_bound(
            first, last, key, {}, [&](std::uint32_t node) { return tape_->text_of(node); });
        if (found == last || tape_->text_of(*found) != key) return std::nullopt;
        return Value(tape_, *found + 1);
    }
    for (const Member member : Object(*this)) {
        if (member.key == key) return member.value;
    }
    return std::nullopt;
}

std::optional<Value> Value::given(std::string_view key) const {
    const std::optional<Value> member = find(key);
    return member && !member->is_null() ? member : std::nullopt;
}

Result<Value> Value::at(std::string_view key) const {
    if (kind() != Kind::object) return mismatch("an object");
    const std::optional<Value> member = find(key);
    if (!member) return error("the member " + quote(key) + " is missing");
    return *member;
}

std::string Value::path() const {
    std::string path;
    std::uint32_t at = 0;
    while (at != node_) {
        const bool is_object = tape_->nodes[at].type == NodeType::object;
        std::uint32_t child = at + 1;
        std::size_t position = 0;
        for (;; ++position) {
            const std::uint32_t value = is_object ? child + 1 : child;
            const std::uint32_t after = tape_->next(value);
            if (node_ < after) {
                if (is_object) {
                    append_key(path, tape_->text_of(child));
                } else {
                    path += "[" + std::to_string(position) + "]";
                }
                at = value;
                break;
            }
            child = after;
        }
    }
    return path.empty() ? "the document" : path;
}

std::unexpected<Error> Value::error(std::string_view what) const {
    return fail(Errc::malformed, path() + ": " + std::string(what));
}

std::unexpected<Error> Value::mismatch(std::string_view expected) const {
    return error("expected " + std::string(expected) + ", found " + std::string(to_string(kind())));
}

std::size_t Array::size() const {
    return self_.tape_->container_of(self_.node_).size;
}

std::size_t Object::size() const {
    return self_.tape_->container_of(self_.node_).size;
}

Member Object::Iterator::operator*() const {
    return {at_.tape_->text_of(at_.node_), Value(at_.tape_, at_.node_ + 1)};
}

Document::Document(std::unique_ptr<const Tape> tape) : tape_(std::move(tape)) {}

Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Value Document::root() const {
    return {tape_.get(), 0};
}

}  // namespace kwaai::json
