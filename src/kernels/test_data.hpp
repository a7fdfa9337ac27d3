// Seeded inputs and a hash of results for the tests and benchmarks of this room.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/isa.hpp"

namespace kwaai::kernels {

/// A small generator of our own: the hashes in the tests depend on its values.
class TestRandom {
public:
    explicit TestRandom(std::uint64_t seed) : state_(seed * 2 + 1) {}

    std::uint32_t bits() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::uint32_t>(state_ >> 16);
    }

    /// Uniform in [-1, 1).
    float value() { return static_cast<float>(static_cast<std::int32_t>(bits())) * 0x1p-31f; }

    /// A half of size 2^-10 .. 2^-7, either sign.
    std::uint16_t scale() {
        const std::uint32_t sign = bits() & 0x8000u;
        const std::uint32_t exponent = 5 + bits() % 3;
        return static_cast<std::uint16_t>(sign | exponent << 10 | (bits() & 1023u));
    }

    std::vector<float> values(std::size_t count) {
        std::vector<float> x(count);
        for (float& v : x)
            v = value();
        return x;
    }

private:
    std::uint64_t state_;
};

/// `count` records of random codes with scales of sensible size.
inline std::vector<std::byte> random_records(Format format, std::size_t count, TestRandom& random) {
    std::vector<std::byte> panel(count * record_bytes(format));
    for (std::byte& b : panel)
        b = static_cast<std::byte>(random.bits());
    const auto set_halves = [&](std::uint16_t* first, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i)
            first[i] = random.scale();
    };
    for (std::size_t n = 0; n < count; ++n) {
        std::byte* record = panel.data() + n * record_bytes(format);
        auto* halves = reinterpret_cast<std::uint16_t*>(record);
        auto* floats = reinterpret_cast<float*>(record);
        switch (format) {
            case Format::q4_0:
            case Format::q8_0:
            case Format::q4_k: set_halves(halves, 32); break;
            case Format::q4_1: set_halves(halves, 64); break;
            case Format::f16: set_halves(halves, 16); break;
            case Format::q6_k:
            case Format::f32:
                for (int r = 0; r < 16; ++r)
                    floats[r] = random.value() * 0.01f;
                break;
            case Format::u6: {
                auto* wide = reinterpret_cast<Wide*>(record);
                for (auto& line : wide->q) {
                    for (std::uint8_t& code : line)
                        code &= 63;
                }
                for (int r = 0; r < 16; ++r) {
                    wide->scale[r] = random.value() * 0.01f;
                    wide->second[r] = random.value() * 0.1f;
                }
                break;
            }
        }
    }
    return panel;
}

/// FNV-1a over 32-bit words: one number for the bits of a result on every machine.
inline std::uint64_t hash_bits(std::span<const float> values,
                               std::uint64_t hash = 1469598103934665603ull) {
    for (const float value : values) {
        std::uint32_t word;
        std::memcpy(&word, &value, sizeof word);
        hash = (hash ^ word) * 1099511628211ull;
    }
    return hash;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// The tables this CPU can run, scalar first.
inline std::vector<const Isa*> available_tables() {
    const Isa* tables[8];
    const int count = available(tables, 8);
    return {tables, tables + count};
}

/// Rows of activations quantised into tiles of `tile_rows`, as ActivationRows of tensor does.
class PackedRows {
public:
    PackedRows(const Isa& isa, const float* x, int rows, int k, int tile_rows)
        : rows_(rows), tile_rows_(tile_rows), blocks_((k + kBlock - 1) / kBlock) {
        acts_.resize(static_cast<std::size_t>(rows * blocks_));
        for (int row = 0; row < rows; ++row) {
            const int first = row / tile_rows * tile_rows;
            Act* tile = acts_.data() + static_cast<std::size_t>(first * blocks_);
            isa.quantise(x + static_cast<std::size_t>(row) * static_cast<std::size_t>(k),
                         k,
                         kBlock,
                         tile + (row - first),
                         static_cast<std::size_t>(rows_from(first)));
        }
    }

    [[nodiscard]] int rows() const { return rows_; }

    [[nodiscard]] int blocks() const { return blocks_; }

    [[nodiscard]] int tile_rows() const { return tile_rows_; }

    [[nodiscard]] const Act& at(int row, int block) const {
        const int first = row / tile_rows_ * tile_rows_;
        return acts_[static_cast<std::size_t>(first * blocks_ + block * rows_from(first) + row -
                                              first)];
    }

    /// The tile that starts at `row`, from block `block` on, with its outputs.
    [[nodiscard]] Tile tile(int row, int block, float* out, std::size_t out_stride) const {
        return {acts_.data() + static_cast<std::size_t>(row * blocks_ + block * rows_from(row)),
                out + static_cast<std::size_t>(row) * out_stride,
                out_stride,
                rows_from(row)};
    }

private:
    [[nodiscard]] int rows_from(int first) const {
        return rows_ - first < tile_rows_ ? rows_ - first : tile_rows_;
    }

    int rows_;
    int tile_rows_;
    int blocks_;
    std::vector<Act> acts_;
};

}  // namespace kwaai::kernels
