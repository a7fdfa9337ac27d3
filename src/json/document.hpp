// Reading JSON: a text becomes an immutable document; values are light views into it that know
// where they stand, so that every error names its place.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace kwaai::json {

/// What `parse` accepts. A document takes 16 bytes a value or key and the text of its strings, so
/// that the limits bound memory too.
struct Limits {
    std::size_t text_bytes_max = std::size_t{64} << 20;  // at most 1 GiB
    std::size_t depth_max = 64;                          // of nested arrays and objects
    std::size_t values_max = std::size_t{8} << 20;       // and keys
};

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

/// "a number", "an array", ... for messages.
[[nodiscard]] std::string_view to_string(Kind kind);

class Array;
class Object;
struct Tape;

/// A view of one value; two words, copied freely, valid as long as its Document (also after the
/// Document was moved). Typed getters fail with `Errc::malformed` and the place:
/// "messages[2].content: expected a string, found a number".
class Value {
public:
    [[nodiscard]] Kind kind() const;

    [[nodiscard]] bool is_null() const { return kind() == Kind::null; }

    [[nodiscard]] Result<bool> boolean() const;
    [[nodiscard]] Result<double> number() const;
    /// Numbers with an integral value in range; 3.0 counts as 3.
    [[nodiscard]] Result<std::int64_t> integer() const;
    [[nodiscard]] Result<std::uint64_t> unsigned_integer() const;
    /// The unescaped UTF-8 text; may contain NUL.
    [[nodiscard]] Result<std::string_view> string() const;
    [[nodiscard]] Result<Array> array() const;
    [[nodiscard]] Result<Object> object() const;

    /// The member `key` of an object; nothing where it is missing or this is no object.
    [[nodiscard]] std::optional<Value> find(std::string_view key) const;
    /// As `find`, and a null member counts as missing: for optional fields.
    [[nodiscard]] std::optional<Value> given(std::string_view key) const;
    /// The member `key`; an error where this is no object or the member is missing.
    [[nodiscard]] Result<Value> at(std::string_view key) const;

    /// The place in the document, e.g. `choices[0].delta`; "the document" for the root. Costs a
    /// walk over the document: for errors.
    [[nodiscard]] std::string path() const;
    /// `Errc::malformed` with the place and what is wrong with it: "model: no such model".
    [[nodiscard]] std::unexpected<Error> error(std::string_view what) const;

private:
    friend class Array;
    friend class Object;
    friend class Document;

    Value(const Tape* tape, std::uint32_t node) : tape_(tape), node_(node) {}

    [[nodiscard]] std::unexpected<Error> mismatch(std::string_view expected) const;
    [[nodiscard]] std::uint32_t next() const;  // the node after this value

    const Tape* tape_;
    std::uint32_t node_;
};

/// The elements of an array in order. Name it before a loop over it: g++ 12 ends the life of the
/// temporary in `for (Value v : *value.array())`.
class Array {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using reference = Value;
        using pointer = void;
        using value_type = Value;
        using difference_type = std::ptrdiff_t;

        Value operator*() const { return at_; }

        Iterator& operator++() {
            at_.node_ = at_.next();
            return *this;
        }

        Iterator operator++(int) {
            const Iterator before = *this;
            ++*this;
            return before;
        }

        bool operator==(const Iterator& other) const { return at_.node_ == other.at_.node_; }

    private:
        friend class Array;

        explicit Iterator(Value at) : at_(at) {}

        Value at_;
    };

    [[nodiscard]] std::size_t size() const;

    [[nodiscard]] Iterator begin() const { return Iterator(Value(self_.tape_, self_.node_ + 1)); }

    [[nodiscard]] Iterator end() const { return Iterator(Value(self_.tape_, self_.next())); }

private:
    friend class Value;

    explicit Array(Value self) : self_(self) {}

    Value self_;
};

/// One member of an object.
struct Member {
    std::string_view key;
    Value value;
};

/// The members of an object in document order; keys are unique.
class Object {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using reference = Member;
        using pointer = void;
        using value_type = Member;
        using difference_type = std::ptrdiff_t;

        Member operator*() const;

        Iterator& operator++() {
            at_.node_ = Value(at_.tape_, at_.node_ + 1).next();
            return *this;
        }

        Iterator operator++(int) {
            const Iterator before = *this;
            ++*this;
            return before;
        }

        bool operator==(const Iterator& other) const { return at_.node_ == other.at_.node_; }

    private:
        friend class Object;

        explicit Iterator(Value at) : at_(at) {}

        Value at_;  // the key
    };

    [[nodiscard]] std::size_t size() const;

    [[nodiscard]] Iterator begin() const { return Iterator(Value(self_.tape_, self_.node_ + 1)); }

    [[nodiscard]] Iterator end() const { return Iterator(Value(self_.tape_, self_.next())); }

private:
    friend class Value;

    explicit Object(Value self) : self_(self) {}

    Value self_;
};

/// Owns what its values look into. Immutable; safe from several threads.
class Document {
public:
    Document(Document&&) noexcept;
    Document& operator=(Document&&) noexcept;
    ~Document();

    [[nodiscard]] Value root() const;

private:
    friend Result<Document> parse(std::string_view text, Limits limits);

    explicit Document(std::unique_ptr<const Tape> tape);

    std::unique_ptr<const Tape> tape_;
};

/// Reads one JSON value (RFC 8259), with nothing but white space around it. `Errc::malformed` with
/// the byte offset: syntax, invalid UTF-8, a duplicate key (taking the first or the last would let
/// two readers of one text disagree), a number beyond double. `Errc::limit_exceeded`: text, values
/// or depth. Cost O(n log n) in the members of the largest object, else O(n).
Result<Document> parse(std::string_view text, Limits limits = Limits());

}  // namespace kwaai::json
