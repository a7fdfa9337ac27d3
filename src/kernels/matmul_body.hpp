// What the products of the vector instruction sets share: from run-time formats and row counts to
// templates. Included once per instruction set, after `multiply_tile`, `multiply_wide_tile` and
// `widen_records`, templates on Format.

namespace {

template <Format F>
struct FormatTag {
    static constexpr Format kFormat = F;
};

template <class Call>
KWAAI_INLINE void with_format(Format format, const Call& call) {
    switch (format) {
        case Format::q4_0: return call(FormatTag<Format::q4_0>{});
        case Format::q4_1: return call(FormatTag<Format::q4_1>{});
        case Format::q8_0: return call(FormatTag<Format::q8_0>{});
        case Format::q4_k: return call(FormatTag<Format::q4_k>{});
        case Format::q6_k: return call(FormatTag<Format::q6_k>{});
        case Format::u6: return call(FormatTag<Format::u6>{});
        case Format::f16:
        case Format::f32: return;
    }
}

// Prefetching is a template parameter: a test at run time cost 5 % of a product of many rows.
template <Format F, int M>
void pick_tile(const void* panel, int records, const Tile& tile, int prefetch_bytes) {
    const auto* w = static_cast<const Record<F>*>(panel);
    if (tile.rows == M) {
        if (prefetch_bytes > 0) return multiply_tile<F, M, true>(w, records, tile, prefetch_bytes);
        return multiply_tile<F, M, false>(w, records, tile, 0);
    }
    if constexpr (M > 1) pick_tile<F, M - 1>(panel, records, tile, prefetch_bytes);
}

template <Format F, int M>
void pick_wide_tile(const Wide* w, int blocks, const Tile& tile, bool resume) {
    if (tile.rows == M) return multiply_wide_tile<F, M>(w, blocks, tile, resume);
    if constexpr (M > 1) pick_wide_tile<F, M - 1>(w, blocks, tile, resume);
}

}  // namespace

void multiply(Format format, const void* panel, int records, const Tile& tile, int prefetch_bytes) {
    with_format(format, [&](auto tag) {
        pick_tile<decltype(tag)::kFormat, kTileRows>(panel, records, tile, prefetch_bytes);
    });
}

void widen(Format format, const void* panel, int records, Wide* out) {
    with_format(format, [&](auto tag) {
        constexpr Format kFormat = decltype(tag)::kFormat;
        widen_records<kFormat>(static_cast<const Record<kFormat>*>(panel), records, out);
    });
}

void multiply_wide(Format format, const Wide* w, int blocks, const Tile& tile, bool resume) {
    with_format(format, [&](auto tag) {
        pick_wide_tile<decltype(tag)::kFormat, kTileRows>(w, blocks, tile, resume);
    });
}
