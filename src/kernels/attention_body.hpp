// Attention over pages, written once. Included once per instruction set, after Lanes,
// dense_body.hpp and the tile sizes kQueryTile, kMixRows, score_blocks() and mix_width().

namespace {

KWAAI_INLINE float exp2_one(float x) {
    alignas(64) float lanes[16];
    Lanes::store(lanes, exp2_lanes(Lanes::all(x)));
    return lanes[0];
}

// Halves come from DRAM in decode, and the hardware's prefetch stops at the page: a line of the
// next page is asked for with each line used. Floats were written a moment ago.
KWAAI_INLINE void prefetch(const std::uint16_t* p) {
    __builtin_prefetch(p, 0, 2);
}

KWAAI_INLINE void prefetch(const float*) {}

// Scores of M query rows against B blocks of 16 keys: scores[m * kChunk + 16 * b + lane].
template <int M, int B, class Key>
KWAAI_INLINE void score_tile(
    const float* q, const Key* k, const Key* next, int dim, float* scores) {
    const auto block = static_cast<std::size_t>(dim) * 16;
    Lanes sum[M][B];
    for (int i = 0; i < M * B; ++i)
        sum[i / B][i % B] = Lanes::all(0.0f);
    for (int d = 0; d < dim; ++d) {
        const auto at = static_cast<std::size_t>(d) * 16;
        Lanes keys[B];
#pragma GCC unroll 4
        for (int b = 0; b < B; ++b)
            keys[b] = Lanes::load(k + b * block + at);
        if (d % 2 == 0) {  // a line is two vectors of halves
            for (int b = 0; b < B; ++b)
                prefetch(next + b * block + at);
        }
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
            const Lanes y = Lanes::all(q[m * dim + d]);
#pragma GCC unroll 4
            for (int b = 0; b < B; ++b)
                sum[m][b] = Lanes::add_exact(sum[m][b], y, keys[b]);
        }
    }
    for (int i = 0; i < M * B; ++i)
        Lanes::store(scores + (i / B) * kChunk + (i % B) * 16, sum[i / B][i % B]);
}

// M query rows against `blocks` blocks of a page. Whole groups of blocks are scored, so up to a
// page: scores past the last position are overwritten.
template <int M, bool kGroup, class Key>
void score_rows(const float* q, const Key* k, const Key* next, int blocks, int dim, float* scores) {
    constexpr int kBlocks = kGroup ? score_blocks(M) : 1;
    for (int b = 0; b < blocks; b += kBlocks) {
        const auto at = static_cast<std::size_t>(b) * static_cast<std::size_t>(dim) * 16;
        score_tile<M, kBlocks>(q, k + at, next + at, dim, scores + 16 * b);
    }
}

template <bool kGroup, class Key>
void score(
    const float* q, int rows, const Key* k, const Key* next, int blocks, int dim, float* out) {
    const auto run = [&](auto tile, int m) {
        score_rows<decltype(tile)::kRows, kGroup>(
            q + m * dim, k, next, blocks, dim, out + static_cast<std::size_t>(m) * kChunk);
    };
    int m = 0;
    for (; m + kQueryTile <= rows; m += kQueryTile)
        run(Rows<kQueryTile>{}, m);
    for (; m + 4 <= rows; m += 4)
        run(Rows<4>{}, m);
    if (rows - m == 3) run(Rows<3>{}, m);
    if (rows - m == 2) run(Rows<2>{}, m);
    if (rows - m == 1) run(Rows<1>{}, m);
}

// out[m][0 .. 16 * W - 1] = sum over positions of p[m][position] * v[position], the sums in
// registers over all pages of the chunk. `column` is the first value of a position that is used.
template <int M, int W, class Value>
KWAAI_INLINE void mix_tile(
    const float* p, const Value* const* pages, int positions, int dim, int column, float* out) {
    Lanes sum[M][W];
    for (int i = 0; i < M * W; ++i)
        sum[i / W][i % W] = Lanes::all(0.0f);
    for (int start = 0, page = 0; start < positions; start += kPagePositions, ++page) {
        const int left = positions - start;
        const int here = left < kPagePositions ? left : kPagePositions;
        const Value* v = pages[page] + column;
        const Value* next = left > kPagePositions ? pages[page + 1] + column : v;
        for (int t = 0; t < here; ++t) {
            const auto at = static_cast<std::size_t>(t) * static_cast<std::size_t>(dim);
            Lanes values[W];
#pragma GCC unroll 8
            for (int w = 0; w < W; ++w)
                values[w] = Lanes::load(v + at + w * 16);
            for (int w = 0; w < W; w += 2)
                prefetch(next + at + w * 16);
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
                const Lanes weight = Lanes::all(p[m * kChunk + start + t]);
#pragma GCC unroll 8
                for (int w = 0; w < W; ++w)
                    sum[m][w] = Lanes::add_exact(sum[m][w], weight, values[w]);
            }
        }
    }
    for (int i = 0; i < M * W; ++i)
        Lanes::store(out + (i / W) * dim + column + (i % W) * 16, sum[i / W][i % W]);
}

