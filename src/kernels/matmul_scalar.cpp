// The definition of the matrix products. Every operation on floats is one rounded IEEE operation,
// in the order written: this file is compiled without contraction of a * b + c.
#include "kernels/functions.hpp"
#include "kernels/half.hpp"

namespace kwaai::kernels::scalar {
namespace {

void unpack(const Q4_0& w, int b, int r, Wide& o) {
    o.scale[r] = half_to_float(w.d[b][r]);
    o.second[r] = 0;
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i)
            o.q[v][i] = (w.q[v][i] >> 4 * b) & 15;
    }
}

void unpack(const Q4_1& w, int b, int r, Wide& o) {
    o.scale[r] = half_to_float(w.d[b][r]);
    o.second[r] = half_to_float(w.m[b][r]);
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i)
            o.q[v][i] = (w.q[v][i] >> 4 * b) & 15;
    }
}

void unpack(const Q8_0& w, int b, int r, Wide& o) {
    o.scale[r] = half_to_float(w.d[b][r]);
    o.second[r] = 0;
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i)
            o.q[v][i] = w.q[b][v][i];
    }
}

// Scale and addend are exact products: 11 + 6 bits.
void unpack(const Q4_K& w, int b, int r, Wide& o) {
    const int low = w.low[b][r];
    const int high = w.high[b / 2][r] >> 4 * (b & 1);
    const int sc = (low & 15) | (high & 3) << 4;
    const int mn = low >> 4 | ((high >> 2) & 3) << 4;
    o.scale[r] = half_to_float(w.d[r]) * static_cast<float>(sc);
    o.second[r] = -half_to_float(w.dmin[r]) * static_cast<float>(mn);
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i)
            o.q[v][i] = (w.q[b / 2][v][i] >> 4 * (b & 1)) & 15;
    }
}

// Scales are exact products: 11 + 7 bits.
void unpack(const Q6_K& w, int b, int r, Wide& o) {
    const Q6_K::Part& part = w.part[b / 2];
    const int odd = b & 1;
    o.scale[r] = w.d[r] * static_cast<float>(part.sc[2 * odd][r]);
    o.second[r] = w.d[r] * static_cast<float>(part.sc[2 * odd + 1][r]);
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i) {
            const int low = (part.v[v & 3].low[v >> 2][i] >> 4 * odd) & 15;
            const int high = (part.v[v & 3].high[i] >> (4 * odd + 2 * (v >> 2))) & 3;
            o.q[v][i] = static_cast<std::uint8_t>(low | high << 4);
        }
    }
}

void unpack(const Wide& w, int, int r, Wide& o) {
    o.scale[r] = w.scale[r];
    o.second[r] = w.second[r];
    for (int v = 0; v < 8; ++v) {
        for (int i = 4 * r; i < 4 * r + 4; ++i)
            o.q[v][i] = w.q[v][i];
    }
}

template <class Record>
void widen_records(const void* panel, int records, int blocks, Wide* out) {
    for (int n = 0; n < records; ++n) {
        for (int b = 0; b < blocks; ++b, ++out) {
            for (int r = 0; r < kPanelRows; ++r)
                unpack(static_cast<const Record*>(panel)[n], b, r, *out);
        }
    }
}

// Adds 32 k of row r to `sum`: the whole arithmetic of a product.
float add_block(Format format, const Wide& w, int r, const Act& a, float sum) {
    std::int32_t dot[2] = {0, 0};
    for (int k = 0; k < kBlock; ++k)
        dot[k / 16] += std::int32_t{w.q[k / 4][4 * r + k % 4]} * a.q[k];
    if (format == Format::q6_k) {  // one scale per 16 k
        const float first = static_cast<float>(dot[0] + a.neg32[0]) * w.scale[r];
        const float other = static_cast<float>(dot[1] + a.neg32[1]) * w.second[r];
        const float both = first + other;
        return sum + both * a.scale;
    }
    std::int32_t whole = dot[0] + dot[1];
    if (format == Format::q4_0) whole += a.neg8;
    if (format == Format::q8_0) whole += a.neg128;
    const float scale = w.scale[r] * a.scale;
    const float value = static_cast<float>(whole) * scale;
    if (format == Format::q4_0 || format == Format::q8_0) return sum + value;
    const float shift = w.second[r] * a.scaled_sum;
    return sum + (shift + value);
}

}  // namespace

void widen(Format format, const void* panel, int records, Wide* out) {
    switch (format) {
        case Format::q4_0: return widen_records<Q4_0>(panel, records, 2, out);
        case Format::q4_1: return widen_records<Q4_1>(panel, records, 2, out);
        case Format::q8_0: return widen_records<Q8_0>(panel, records, 2, out);
        case Format::q4_k: return widen_records<Q4_K>(panel, records, 8, out);
        case Format::q6_k: return widen_records<Q6_K>(panel, records, 8, out);
        case Format::u6: return widen_records<Wide>(panel, records, 1, out);
        case Format::f16:
        case Format::f32: return;
    }
}

void multiply_wide(Format format, const Wide* w, int blocks, const Tile& tile, bool resume) {
    for (int m = 0; m < tile.rows; ++m) {
        float* out = tile.out + static_cast<std::size_t>(m) * tile.out_stride;
        for (int r = 0; r < kPanelRows; ++r) {
            float sum = resume ? out[r] : 0.0f;
            for (int b = 0; b < blocks; ++b)
                sum = add_block(format, w[b], r, tile.act[b * tile.rows + m], sum);
            out[r] = sum;
        }
    }
}

void multiply(Format format, const void* panel, int records, const Tile& tile, int) {
    const int blocks = record_k(format) / kBlock;
    for (int n = 0; n < records; ++n) {
        Wide w[8];
        const auto* record = static_cast<const std::byte*>(panel) + n * record_bytes(format);
        widen(format, record, 1, w);
        Tile part = tile;
        part.act += static_cast<std::size_t>(n) * static_cast<std::size_t>(blocks * tile.rows);
        multiply_wide(format, w, blocks, part, n != 0);
    }
}

}  // namespace kwaai::kernels::scalar
