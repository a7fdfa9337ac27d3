// MessagePack values, as Python's msgpack and Hivemind's serializer write them.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::codec {

/// Hivemind's extension types: a tuple is ext 0x40 whose payload is a MessagePack array
/// (hivemind-protocol.md §3.1); the others are carried as their bytes.
constexpr std::int8_t kExtTuple = 0x40;

class MsgValue;
using MsgArray = std::vector<MsgValue>;
using MsgMap = std::vector<std::pair<MsgValue, MsgValue>>;  // in the order of the bytes

struct MsgExt {
    std::int8_t type = 0;
    Buffer bytes;
    bool operator==(const MsgExt&) const = default;
};

/// A value with its exact type: an int is not a float, text is not binary (readers of DHT records
/// are strict about that).
class MsgValue {
public:
    using Variant = std::variant<std::monostate,  // nil
                                 bool,
                                 std::int64_t,
                                 std::uint64_t,  // only above the largest int64
                                 double,
                                 std::string,
                                 Buffer,  // bin
                                 MsgArray,
                                 MsgMap,
                                 MsgExt>;

    MsgValue() = default;

    template <class T>
        requires std::constructible_from<Variant, T&&> &&
                 (!std::integral<std::remove_cvref_t<T>> ||
                  std::same_as<std::remove_cvref_t<T>, bool>)
    MsgValue(T&& value) : value_(std::forward<T>(value)) {}  // NOLINT(google-explicit-constructor)

    /// A number of any width; it is an int64 wherever that holds it.
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    MsgValue(T value) {  // NOLINT(google-explicit-constructor)
        if (std::in_range<std::int64_t>(value)) {
            value_ = static_cast<std::int64_t>(value);
        } else {
            value_ = static_cast<std::uint64_t>(value);
        }
    }

    [[nodiscard]] const Variant& variant() const { return value_; }

    [[nodiscard]] bool is_nil() const { return std::holds_alternative<std::monostate>(value_); }

    /// A pointer to the value of that type, or nothing.
    template <class T>
    [[nodiscard]] const T* get_if() const {
        return std::get_if<T>(&value_);
    }

    /// The value of a text key in a map, the last one as in Python; nothing where this is no map or
    /// has no such key. Points into this value.
    [[nodiscard]] const MsgValue* find(std::string_view key) const;

    /// The elements of an array or of a Hivemind tuple (ext 0x40), copied; `Errc::malformed` else.
    [[nodiscard]] Result<MsgArray> elements() const;

    bool operator==(const MsgValue&) const = default;

private:
    Variant value_;
};

struct MsgLimits {
    std::size_t bytes_max = std::size_t{4} << 20;
    std::size_t depth_max = 16;
    std::size_t values_max = 65536;  // in all, keys and elements included
};

/// Exactly one value, nothing behind it. `Errc::malformed` with the offset, also for text that is
/// not UTF-8; `limit_exceeded`. Takes memory only for what has arrived.
[[nodiscard]] Result<MsgValue> decode_msgpack(Bytes bytes, const MsgLimits& limits = MsgLimits());

/// Shortest forms, floats always as float64, as Python's packer with use_bin_type. Maps keep their
/// order. Text, runs of bytes and counts are below 2^32.
void encode_msgpack(Buffer& out, const MsgValue& value);
[[nodiscard]] Buffer encode_msgpack(const MsgValue& value);

/// Hivemind's tuple: ext 0x40 around an array.
[[nodiscard]] MsgValue make_tuple(MsgArray elements);

}  // namespace kwaai::codec
