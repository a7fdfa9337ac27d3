#include "codec/msgpack.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <ranges>

#include "base/check.hpp"
#include "base/utf8.hpp"

namespace kwaai::codec {
namespace {

/// One pass over the bytes. Recursion goes as deep as MsgLimits::depth_max.
class Decoder {
public:
    Decoder(Bytes bytes, const MsgLimits& limits) : bytes_(bytes), limits_(limits) {}

    Result<MsgValue> value(std::size_t depth);

    [[nodiscard]] bool at_end() const { return position_ == bytes_.size(); }

    [[nodiscard]] std::unexpected<Error> malformed(std::string_view problem) const {
        std::string message = "msgpack at byte " + std::to_string(position_) + ": ";
        return fail(Errc::malformed, message.append(problem));
    }

private:
    Result<Bytes> take(std::size_t count) {
        if (count > bytes_.size() - position_) return malformed("cut short");
        const Bytes taken = bytes_.subspan(position_, count);
        position_ += count;
        return taken;
    }

    /// A number of sizeof(T) bytes, the big end first.
    template <class T>
    Result<T> number() {
        KWAAI_TRY(const Bytes bytes, take(sizeof(T)));
        std::make_unsigned_t<T> value = 0;
        for (const std::byte byte : bytes)
            value = static_cast<std::make_unsigned_t<T>>(std::uint64_t{value} << 8 |
                                                         std::to_integer<std::uint64_t>(byte));
        return static_cast<T>(value);
    }

    template <class T>
    Result<MsgValue> integer() {
        KWAAI_TRY(const T value, number<T>());
        return MsgValue(value);
    }

    Result<std::size_t> length(unsigned size_bytes) {
        switch (size_bytes) {
            case 1: return number<std::uint8_t>();
            case 2: return number<std::uint16_t>();
            default: return number<std::uint32_t>();
        }
    }

    Result<MsgValue> text(std::size_t size) {
        KWAAI_TRY(const Bytes bytes, take(size));
        if (!is_utf8(as_text(bytes))) return malformed("text that is not UTF-8 ends here");
        return MsgValue(std::string(as_text(bytes)));
    }

    Result<MsgValue> binary(std::size_t size) {
        KWAAI_TRY(const Bytes bytes, take(size));
        return MsgValue(to_buffer(bytes));
    }

    Result<MsgValue> ext(std::size_t size) {
        KWAAI_TRY(const auto type, number<std::int8_t>());
        KWAAI_TRY(const Bytes bytes, take(size));
        return MsgValue(MsgExt{type, to_buffer(bytes)});
    }

    Result<MsgValue> array(std::size_t count, std::size_t depth);
    Result<MsgValue> map(std::size_t count, std::size_t depth);
    Result<MsgValue> sized(unsigned code, std::size_t depth);

