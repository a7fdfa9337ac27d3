// Products and attention of every instruction set against the limits of the machine.
//   product/<format>/<isa>/M:<rows>   K = 2048; M = 1 reads weights from memory (GB/s, beside
//                                     plain_read of as many bytes), M = 4 and 128 count GMAC/s
//   attention/<isa>/...               4 query heads of one KV head, dim 128
// Filter with --benchmark_filter; a figure from memory means little without plain_read beside it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "kernels/test_data.hpp"

namespace kwaai::kernels {
namespace {

constexpr int kK = 2048;
constexpr std::size_t kMemoryBytes = 96 << 20;  // three times the last cache of the test machine
constexpr std::size_t kCachedBytes = 12 << 20;
constexpr std::size_t kHugePage = 2 << 20;

constexpr const char* kFormatNames[] = {"q4_0", "q4_1", "q8_0", "q4_k", "q6_k", "u6", "f16", "f32"};

struct Free {
    void operator()(std::byte* p) const { std::free(p); }
};

using Memory = std::unique_ptr<std::byte[], Free>;

// In 2 MB pages where the system gives them: they read up to 90 % faster.
Memory allocate(std::size_t bytes) {
    const std::size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    Memory memory(static_cast<std::byte*>(std::aligned_alloc(kHugePage, size)));
    madvise(memory.get(), size, MADV_HUGEPAGE);
    std::memset(memory.get(), 0, size);
    return memory;
}

// Panels [k][16 rows] of one format, `bytes` of them; all with the same random records.
struct Weights {
    Weights(Format f, std::size_t bytes)
        : format(f),
          records(kK / record_k(f)),
          panel_bytes(static_cast<std::size_t>(records) * record_bytes(f)),
          panels(static_cast<int>(bytes / panel_bytes)),
          memory(allocate(panel_bytes * static_cast<std::size_t>(panels))) {
        TestRandom random(1);
        const auto one = random_records(f, static_cast<std::size_t>(records), random);
        for (int panel = 0; panel < panels; ++panel)
            std::memcpy(at(panel), one.data(), one.size());
    }

    [[nodiscard]] std::byte* at(int panel) const {
        return memory.get() + static_cast<std::size_t>(panel) * panel_bytes;
    }

    [[nodiscard]] double bytes() const { return static_cast<double>(panel_bytes) * panels; }

