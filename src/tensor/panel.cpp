#include "tensor/panel.hpp"

#include <cstring>

#include "base/check.hpp"
#include "tensor/packed_matrix.hpp"

// Four codes move at a time: the panel keeps k = 4v .. 4v + 3 of a row side by side, as every file
// format does.
namespace kwaai::tensor {
namespace {

using Codes = std::uint8_t[8][64];

template <class T>
T load_value(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

std::uint32_t load4(const std::byte* p) {
    return load_value<std::uint32_t>(p);
}

void store4(std::uint8_t* p, std::uint32_t codes) {
    std::memcpy(p, &codes, sizeof codes);
}

constexpr std::uint32_t kNibbles = 0x0f0f0f0fu;

// Nibbles of two blocks of 32 in the file's order (low 0..15, high 16..31) to low = even block,
// high = odd block. `odd` is null where the row ends with the even one.
void pack_nibbles(const std::byte* even, const std::byte* odd, std::size_t r, Codes& q) {
    for (std::size_t v = 0; v < 4; ++v) {
        const std::uint32_t e = load4(even + 4 * v);
        const std::uint32_t o = odd != nullptr ? load4(odd + 4 * v) : 0;
        store4(q[v] + 4 * r, (e & kNibbles) | (o & kNibbles) << 4);
        store4(q[v + 4] + 4 * r, (e >> 4 & kNibbles) | (o & ~kNibbles));
    }
}

void pack(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Q4_0* records) {
    for (std::size_t b = 0; b < blocks; b += 2, row += 36) {
        kernels::Q4_0& record = records[b / 2];
        const std::byte* odd = b + 1 < blocks ? row + 18 : nullptr;
        record.d[0][r] = load_value<std::uint16_t>(row);
        if (odd != nullptr) record.d[1][r] = load_value<std::uint16_t>(odd);
        pack_nibbles(row + 2, odd != nullptr ? odd + 2 : nullptr, r, record.q);
    }
}

void pack(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Q4_1* records) {
    for (std::size_t b = 0; b < blocks; b += 2, row += 40) {
        kernels::Q4_1& record = records[b / 2];
        const std::byte* odd = b + 1 < blocks ? row + 20 : nullptr;
        record.d[0][r] = load_value<std::uint16_t>(row);
        record.m[0][r] = load_value<std::uint16_t>(row + 2);
        if (odd != nullptr) {
            record.d[1][r] = load_value<std::uint16_t>(odd);
            record.m[1][r] = load_value<std::uint16_t>(odd + 2);
        }
        pack_nibbles(row + 4, odd != nullptr ? odd + 4 : nullptr, r, record.q);
    }
}

void pack(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Q8_0* records) {
    for (std::size_t b = 0; b < blocks; ++b, row += 34) {
        kernels::Q8_0& record = records[b / 2];
        record.d[b % 2][r] = load_value<std::uint16_t>(row);
        for (std::size_t v = 0; v < 8; ++v)
            store4(record.q[b % 2][v] + 4 * r, load4(row + 2 + 4 * v) ^ 0x80808080u);
    }
}

void pack(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Q4_K* records) {
    for (std::size_t n = 0; n < blocks; ++n, row += 144) {
        kernels::Q4_K& record = records[n];
        record.d[r] = load_value<std::uint16_t>(row);
        record.dmin[r] = load_value<std::uint16_t>(row + 2);
        for (unsigned b = 0; b < 8; ++b) {
            const KScale s = k_scale(row + 4, b);
            const unsigned high = s.scale >> 4 | s.minimum >> 4 << 2;
            record.low[b][r] = static_cast<std::uint8_t>((s.scale & 15) | (s.minimum & 15) << 4);
            const unsigned other = b % 2 == 0 ? 0u : record.high[b / 2][r];
            record.high[b / 2][r] = static_cast<std::uint8_t>(other | high << (b % 2 * 4));
        }
        for (std::size_t pair = 0; pair < 4; ++pair) {
            for (std::size_t v = 0; v < 8; ++v)
                store4(record.q[pair][v] + 4 * r, load4(row + 16 + 32 * pair + 4 * v));
        }
    }
}

// 64 k of Q6_K: the even block has nibble half `upper` of bytes low[0..31], the odd one of
// low[32..63]; their upper bits are bits 4 * upper and 4 * upper + 2 of high[0..31].
void pack_part(const std::byte* low,
               const std::byte* high,
               unsigned upper,
               std::size_t r,
               kernels::Q6_K::Part& part) {
    const unsigned shift = 4 * upper;
    const auto nibbles = [&](std::size_t v) {
        const std::uint32_t even = load4(low + 4 * v) >> shift & kNibbles;
        const std::uint32_t odd = load4(low + 32 + 4 * v) >> shift & kNibbles;
        return even | odd << 4;
    };
    const auto pairs = [](std::uint32_t bits, unsigned from) {
        return bits >> from & 0x03030303u;
    };
    for (std::size_t v = 0; v < 4; ++v) {
        const std::uint32_t first = load4(high + 4 * v);
        const std::uint32_t other = load4(high + 16 + 4 * v);
        store4(part.v[v].high + 4 * r,
               pairs(first, shift) | pairs(other, shift) << 2 | pairs(first, shift + 2) << 4 |
                   pairs(other, shift + 2) << 6);
        store4(part.v[v].low[0] + 4 * r, nibbles(v));
        store4(part.v[v].low[1] + 4 * r, nibbles(v + 4));
    }
}

void pack(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Q6_K* records) {
    for (std::size_t n = 0; n < blocks; ++n, row += 210) {
        kernels::Q6_K& record = records[n];
        record.d[r] = half_to_float(load_value<std::uint16_t>(row + 208));
        for (unsigned p = 0; p < 4; ++p) {
            pack_part(row + p / 2 * 64, row + 128 + p / 2 * 32, p % 2, r, record.part[p]);
            for (unsigned g = 0; g < 4; ++g)
                record.part[p].sc[g][r] = load_value<std::int8_t>(row + 192 + 4 * p + g);
        }
    }
}

// Five-bit codes of 32 k: nibbles of 16 bytes as in Q4_0, bit i of `high` on top of code i.
void pack_fives(const std::byte* nibbles, std::uint32_t high, std::size_t r, kernels::Wide& wide) {
    for (std::size_t i = 0; i < 32; ++i) {
        const unsigned code = std::to_integer<unsigned>(nibbles[i % 16]) >> (i / 16 * 4) & 15u;
        wide.q[i / 4][4 * r + i % 4] = static_cast<std::uint8_t>(code | (high >> i & 1u) << 4);
    }
}

void pack_q5_0(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Wide* records) {
    for (std::size_t b = 0; b < blocks; ++b, row += 22) {
        const float d = half_to_float(load_value<std::uint16_t>(row));
        records[b].scale[r] = d;
        records[b].second[r] = d * -16.0f;
        pack_fives(row + 6, load4(row + 2), r, records[b]);
    }
}

void pack_q5_1(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Wide* records) {
    for (std::size_t b = 0; b < blocks; ++b, row += 24) {
        records[b].scale[r] = half_to_float(load_value<std::uint16_t>(row));
        records[b].second[r] = half_to_float(load_value<std::uint16_t>(row + 2));
        pack_fives(row + 8, load4(row + 4), r, records[b]);
    }
}

void pack_q5_k(const std::byte* row, std::size_t blocks, std::size_t r, kernels::Wide* records) {
    for (std::size_t n = 0; n < blocks; ++n, row += 176) {
        const float d = half_to_float(load_value<std::uint16_t>(row));
        const float dmin = half_to_float(load_value<std::uint16_t>(row + 2));
        for (unsigned b = 0; b < 8; ++b) {
            kernels::Wide& wide = records[8 * n + b];
            const KScale s = k_scale(row + 4, b);
            wide.scale[r] = d * static_cast<float>(s.scale);         // exact: 11 + 6 bits
            wide.second[r] = -dmin * static_cast<float>(s.minimum);  // exact
            for (std::size_t v = 0; v < 8; ++v) {
                const std::uint32_t nibbles = load4(row + 48 + b / 2 * 32 + 4 * v) >> (b % 2 * 4);
                const std::uint32_t fifth = load4(row + 16 + 4 * v) >> b & 0x01010101u;
                store4(wide.q[v] + 4 * r, (nibbles & kNibbles) | fifth << 4);
            }
        }
    }
}

// Whole values across the lanes: [k][16].
template <class To, class From, class Convert>
void pack_values(const std::byte* row, std::size_t k, std::size_t r, To* out, Convert convert) {
    for (std::size_t i = 0; i < k; ++i)
        out[16 * i + r] = convert(load_value<From>(row + sizeof(From) * i));
}

// Codes and scales of 32 k of one row.
struct Block {
    unsigned code[32];
    float scale;
    float second;
};

void take_nibbles(const Codes& q, std::size_t b, std::size_t r, Block& out) {
    for (std::size_t i = 0; i < 32; ++i)
        out.code[i] = q[i / 4][4 * r + i % 4] >> (b % 2 * 4) & 15u;
}

void take_bytes(const Codes& q, std::size_t r, Block& out) {
    for (std::size_t i = 0; i < 32; ++i)
        out.code[i] = q[i / 4][4 * r + i % 4];
}

template <class Record>
const Record& record_at(const std::byte* panel, std::size_t n) {
    return reinterpret_cast<const Record*>(panel)[n];
}

// Bias of the codes: value = scale * (code - bias) for the types without addend.
void decode_biased(const Block& block, int bias, float* out) {
    for (int i = 0; i < 32; ++i) {
        const int code = static_cast<int>(block.code[i]) - bias;
        out[i] = block.scale * static_cast<float>(code);
    }
}

void decode_shifted(const Block& block, float* out) {
    for (int i = 0; i < 32; ++i)
        out[i] = block.scale * static_cast<float>(block.code[i]) + block.second;
}

void decode_q4_k(const kernels::Q4_K& w, std::size_t b, std::size_t r, float* out) {
    Block block;
    take_nibbles(w.q[b / 2], b, r, block);
    const unsigned high = static_cast<unsigned>(w.high[b / 2][r]) >> (b % 2 * 4);
    const unsigned sc = (w.low[b][r] & 15u) | (high & 3u) << 4;
    const unsigned mn = w.low[b][r] >> 4 | (high >> 2 & 3u) << 4;
    block.scale = half_to_float(w.d[r]) * static_cast<float>(sc);
    block.second = -half_to_float(w.dmin[r]) * static_cast<float>(mn);
    decode_shifted(block, out);
}

void decode_q6_k(const kernels::Q6_K& w, std::size_t b, std::size_t r, float* out) {
    const kernels::Q6_K::Part& part = w.part[b / 2];
    const std::size_t odd = b % 2;
    for (std::size_t i = 0; i < 32; ++i) {
        const std::size_t v = i / 4;
        const std::size_t at = 4 * r + i % 4;
        const unsigned low = part.v[v % 4].low[v / 4][at] >> (4 * odd) & 15u;
        const unsigned high = part.v[v % 4].high[at] >> (4 * odd + v / 4 * 2) & 3u;
        const std::size_t half = i / 16;
        const float scale = w.d[r] * static_cast<float>(part.sc[2 * odd + half][r]);
        out[i] = scale * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
}

// Block b of 32 k of the whole row.
void decode_block(Dtype dtype, const std::byte* panel, std::size_t b, std::size_t r, float* out) {
    Block block;
    switch (dtype) {
        case Dtype::q8_0: {
            const auto& w = record_at<kernels::Q8_0>(panel, b / 2);
            block.scale = half_to_float(w.d[b % 2][r]);
            take_bytes(w.q[b % 2], r, block);
            return decode_biased(block, 128, out);
        }
        case Dtype::q4_0: {
            const auto& w = record_at<kernels::Q4_0>(panel, b / 2);
            block.scale = half_to_float(w.d[b % 2][r]);
            take_nibbles(w.q, b, r, block);
            return decode_biased(block, 8, out);
        }
        case Dtype::q4_1: {
            const auto& w = record_at<kernels::Q4_1>(panel, b / 2);
            block.scale = half_to_float(w.d[b % 2][r]);
            block.second = half_to_float(w.m[b % 2][r]);
            take_nibbles(w.q, b, r, block);
            return decode_shifted(block, out);
        }
        case Dtype::q5_0:
        case Dtype::q5_1:
        case Dtype::q5_k: {
            const auto& w = record_at<kernels::Wide>(panel, b);
            block.scale = w.scale[r];
            block.second = w.second[r];
            take_bytes(w.q, r, block);
            // scale * code - 16 * scale has the same value, but not the sign of a zero.
            return dtype == Dtype::q5_0 ? decode_biased(block, 16, out)
                                        : decode_shifted(block, out);
        }
        case Dtype::q4_k: return decode_q4_k(record_at<kernels::Q4_K>(panel, b / 8), b % 8, r, out);
        case Dtype::q6_k: return decode_q6_k(record_at<kernels::Q6_K>(panel, b / 8), b % 8, r, out);
        case Dtype::f32:
        case Dtype::f16:
        case Dtype::bf16: break;
    }
    KWAAI_CHECK(false, "floats have no blocks");
}

void pack_row(Dtype dtype, const std::byte* row, std::size_t r, std::size_t k, std::byte* panel) {
    const std::size_t blocks = k / block_values(dtype);
    switch (dtype) {
        case Dtype::f32:
            return pack_values<float, float>(
                row, k, r, reinterpret_cast<float*>(panel), [](float x) { return x; });
        case Dtype::f16:
            return pack_values<std::uint16_t, std::uint16_t>(
                row, k, r, reinterpret_cast<std::uint16_t*>(panel), [](std::uint16_t x) {
                    return x;
                });
        case Dtype::bf16:
            return pack_values<float, std::uint16_t>(
                row, k, r, reinterpret_cast<float*>(panel), bfloat16_to_float);
        case Dtype::q8_0: return pack(row, blocks, r, reinterpret_cast<kernels::Q8_0*>(panel));
        case Dtype::q4_0: return pack(row, blocks, r, reinterpret_cast<kernels::Q4_0*>(panel));
        case Dtype::q4_1: return pack(row, blocks, r, reinterpret_cast<kernels::Q4_1*>(panel));
        case Dtype::q4_k: return pack(row, blocks, r, reinterpret_cast<kernels::Q4_K*>(panel));
        case Dtype::q6_k: return pack(row, blocks, r, reinterpret_cast<kernels::Q6_K*>(panel));
        case Dtype::q5_0: return pack_q5_0(row, blocks, r, reinterpret_cast<kernels::Wide*>(panel));
        case Dtype::q5_1: return pack_q5_1(row, blocks, r, reinterpret_cast<kernels::Wide*>(panel));
        case Dtype::q5_k: return pack_q5_k(row, blocks, r, reinterpret_cast<kernels::Wide*>(panel));
    }
}

}  // namespace

void pack_panel(Dtype dtype, const std::byte* const (&rows)[16], std::size_t k, std::byte* panel) {
    for (std::size_t r = 0; r < 16; ++r) {
        if (rows[r] != nullptr) pack_row(dtype, rows[r], r, k, panel);
    }
}

void unpack_row(Dtype dtype, const std::byte* panel, std::size_t r, std::size_t k, float* out) {
    if (packed_format(dtype) == kernels::Format::f32) {
        for (std::size_t i = 0; i < k; ++i)
            out[i] = reinterpret_cast<const float*>(panel)[16 * i + r];
        return;
    }
    if (dtype == Dtype::f16) {
        for (std::size_t i = 0; i < k; ++i)
            out[i] = half_to_float(reinterpret_cast<const std::uint16_t*>(panel)[16 * i + r]);
        return;
    }
    for (std::size_t b = 0; b < k / 32; ++b)
        decode_block(dtype, panel, b, r, out + 32 * b);
}

}  // namespace kwaai::tensor