    Bytes bytes_;
    const MsgLimits& limits_;
    std::size_t position_ = 0;
    std::size_t value_count_ = 0;
};

// Containers are not reserved: the count is the stranger's, the elements are what arrived.
Result<MsgValue> Decoder::array(std::size_t count, std::size_t depth) {
    MsgArray elements;
    for (std::size_t i = 0; i < count; ++i) {
        KWAAI_TRY(MsgValue element, value(depth + 1));
        elements.push_back(std::move(element));
    }
    return MsgValue(std::move(elements));
}

Result<MsgValue> Decoder::map(std::size_t count, std::size_t depth) {
    MsgMap pairs;
    for (std::size_t i = 0; i < count; ++i) {
        KWAAI_TRY(MsgValue key, value(depth + 1));
        KWAAI_TRY(MsgValue mapped, value(depth + 1));
        pairs.emplace_back(std::move(key), std::move(mapped));
    }
    return MsgValue(std::move(pairs));
}

Result<MsgValue> Decoder::value(std::size_t depth) {
    if (depth > limits_.depth_max)
        return fail(Errc::limit_exceeded,
                    "msgpack nested deeper than " + std::to_string(limits_.depth_max));
    if (++value_count_ > limits_.values_max)
        return fail(Errc::limit_exceeded,
                    "msgpack of more than " + std::to_string(limits_.values_max) + " values");
    KWAAI_TRY(const auto code, number<std::uint8_t>());
    if (code <= 0x7f) return MsgValue(code);
    if (code <= 0x8f) return map(code & 0x0f, depth);
    if (code <= 0x9f) return array(code & 0x0f, depth);
    if (code <= 0xbf) return text(code & 0x1f);
    if (code >= 0xe0) return MsgValue(static_cast<std::int8_t>(code));
    switch (code) {
        case 0xc0: return MsgValue();
        case 0xc2: return MsgValue(false);
        case 0xc3: return MsgValue(true);
        case 0xca: {
            KWAAI_TRY(const auto bits, number<std::uint32_t>());
            return MsgValue(static_cast<double>(std::bit_cast<float>(bits)));
        }
        case 0xcb: {
            KWAAI_TRY(const auto bits, number<std::uint64_t>());
            return MsgValue(std::bit_cast<double>(bits));
        }
        case 0xcc: return integer<std::uint8_t>();
        case 0xcd: return integer<std::uint16_t>();
        case 0xce: return integer<std::uint32_t>();
        case 0xcf: return integer<std::uint64_t>();
        case 0xd0: return integer<std::int8_t>();
        case 0xd1: return integer<std::int16_t>();
        case 0xd2: return integer<std::int32_t>();
        case 0xd3: return integer<std::int64_t>();
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8: return ext(std::size_t{1} << (code - 0xd4));
        default: return sized(code, depth);
    }
}

/// What has its length in 1, 2 or 4 bytes behind its code.
Result<MsgValue> Decoder::sized(unsigned code, std::size_t depth) {
    struct Family {
        unsigned first;  // code of its shortest length
        unsigned count;
        unsigned size_bytes;  // of the length behind the first code
    };

    constexpr Family kBin = {0xc4, 3, 1};
    constexpr Family kExt = {0xc7, 3, 1};
    constexpr Family kText = {0xd9, 3, 1};
    constexpr Family kArray = {0xdc, 2, 2};
    constexpr Family kMap = {0xde, 2, 2};
    const auto is_in = [&](const Family& family) {
        return code >= family.first && code < family.first + family.count;
    };
    for (const Family& family : {kBin, kExt, kText, kArray, kMap}) {
        if (!is_in(family)) continue;
        KWAAI_TRY(const std::size_t size, length(family.size_bytes << (code - family.first)));
        switch (family.first) {
            case kBin.first: return binary(size);
            case kExt.first: return ext(size);
            case kText.first: return text(size);
            case kArray.first: return array(size, depth);
            default: return map(size, depth);
        }
    }
    return malformed("the code " + std::to_string(code) + ", which means nothing, stands before");
}

void append_big_endian(Buffer& out, std::uint64_t value, unsigned size_bytes) {
    for (unsigned i = size_bytes; i-- > 0;)
        out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void append_code(Buffer& out, unsigned code) {
    out.push_back(static_cast<std::byte>(code));
}

/// `code` and the value in 1 byte, or the next code and 2 bytes, up to 8.
void append_sized(Buffer& out, unsigned code, std::uint64_t value, unsigned size_bytes_min) {
    unsigned size_bytes = size_bytes_min;
    while (size_bytes < 8 && value >> (8 * size_bytes) != 0) {
        size_bytes *= 2;
        ++code;
    }
    append_code(out, code);
    append_big_endian(out, value, size_bytes);
}

std::size_t checked_size(std::size_t size) {
    KWAAI_CHECK(size <= 0xffffffffu, "msgpack counts with 32 bits");
    return size;
}

struct Encoder {
    Buffer& out;

    void operator()(std::monostate) const { append_code(out, 0xc0); }

    void operator()(bool value) const { append_code(out, value ? 0xc3 : 0xc2); }

    void operator()(std::uint64_t value) const {
        if (value <= 0x7f) {
            append_code(out, static_cast<unsigned>(value));
        } else {
            append_sized(out, 0xcc, value, 1);
        }
    }

    void operator()(std::int64_t value) const {
        if (value >= 0) {
            (*this)(static_cast<std::uint64_t>(value));
        } else if (value >= -32) {
            append_code(out, static_cast<unsigned>(value) & 0xff);
        } else {
            unsigned exponent = 0;  // of two, of the bytes
            while (exponent < 3 && value < -(std::int64_t{1} << ((8u << exponent) - 1)))
                ++exponent;
            append_code(out, 0xd0 + exponent);
            append_big_endian(out, static_cast<std::uint64_t>(value), 1u << exponent);
        }
    }

    void operator()(double value) const {
        append_code(out, 0xcb);
        append_big_endian(out, std::bit_cast<std::uint64_t>(value), 8);
    }

    void operator()(const std::string& text) const {
        if (text.size() <= 31) {
            append_code(out, 0xa0 | static_cast<unsigned>(text.size()));
        } else {
            append_sized(out, 0xd9, checked_size(text.size()), 1);
        }
        append(out, text);
    }

    void operator()(const Buffer& bytes) const {
        append_sized(out, 0xc4, checked_size(bytes.size()), 1);
        append(out, bytes);
    }

    void operator()(const MsgArray& elements) const {
        if (elements.size() <= 15) {
            append_code(out, 0x90 | static_cast<unsigned>(elements.size()));
        } else {
            append_sized(out, 0xdc, checked_size(elements.size()), 2);
        }
        for (const MsgValue& element : elements)
            encode_msgpack(out, element);
    }

    void operator()(const MsgMap& pairs) const {
        if (pairs.size() <= 15) {
            append_code(out, 0x80 | static_cast<unsigned>(pairs.size()));
        } else {
            append_sized(out, 0xde, checked_size(pairs.size()), 2);
        }
        for (const auto& [key, value] : pairs) {
            encode_msgpack(out, key);
            encode_msgpack(out, value);
        }
    }

    void operator()(const MsgExt& ext) const {
        const std::size_t size = ext.bytes.size();
        if (size <= 16 && std::has_single_bit(size)) {
            append_code(out, 0xd4 + static_cast<unsigned>(std::countr_zero(size)));
        } else {
            append_sized(out, 0xc7, checked_size(size), 1);
        }
        append_code(out, static_cast<std::uint8_t>(ext.type));
        append(out, ext.bytes);
    }
};

}  // namespace

const MsgValue* MsgValue::find(std::string_view key) const {
    const MsgMap* const map = get_if<MsgMap>();
    if (map == nullptr) return nullptr;
    for (const auto& [own_key, value] : std::views::reverse(*map)) {
        const std::string* const text = own_key.get_if<std::string>();
        if (text != nullptr && *text == key) return &value;
    }
    return nullptr;
}

Result<MsgArray> MsgValue::elements() const {
    if (const MsgArray* const array = get_if<MsgArray>()) return *array;
    const MsgExt* const ext = get_if<MsgExt>();
    if (ext == nullptr || ext->type != kExtTuple)
        return fail(Errc::malformed, "a msgpack value is neither an array nor a tuple");
    KWAAI_TRY(const MsgValue inside, decode_msgpack(ext->bytes));
    const MsgArray* const array = inside.get_if<MsgArray>();
    if (array == nullptr) return fail(Errc::malformed, "a msgpack tuple holds no array");
    return *array;
}

Result<MsgValue> decode_msgpack(Bytes bytes, const MsgLimits& limits) {
    if (bytes.size() > limits.bytes_max)
        return fail(Errc::limit_exceeded, "msgpack of " + std::to_string(bytes.size()) + " bytes");
    Decoder decoder(bytes, limits);
    KWAAI_TRY(MsgValue value, decoder.value(0));
    if (!decoder.at_end()) return decoder.malformed("bytes behind the value");
    return value;
}

void encode_msgpack(Buffer& out, const MsgValue& value) {
    std::visit(Encoder{out}, value.variant());
}

Buffer encode_msgpack(const MsgValue& value) {
    Buffer out;
    encode_msgpack(out, value);
    return out;
}

MsgValue make_tuple(MsgArray elements) {
    return MsgExt{kExtTuple, encode_msgpack(MsgValue(std::move(elements)))};
}

}  // namespace kwaai::codec
