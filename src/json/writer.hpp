// Writing JSON: compact, always valid UTF-8, into one string.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "json/document.hpp"

namespace kwaai::json {

/// Builds one JSON value piece by piece:
///   Writer out; out.begin_object().member("id",
///   7).key("names").begin_array().value("a").end().end();
/// A value out of place (no key in an object, two roots) is a bug and aborts. Strings may hold any
/// bytes: invalid UTF-8 becomes U+FFFD; other characters are not escaped beyond what JSON demands.
/// Numbers are the shortest that read back the same; NaN and infinities become null.
class Writer {
public:
    Writer& begin_object();
    Writer& begin_array();
    /// Closes the innermost object or array.
    Writer& end();
    /// The key of the next value, inside an object.
    Writer& key(std::string_view name);

    Writer& value(std::nullptr_t);
    Writer& value(std::string_view text);
    Writer& value(double number);
    Writer& value(float number);
    /// A copy of a parsed value.
    Writer& value(const Value& parsed);

    template <std::integral T>
    Writer& value(T number) {
        if constexpr (std::same_as<T, bool>) {
            return literal(number ? "true" : "false");
        } else if constexpr (std::signed_integral<T>) {
            return signed_integer(number);
        } else {
            return unsigned_integer(number);
        }
    }

    template <class T>
    Writer& member(std::string_view name, const T& content) {
        return key(name).value(content);
    }

    /// The finished text; the writer is empty again.
    [[nodiscard]] std::string take();

private:
    Writer& literal(std::string_view text);
    Writer& signed_integer(std::int64_t number);
    Writer& unsigned_integer(std::uint64_t number);
    Writer& elements(const Array& array);
    Writer& members(const Object& object);
    void before_value();
    void open(char opening, char closing);

    std::string out_;
    std::string closers_;       // of what is open, innermost last
    bool needs_comma_ = false;  // before the next value or key
    bool has_key_ = false;      // a key waits for its value
};

/// `text` as a JSON string with its quotes.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace kwaai::json
