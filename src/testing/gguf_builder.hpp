// Makes small GGUF files in memory, correct or broken in one chosen place.
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/checked.hpp"

namespace kwaai::testing {

/// The little-endian bytes of a number.
template <class T>
    requires std::is_arithmetic_v<T>
[[nodiscard]] std::string number_bytes(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
}

/// A GGUF string: u64 length and bytes.
[[nodiscard]] inline std::string text_bytes(std::string_view text) {
    return number_bytes<std::uint64_t>(text.size()).append(text);
}

/// Collects metadata and tensors; `build` writes the file. Tensor data is zeros unless given.
class GgufBuilder {
public:
    std::uint32_t magic = 0x46554747;
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;               // of the layout; write the key yourself
    std::optional<std::uint64_t> pair_count;    // instead of the true one
    std::optional<std::uint64_t> tensor_count;  // instead of the true one
    std::uint64_t data_missing = 0;             // bytes cut off the end

    /// A metadata pair of any type; `value` are the bytes behind the type number.
    GgufBuilder& pair(std::string_view key, std::uint32_t type, std::string_view value) {
        pairs_ += text_bytes(key) + number_bytes(type);
        pairs_ += value;
        ++pairs_written_;
        return *this;
    }

    GgufBuilder& u32(std::string_view key, std::uint32_t value) {
        return pair(key, 4, number_bytes(value));
    }

    GgufBuilder& f32(std::string_view key, float value) {
        return pair(key, 6, number_bytes(value));
    }

    GgufBuilder& text(std::string_view key, std::string_view value) {
        return pair(key, 8, text_bytes(value));
    }

    GgufBuilder& texts(std::string_view key, const std::vector<std::string>& values) {
        std::string bytes =
            number_bytes(std::uint32_t{8}) + number_bytes<std::uint64_t>(values.size());
        for (const std::string& value : values) {
            bytes += text_bytes(value);
        }
        return pair(key, 9, bytes);
    }

    /// A tensor behind the ones before it. `ne` as in the file: the row's length first.
    GgufBuilder& tensor(std::string_view name,
                        const std::vector<std::uint64_t>& ne,
                        std::uint32_t type,
                        std::string_view data) {
        const std::uint64_t offset = round_up<std::uint64_t>(data_.size(), alignment);
        tensor_at(name, ne, type, offset);
        data_.resize(static_cast<std::size_t>(offset), '\0');
        data_ += data;
        return *this;
    }

    /// An F32 tensor of zeros.
    GgufBuilder& zeros(std::string_view name, const std::vector<std::uint64_t>& ne) {
        std::size_t count = 1;
        for (const std::uint64_t extent : ne) {
            count *= static_cast<std::size_t>(extent);
        }
        return tensor(name, ne, 0, std::string(count * sizeof(float), '\0'));
    }

    /// Lists a tensor without adding data.
    GgufBuilder& tensor_at(std::string_view name,
                           const std::vector<std::uint64_t>& ne,
                           std::uint32_t type,
                           std::uint64_t offset) {
        tensors_ += text_bytes(name) + number_bytes(static_cast<std::uint32_t>(ne.size()));
        for (const std::uint64_t extent : ne) {
            tensors_ += number_bytes(extent);
        }
        tensors_ += number_bytes(type) + number_bytes(offset);
        ++tensors_written_;
        return *this;
    }

    [[nodiscard]] std::string build() const {
        std::string file = number_bytes(magic) + number_bytes(version) +
                           number_bytes(tensor_count.value_or(tensors_written_)) +
                           number_bytes(pair_count.value_or(pairs_written_)) + pairs_ + tensors_;
        if (tensors_written_ > 0) {
            file.resize(static_cast<std::size_t>(round_up<std::uint64_t>(file.size(), alignment)),
                        '\0');
            file += data_;
        }
        file.resize(file.size() - static_cast<std::size_t>(data_missing));
        return file;
    }

private:
    std::string pairs_;
    std::string tensors_;
    std::string data_;
    std::uint64_t pairs_written_ = 0;
    std::uint64_t tensors_written_ = 0;
};

}  // namespace kwaai::testing