template <int M, class Value>
void mix_rows(const float* p, const Value* const* pages, int positions, int dim, float* out) {
    constexpr int kWidth = mix_width(M);
    int column = 0;
    for (; column + 16 * kWidth <= dim; column += 16 * kWidth)
        mix_tile<M, kWidth>(p, pages, positions, dim, column, out);
    for (; column < dim; column += 16)
        mix_tile<M, 1>(p, pages, positions, dim, column, out);
}

template <int M, class Value>
void mix_rest(
    const float* p, int rows, const Value* const* pages, int positions, int dim, float* out) {
    if (rows == M) return mix_rows<M>(p, pages, positions, dim, out);
    if constexpr (M > 1) mix_rest<M - 1>(p, rows, pages, positions, dim, out);
}

template <class Value>
void mix(const float* p, int rows, const Value* const* pages, int positions, int dim, float* out) {
    int m = 0;
    for (; m + kMixRows <= rows; m += kMixRows)
        mix_rows<kMixRows>(
            p + static_cast<std::size_t>(m) * kChunk, pages, positions, dim, out + m * dim);
    if (m < rows)
        mix_rest<kMixRows>(p + static_cast<std::size_t>(m) * kChunk,
                           rows - m,
                           pages,
                           positions,
                           dim,
                           out + m * dim);
}

// What a row knows after some chunks, and what the chunk at hand adds.
struct RowState {
    float maximum, sum;
    float chunk_maximum, chunk_sum;
};

struct Work {
    float* scores;    // [rows][kChunk]: scores, then their exponentials
    float* part;      // [rows][dim]: values mixed by a chunk
    float* q;         // [rows][dim]: rounded queries
    float* wide_k;    // [dim][16]
    float* wide_v;    // [kChunk][dim]
    RowState* state;  // [rows]
};

Work lay_out(const Attention& a) {
    static_assert(sizeof(RowState) <= 16 * sizeof(float));
    const auto rows = static_cast<std::size_t>(a.rows);
    const auto dim = static_cast<std::size_t>(a.dim);
    Work w;
    w.scores = a.scratch;
    w.part = w.scores + rows * kChunk;
    w.q = w.part + rows * dim;
    w.wide_k = w.q + rows * dim;
    w.wide_v = w.wide_k + dim * 16;
    w.state = reinterpret_cast<RowState*>(w.wide_v + dim * kChunk);
    return w;
}

// Scores of all rows against the positions [start, start + here).
void score_chunk(const Attention& a, const Work& w, int start, int here, bool widen) {
    const auto block = static_cast<std::size_t>(a.dim) * 16;
    for (int at = 0; at < here; at += kPagePositions) {
        const int page = (start + at) / kPagePositions;
        const std::uint16_t* k = a.k[page];
        const std::uint16_t* next = here - at > kPagePositions ? a.k[page + 1] : k;
        const int left = here - at < kPagePositions ? here - at : kPagePositions;
        const int blocks = (left + 15) / 16;
        if (!widen) {
            score<true>(w.q, a.rows, k, next, blocks, a.dim, w.scores + at);
            continue;
        }
        for (int b = 0; b < blocks; ++b) {
            for (std::size_t i = 0; i < block; i += 16)
                Lanes::store(w.wide_k + i, Lanes::load(k + b * block + i));
            const float* wide = w.wide_k;
            score<false>(w.q, a.rows, wide, wide, 1, a.dim, w.scores + at + 16 * b);
        }
    }
}

