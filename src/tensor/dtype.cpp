#include "tensor/dtype.hpp"

#include <bit>
#include <cstring>

#include "base/check.hpp"
#include "kernels/half.hpp"
#include "tensor/panel.hpp"

// Block layouts: GGUF's, all little-endian. K quants keep 6-bit scales and minima in 12 bytes; see
// k_scale.
namespace kwaai::tensor {
namespace {

struct Layout {
    Dtype dtype;
    std::string_view name;
    std::uint16_t values;
    std::uint16_t bytes;
};

constexpr Layout kLayouts[] = {
    {Dtype::f32, "F32", 1, 4},
    {Dtype::f16, "F16", 1, 2},
    {Dtype::bf16, "BF16", 1, 2},
    {Dtype::q8_0, "Q8_0", 32, 34},
    {Dtype::q4_0, "Q4_0", 32, 18},
    {Dtype::q4_1, "Q4_1", 32, 20},
    {Dtype::q5_0, "Q5_0", 32, 22},
    {Dtype::q5_1, "Q5_1", 32, 24},
    {Dtype::q4_k, "Q4_K", 256, 144},
    {Dtype::q5_k, "Q5_K", 256, 176},
    {Dtype::q6_k, "Q6_K", 256, 210},
};

const Layout& layout(Dtype dtype) {
    return kLayouts[static_cast<std::size_t>(dtype)];
}

template <class T>
T load(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

unsigned byte_at(const std::byte* p, std::size_t i) {
    return std::to_integer<unsigned>(p[i]);
}

float half_at(const std::byte* p) {
    return half_to_float(load<std::uint16_t>(p));
}

// d, codes of 4 bits: low nibbles are values 0..15, high nibbles 16..31.
void decode_q4_0(const std::byte* block, float* out) {
    const float d = half_at(block);
    for (std::size_t i = 0; i < 16; ++i) {
        const unsigned code = byte_at(block, 2 + i);
        out[i] = d * static_cast<float>(static_cast<int>(code & 15) - 8);
        out[i + 16] = d * static_cast<float>(static_cast<int>(code >> 4) - 8);
    }
}

void decode_q4_1(const std::byte* block, float* out) {
    const float d = half_at(block);
    const float m = half_at(block + 2);
    for (std::size_t i = 0; i < 16; ++i) {
        const unsigned code = byte_at(block, 4 + i);
        out[i] = d * static_cast<float>(code & 15) + m;
        out[i + 16] = d * static_cast<float>(code >> 4) + m;
    }
}

// d, the fifth bits of values 0..31 as one integer, nibbles as in Q4_0.
void decode_q5_0(const std::byte* block, float* out) {
    const float d = half_at(block);
    const auto high = load<std::uint32_t>(block + 2);
    for (std::size_t i = 0; i < 16; ++i) {
        const unsigned code = byte_at(block, 6 + i);
        const unsigned low_code = (code & 15) | (high >> i & 1u) << 4;
        const unsigned high_code = code >> 4 | (high >> (i + 16) & 1u) << 4;
        out[i] = d * static_cast<float>(static_cast<int>(low_code) - 16);
        out[i + 16] = d * static_cast<float>(static_cast<int>(high_code) - 16);
    }
}

void decode_q5_1(const std::byte* block, float* out) {
    const float d = half_at(block);
    const float m = half_at(block + 2);
    const auto high = load<std::uint32_t>(block + 4);
    for (std::size_t i = 0; i < 16; ++i) {
        const unsigned code = byte_at(block, 8 + i);
        out[i] = d * static_cast<float>((code & 15) | (high >> i & 1u) << 4) + m;
        out[i + 16] = d * static_cast<float>(code >> 4 | (high >> (i + 16) & 1u) << 4) + m;
    }
}

void decode_q8_0(const std::byte* block, float* out) {
    const float d = half_at(block);
    for (std::size_t i = 0; i < 32; ++i)
        out[i] = d * static_cast<float>(load<std::int8_t>(block + 2 + i));
}

// d, dmin, 12 bytes of scales, for Q5_K 32 bytes of fifth bits (bit j: block j of 32), 128 bytes of
// nibbles: 32 bytes hold an even block (low) and the odd one after it (high).
void decode_k4_k5(const std::byte* block, bool fifth, float* out) {
    const float d = half_at(block);
    const float dmin = half_at(block + 2);
    const std::byte* high = block + 16;
    const std::byte* nibbles = block + (fifth ? 48 : 16);
    for (unsigned j = 0; j < 8; ++j) {
        const KScale scale = k_scale(block + 4, j);
        const float factor = d * static_cast<float>(scale.scale);
        const float minimum = dmin * static_cast<float>(scale.minimum);
        for (std::size_t i = 0; i < 32; ++i) {
            unsigned code = byte_at(nibbles, j / 2 * 32 + i) >> (j % 2 * 4) & 15u;
            if (fifth) code |= (byte_at(high, i) >> j & 1u) << 4;
            out[j * 32 + i] = factor * static_cast<float>(code) - minimum;
        }
    }
}

// 128 bytes of nibbles, 64 of upper bits, 16 signed scales (one per 16 values), d. Of each half of
// 128 values, block t of 32 takes nibble t / 2 of bytes (t % 2) * 32 + i and bits 2t of upper byte
// i.
void decode_q6_k(const std::byte* block, float* out) {
    const float d = half_at(block + 208);
    for (std::size_t i = 0; i < 256; ++i) {
        const std::size_t half = i / 128;
        const std::size_t t = i % 128 / 32;
        const std::size_t at = i % 32;
        const unsigned low = byte_at(block, half * 64 + t % 2 * 32 + at) >> (t / 2 * 4) & 15u;
        const unsigned high = byte_at(block, 128 + half * 32 + at) >> (2 * t) & 3u;
        const auto scale = load<std::int8_t>(block + 192 + i / 16);
        out[i] = d * static_cast<float>(scale) *
                 static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
}

void decode_block(Dtype dtype, const std::byte* block, float* out) {
    switch (dtype) {
        case Dtype::f32: *out = load<float>(block); return;
        case Dtype::f16: *out = half_at(block); return;
        case Dtype::bf16: *out = bfloat16_to_float(load<std::uint16_t>(block)); return;
        case Dtype::q8_0: return decode_q8_0(block, out);
        case Dtype::q4_0: return decode_q4_0(block, out);
        case Dtype::q4_1: return decode_q4_1(block, out);
        case Dtype::q5_0: return decode_q5_0(block, out);
        case Dtype::q5_1: return decode_q5_1(block, out);
        case Dtype::q4_k: return decode_k4_k5(block, false, out);
        case Dtype::q5_k: return decode_k4_k5(block, true, out);
        case Dtype::q6_k: return decode_q6_k(block, out);
    }
}

}  // namespace

std::string_view to_string(Dtype dtype) {
    return layout(dtype).name;
}

std::size_t block_values(Dtype dtype) {
    return layout(dtype).values;
}

std::size_t block_bytes(Dtype dtype) {
    return layout(dtype).bytes;
}

KScale k_scale(const std::byte* scales, unsigned block) {
    const unsigned low = byte_at(scales, block % 4);
    const unsigned middle = byte_at(scales, block % 4 + 4);
    if (block < 4) return {low & 63u, middle & 63u};
    const unsigned nibbles = byte_at(scales, block + 4);
    return {(nibbles & 15u) | low >> 6 << 4, nibbles >> 4 | middle >> 6 << 4};
}

void dequantise(Dtype dtype, Bytes bytes, std::size_t count, float* out) {
    const std::size_t values = block_values(dtype);
    const std::size_t size = block_bytes(dtype);
    KWAAI_CHECK(count % values == 0 && bytes.size() == count / values * size,
                "dequantise takes whole blocks");
    for (std::size_t i = 0; i < count / values; ++i)
        decode_block(dtype, bytes.data() + i * size, out + i * values);
}

float half_to_float(std::uint16_t half) {
    return kernels::half_to_float(half);
}

std::uint16_t float_to_half(float value) {
    return kernels::float_to_half(value);
}

float bfloat16_to_float(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace kwaai::tensor
