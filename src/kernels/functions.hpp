// What each instruction set implements; isa.cpp puts the functions into tables. Sources of one
// instruction set hold everything else in unnamed namespaces: a weak symbol compiled with AVX could
// be picked by the linker for the whole program.
#pragma once
#include "kernels/isa.hpp"

#define KWAAI_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define KWAAI_KERNELS_X86 1
#endif

#define KWAAI_DECLARE_KERNELS(isa)                                                          \
    namespace isa {                                                                         \
    void multiply(Format, const void* panel, int records, const Tile&, int prefetch_bytes); \
    void widen(Format, const void* panel, int records, Wide*);                              \
    void multiply_wide(Format, const Wide*, int blocks, const Tile&, bool resume);          \
    void multiply_float(Format, const void* panel, int k, const FloatTile&);                \
    void quantise(const float* x, int k, int group, Act* out, std::size_t out_stride);      \
    void attend(const Attention&);                                                          \
    void rms_norm(const float* x, const float* weight, float epsilon, int n, float* y);     \
    void rope(float* x, const float* cosine, const float* sine, int pairs, RopeLayout);     \
    void silu_multiply(const float* gate, const float* up, int n, float* y);                \
    void add(float* x, const float* y, int n);                                              \
    void scale(const float* x, float factor, int n, float* y);                              \
    void to_half(const float* x, int n, std::uint16_t* y);                                  \
    }

namespace kwaai::kernels {

inline constexpr int kScalarTileRows = 8;
inline constexpr int kAvx2TileRows = 4;    // 6 and 8 gain at most 3 %
inline constexpr int kAvx512TileRows = 8;  // 4 loses 3 %, 12 and 16 gain nothing

inline constexpr int kAttentionWideRowsMin = 12;  // rows from which converting a chunk pays

/// A number of rows as a type.
template <int kCount>
struct Rows {
    static constexpr int kRows = kCount;
};

KWAAI_DECLARE_KERNELS(scalar)
#ifdef KWAAI_KERNELS_X86
KWAAI_DECLARE_KERNELS(avx2)
KWAAI_DECLARE_KERNELS(avx512)
#endif

}  // namespace kwaai::kernels