// Scores of one row become p = 2^(score - maximum), rounded to 13 bits; masked positions exact
// zeros.
void exponentiate(float* s, int visible, int blocks, RowState& state) {
    for (int t = visible < 0 ? 0 : visible; t < blocks * 16; ++t)
        s[t] = -1e30f;
    Lanes top = Lanes::all(-1e30f);
    for (int b = 0; b < blocks; ++b)
        top = Lanes::max(top, Lanes::load(s + b * 16));
    state.chunk_maximum = Lanes::largest(top);
    const Lanes maximum = Lanes::all(state.chunk_maximum);
    Lanes sum = Lanes::all(0.0f);
    for (int b = 0; b < blocks; ++b) {
        const Lanes p = Lanes::round_13(exp2_lanes(Lanes::load(s + b * 16) - maximum));
        Lanes::store(s + b * 16, p);
        sum = sum + p;
    }
    state.chunk_sum = Lanes::fold(sum);
}

void mix_chunk(const Attention& a, const Work& w, int start, int here, bool widen) {
    const std::uint16_t* const* pages = a.v + start / kPagePositions;
    if (!widen) return mix(w.scores, a.rows, pages, here, a.dim, w.part);
    const int page_values = kPagePositions * a.dim;
    const float* wide[kChunk / kPagePositions] = {};
    for (int page = 0; page * kPagePositions < here; ++page) {
        float* to = w.wide_v + page * page_values;
        const int left = (here - page * kPagePositions) * a.dim;
        for (int i = 0; i < left && i < page_values; i += 16)
            Lanes::store(to + i, Lanes::load(pages[page] + i));
        wide[page] = to;
    }
    mix(w.scores, a.rows, wide, here, a.dim, w.part);
}

// Joins the chunk's part to what the row has.
void join(RowState& state, const float* part, int dim, bool first, float* out) {
    if (first) {
        state.maximum = state.chunk_maximum;
        state.sum = state.chunk_sum;
        for (int d = 0; d < dim; d += 16)
            Lanes::store(out + d, Lanes::load(part + d));
        return;
    }
    const float maximum = state.maximum > state.chunk_maximum ? state.maximum : state.chunk_maximum;
    const float old = exp2_one(state.maximum - maximum);
    const float now = exp2_one(state.chunk_maximum - maximum);
    const float left = state.sum * old;
    const float right = state.chunk_sum * now;
    state.maximum = maximum;
    state.sum = left + right;
    for (int d = 0; d < dim; d += 16) {
        const Lanes kept = Lanes::load(out + d) * Lanes::all(old);
        Lanes::store(out + d, kept + Lanes::load(part + d) * Lanes::all(now));
    }
}

// 13 significant bits; sizes outside 2^-100 .. 2^100, and NaN, become 0: so every product with a
// half is exact and no sum overflows.
KWAAI_INLINE Lanes round_query(Lanes v) {
    const Lanes size = Lanes::absolute(v);
    v = Lanes::keep_at_least(size, 0x1p-100f, Lanes::keep_at_most(size, 0x1p+100f, v));
    return Lanes::round_13(v);
}

}  // namespace

void attend(const Attention& a) {
    const Work w = lay_out(a);
    const int dim = a.dim;
    for (int i = 0; i < a.rows * dim; i += 16)
        Lanes::store(w.q + i, round_query(Lanes::load(a.q + i)));
    int longest = 0;
    for (int m = 0; m < a.rows; ++m)
        longest = a.visible[m] > longest ? a.visible[m] : longest;
    const bool widen = a.rows >= kAttentionWideRowsMin;

    for (int start = 0; start < longest; start += kChunk) {
        const int here = longest - start < kChunk ? longest - start : kChunk;
        score_chunk(a, w, start, here, widen);
        for (int m = 0; m < a.rows; ++m)
            exponentiate(w.scores + static_cast<std::size_t>(m) * kChunk,
                         a.visible[m] - start,
                         (here + 15) / 16,
                         w.state[m]);
        mix_chunk(a, w, start, here, widen);
        for (int m = 0; m < a.rows; ++m) {
            if (a.visible[m] > start)  // a row takes no part in chunks that lie wholly after it
                join(w.state[m], w.part + m * dim, dim, start == 0, a.out + m * dim);
        }
    }
    for (int m = 0; m < a.rows; ++m) {
        for (int d = 0; d < dim; d += 16) {
            float* out = a.out + m * dim + d;
            Lanes::store(out, Lanes::load(out) / Lanes::all(w.state[m].sum));
        }
    }
}
