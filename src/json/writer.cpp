#include "json/writer.hpp"

#include <charconv>
#include <cmath>

#include "base/check.hpp"
#include "base/utf8.hpp"

namespace kwaai::json {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

void append_escape(std::string& out, unsigned char c) {
    constexpr std::string_view kHex = "0123456789abcdef";
    switch (c) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default:
            out += "\\u00";
            out += kHex[c >> 4];
            out += kHex[c & 15];
    }
}

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const auto c = static_cast<unsigned char>(text.front());
        std::size_t size = 1;
        if (c < 0x20 || c == '"' || c == '\\') {
            append_escape(out, c);
        } else if (c < 0x80) {
            out += text.front();
        } else {
            const Utf8Step step = decode_utf8(text);
            size = step.size;
            out += step.code == Utf8Step::kInvalid ? kReplacement : text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    out += '"';
}

template <class T>
std::string_view print(T number, char (&buffer)[40]) {
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
    return {buffer, static_cast<std::size_t>(end - buffer)};
}

}  // namespace

void Writer::before_value() {
    const bool is_in_object = !closers_.empty() && closers_.back() == '}';
    KWAAI_CHECK(is_in_object == has_key_, "a JSON value needs a key in an object, and only there");
    KWAAI_CHECK(!closers_.empty() || out_.empty(), "a JSON text is one value");
    if (needs_comma_ && !has_key_) out_ += ',';
    needs_comma_ = true;
    has_key_ = false;
}

void Writer::open(char opening, char closing) {
    before_value();
    out_ += opening;
    closers_ += closing;
    needs_comma_ = false;
}

Writer& Writer::begin_object() {
    open('{', '}');
    return *this;
}

Writer& Writer::begin_array() {
    open('[', ']');
    return *this;
}

Writer& Writer::end() {
    KWAAI_CHECK(!closers_.empty() && !has_key_, "JSON end() without an open object or array");
    out_ += closers_.back();
    closers_.pop_back();
    needs_comma_ = true;
    return *this;
}

Writer& Writer::key(std::string_view name) {
    KWAAI_CHECK(!closers_.empty() && closers_.back() == '}' && !has_key_,
                "a JSON key stands in an object, before its value");
    if (needs_comma_) out_ += ',';
    append_quoted(out_, name);
    out_ += ':';
    has_key_ = true;
    return *this;
}

Writer& Writer::literal(std::string_view text) {
    before_value();
    out_ += text;
    return *this;
}

Writer& Writer::signed_integer(std::int64_t number) {
    char buffer[40];
    return literal(print(number, buffer));
}

Writer& Writer::unsigned_integer(std::uint64_t number) {
    char buffer[40];
    return literal(print(number, buffer));
}

Writer& Writer::value(std::nullptr_t) {
    return literal("null");
}

Writer& Writer::value(std::string_view text) {
    before_value();
    append_quoted(out_, text);
    return *this;
}

Writer& Writer::value(double number) {
    char buffer[40];
    return literal(std::isfinite(number) ? print(number, buffer) : "null");
}

Writer& Writer::value(float number) {
    char buffer[40];
    return literal(std::isfinite(number) ? print(number, buffer) : "null");
}

// Recursion is bounded by the depth that parse allowed.
Writer& Writer::value(const Value& parsed) {
    switch (parsed.kind()) {
        case Kind::null: return value(nullptr);
        case Kind::boolean: return value(*parsed.boolean());
        case Kind::string: return value(*parsed.string());
        case Kind::number:
            if (const auto integer = parsed.integer()) return value(*integer);
            if (const auto natural = parsed.unsigned_integer()) return value(*natural);
            return value(*parsed.number());
        case Kind::array: return elements(*parsed.array());
        case Kind::object: return members(*parsed.object());
    }
    return *this;
}

Writer& Writer::elements(const Array& array) {
    begin_array();
    for (const Value element : array) {
        value(element);
    }
    return end();
}

Writer& Writer::members(const Object& object) {
    begin_object();
    for (const Member member : object) {
        key(member.key).value(member.value);
    }
    return end();
}

std::string Writer::take() {
    KWAAI_CHECK(closers_.empty(), "a JSON object or array was not closed");
    std::string text = std::move(out_);
    *this = Writer();
    return text;
}

std::string quote(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

}  // namespace kwaai::json
