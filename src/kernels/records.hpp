// The record of a format as a type, and its lines asked for ahead of time. Included inside the
// unnamed namespace of a vector instruction set.

template <Format F>
struct RecordOf;

template <>
struct RecordOf<Format::q4_0> {
    using Type = Q4_0;
};

template <>
struct RecordOf<Format::q4_1> {
    using Type = Q4_1;
};

template <>
struct RecordOf<Format::q8_0> {
    using Type = Q8_0;
};

template <>
struct RecordOf<Format::q4_k> {
    using Type = Q4_K;
};

template <>
struct RecordOf<Format::q6_k> {
    using Type = Q6_K;
};

template <>
struct RecordOf<Format::u6> {
    using Type = Wide;
};

template <Format F>
using Record = typename RecordOf<F>::Type;

template <Format F>
constexpr int kBlocks = record_k(F) / kBlock;

// Formats whose `second` is an addend per block.
template <Format F>
constexpr bool kHasAddend = F == Format::q4_1 || F == Format::q4_k || F == Format::u6;

// Hardware prefetch stops at each 4 KB page. The lines `ahead` bytes on are asked for a few at a
// time, spread over the blocks of a record: a whole record at once was worse than nothing.
template <Format F>
KWAAI_INLINE void prefetch_block(const Record<F>* w, int b, int ahead) {
    constexpr int kLines = (sizeof(Record<F>) + 63) / 64;
    const char* p = reinterpret_cast<const char*>(w) + ahead;
    for (int line = kLines * b / kBlocks<F>; line < kLines * (b + 1) / kBlocks<F>; ++line)
        __builtin_prefetch(p + line * 64, 0, 2);
}
