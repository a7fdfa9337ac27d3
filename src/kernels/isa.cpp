#include "kernels/isa.hpp"

#if !defined(__wasm__)
#include <cstdlib>
#endif

#include "kernels/functions.hpp"

namespace kwaai::kernels {
namespace {

#define KWAAI_KERNEL_TABLE(isa, tile_rows)                                                      \
    Isa {                                                                                       \
        #isa, tile_rows, isa::multiply, isa::widen, isa::multiply_wide, isa::multiply_float,    \
            isa::quantise, isa::attend, isa::rms_norm, isa::rope, isa::silu_multiply, isa::add, \
            isa::scale, isa::to_half                                                            \
    }

// Fastest last.
constexpr Isa kTables[] = {
    KWAAI_KERNEL_TABLE(scalar, kScalarTileRows),
#ifdef KWAAI_KERNELS_X86
    KWAAI_KERNEL_TABLE(avx2, kAvx2TileRows),
    KWAAI_KERNEL_TABLE(avx512, kAvx512TileRows),
#endif
};
constexpr int kTableCount = static_cast<int>(sizeof(kTables) / sizeof(kTables[0]));

// How many of the tables this CPU and its operating system can run; each needs what the one before
// needs.
int usable() {
#ifdef KWAAI_KERNELS_X86
    __builtin_cpu_init();  // also asks whether the system saves the wide registers
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("f16c"))
        return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vnni"))
        return 2;
#endif
    return kTableCount;
}

bool same(const char* a, const char* b) {
    while (*a != 0 && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

const Isa& choose() {
#if !defined(__wasm__)
    const char* wanted =
        std::getenv("KWAAI_ISA");  // NOLINT(concurrency-mt-unsafe): nobody writes it
    if (wanted != nullptr) {
        if (const Isa* isa = by_name(wanted)) return *isa;
    }
#endif
    return kTables[usable() - 1];
}

}  // namespace

int available(const Isa** out, int capacity) {
    const int count = usable() < capacity ? usable() : capacity;
    for (int i = 0; i < count; ++i)
        out[i] = &kTables[i];
    return count;
}

const Isa& best() {
    static const Isa& chosen = choose();
    return chosen;
}

const Isa* by_name(const char* name) {
    for (int i = 0; i < usable(); ++i) {
        if (same(kTables[i].name, name)) return &kTables[i];
    }
    return nullptr;
}

}  // namespace kwaai::kernels