    Format format;
    int records;
    std::size_t panel_bytes;
    int panels;
    Memory memory;
};

void multiply_panel(const Isa& isa,
                    const Weights& w,
                    int panel,
                    const PackedRows& rows,
                    const std::vector<float>& x,
                    float* out) {
    const int prefetch = rows.rows() > 1 && rows.rows() <= 16 ? 6144 : 0;
    for (int row = 0; row < rows.rows(); row += rows.tile_rows()) {
        if (is_float(w.format)) {
            const FloatTile tile{x.data() + static_cast<std::size_t>(row) * kK,
                                 kK,
                                 out + static_cast<std::size_t>(row) * 16,
                                 16,
                                 std::min(rows.tile_rows(), rows.rows() - row),
                                 prefetch};
            isa.multiply_float(w.format, w.at(panel), kK, tile);
        } else {
            isa.multiply(w.format, w.at(panel), w.records, rows.tile(row, 0, out, 16), prefetch);
        }
    }
}

void product(benchmark::State& state, const Isa* isa, Format format) {
    const int row_count = static_cast<int>(state.range(0));
    const Weights w(format, row_count > 16 ? kCachedBytes : kMemoryBytes);
    TestRandom random(2);
    const auto x = random.values(static_cast<std::size_t>(row_count) * kK);
    const PackedRows rows(*isa, x.data(), row_count, kK, isa->tile_rows_max);
    std::vector<float> out(static_cast<std::size_t>(row_count) * 16);
    for (auto _ : state) {
        for (int panel = 0; panel < w.panels; ++panel)
            multiply_panel(*isa, w, panel, rows, x, out.data());
        benchmark::DoNotOptimize(out.data());
    }
    const auto runs = static_cast<double>(state.iterations());
    const double macs = static_cast<double>(w.panels) * 16 * kK * row_count;
    state.counters["GMAC/s"] = benchmark::Counter(runs * macs * 1e-9, benchmark::Counter::kIsRate);
    state.counters["GB/s"] =
        benchmark::Counter(runs * w.bytes() * 1e-9, benchmark::Counter::kIsRate);
}

// Widened chunks of 64 blocks, as the driver takes them from 32 rows on.
void wide_product(benchmark::State& state, const Isa* isa, Format format) {
    constexpr int kRows = 128;
    const Weights w(format, kCachedBytes);
    TestRandom random(2);
    const auto x = random.values(std::size_t{kRows} * kK);
    const PackedRows rows(*isa, x.data(), kRows, kK, isa->tile_rows_max);
    std::vector<float> out(std::size_t{kRows} * 16);
    std::vector<Wide> wide(kK / kBlock);
    for (auto _ : state) {
        for (int panel = 0; panel < w.panels; ++panel) {
            isa->widen(format, w.at(panel), w.records, wide.data());
            for (int row = 0; row < kRows; row += rows.tile_rows())
                isa->multiply_wide(
                    format, wide.data(), kK / kBlock, rows.tile(row, 0, out.data(), 16), false);
        }
        benchmark::DoNotOptimize(out.data());
    }
    const double macs = static_cast<double>(w.panels) * 16 * kK * kRows;
    state.counters["GMAC/s"] = benchmark::Counter(
        static_cast<double>(state.iterations()) * macs * 1e-9, benchmark::Counter::kIsRate);
}

void plain_read(benchmark::State& state) {
    const Memory memory = allocate(kMemoryBytes);
    for (auto _ : state) {
        std::uint64_t sum[8] = {};
        for (std::size_t i = 0; i < kMemoryBytes; i += 64) {
            std::uint64_t line[8];
            std::memcpy(line, memory.get() + i, sizeof line);
            for (int j = 0; j < 8; ++j)
                sum[j] ^= line[j];
        }
        benchmark::DoNotOptimize(sum);
    }
    state.counters["GB/s"] = benchmark::Counter(
        static_cast<double>(state.iterations()) * kMemoryBytes * 1e-9, benchmark::Counter::kIsRate);
}

void quantise_row(benchmark::State& state, const Isa* isa, int group) {
    TestRandom random(4);
    const auto x = random.values(kK);
    std::vector<Act> acts(kK / kBlock);
    for (auto _ : state) {
        isa->quantise(x.data(), kK, group, acts.data(), 1);
        benchmark::DoNotOptimize(acts.data());
    }
    state.SetBytesProcessed(state.iterations() * kK * static_cast<std::int64_t>(sizeof(float)));
}

void attention(benchmark::State& state, const Isa* isa, int dim) {
    const int positions = static_cast<int>(state.range(0));
    const int rows = static_cast<int>(state.range(1));
    const int pages = (positions + kPagePositions - 1) / kPagePositions;
    const auto page_values = static_cast<std::size_t>(kPagePositions * dim);
    std::vector<std::uint16_t> kv(2 * static_cast<std::size_t>(pages) * page_values, 0x2e66);
    std::vector<const std::uint16_t*> k;
    std::vector<const std::uint16_t*> v;
    for (int page = 0; page < pages; ++page) {
        k.push_back(kv.data() + static_cast<std::size_t>(2 * page) * page_values);
        v.push_back(kv.data() + static_cast<std::size_t>(2 * page + 1) * page_values);
    }
    TestRandom random(3);
    const auto q = random.values(static_cast<std::size_t>(rows * dim));
    const std::vector<int> visible(static_cast<std::size_t>(rows), positions);
    std::vector<float> out(q.size());
    std::vector<float> scratch(attention_scratch_floats(rows, dim));
    const Attention a{
        q.data(), k.data(), v.data(), out.data(), visible.data(), rows, dim, scratch.data()};
    for (auto _ : state) {
        isa->attend(a);
        benchmark::DoNotOptimize(out.data());
    }
    const double macs = 2.0 * rows * positions * dim;
    state.counters["GMAC/s"] = benchmark::Counter(
        static_cast<double>(state.iterations()) * macs * 1e-9, benchmark::Counter::kIsRate);
}

const bool kRegistered = [] {
    benchmark::RegisterBenchmark("plain_read", plain_read);
    for (const Isa* isa : available_tables()) {
        const std::string name = isa->name;
        for (int f = 0; f < static_cast<int>(std::size(kFormatNames)); ++f) {
            const auto format = static_cast<Format>(f);
            const std::string path = std::string(kFormatNames[f]) + "/" + name;
            benchmark::RegisterBenchmark(("product/" + path).c_str(), product, isa, format)
                ->ArgName("M")
                ->Arg(1)
                ->Arg(4)
                ->Arg(128);
            if (!is_float(format))
                benchmark::RegisterBenchmark(
                    ("wide_product/" + path).c_str(), wide_product, isa, format);
        }
        for (const int group : {kBlock, kSuperBlock})
            benchmark::RegisterBenchmark(("quantise/" + name + "/" + std::to_string(group)).c_str(),
                                         quantise_row,
                                         isa,
                                         group);
        for (const int dim : {64, 128}) {
            const std::string path = "attention/" + name + "/dim:" + std::to_string(dim);
            benchmark::RegisterBenchmark(path.c_str(), attention, isa, dim)
                ->ArgNames({"positions", "rows"})
                ->ArgsProduct({{1024}, {1, 3, 4, 128}});
        }
    }
    return true;
}();

}  // namespace
}  // namespace kwaai::kernels
