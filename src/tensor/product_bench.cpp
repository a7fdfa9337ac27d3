// What the driver adds to the kernels: packing in bytes of the file per second, and products of a
// matrix [8192, 2048] on one worker with everything that belongs to them (quantising included).
#include <string>

#include <benchmark/benchmark.h>

#include "tensor/test_matrix.hpp"

namespace kwaai::tensor {
namespace {

constexpr std::size_t kK = 2048;
constexpr std::size_t kRows = 8192;

void pack(benchmark::State& state, Dtype dtype) {
    const FileMatrix file(dtype, kRows / 8, kK, 1);
    for (auto _ : state) {
        const PackedMatrix packed = file.pack();
        benchmark::DoNotOptimize(packed.panel(0));
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(file.size_bytes()));
}

void product(benchmark::State& state, Dtype dtype) {
    const auto rows = static_cast<std::size_t>(state.range(0));
    const PackedMatrix weights = FileMatrix(dtype, kRows, kK, 1).pack();
    CounterRandom random(2);
    std::vector<float> x(rows * kK);
    for (float& v : x)
        v = static_cast<float>(random.next_unit() - 0.5);
    std::vector<float> out(rows * kRows);
    SerialExecutor serial;
    ActivationRows activations;
    for (auto _ : state) {
        activations.set(x.data(), kK, rows, kK);
        const Product one{&weights, out.data(), kRows};
        multiply({&one, 1}, activations, serial, kernels::best());
        benchmark::DoNotOptimize(out.data());
    }
    const auto runs = static_cast<double>(state.iterations());
    const double macs = static_cast<double>(rows * kK * kRows);
    state.counters["GMAC/s"] = benchmark::Counter(runs * macs * 1e-9, benchmark::Counter::kIsRate);
    state.counters["GB/s"] = benchmark::Counter(
        runs * static_cast<double>(weights.size_bytes()) * 1e-9, benchmark::Counter::kIsRate);
}

const bool kRegistered = [] {
    for (const Dtype dtype : kDtypes) {
        const std::string name(to_string(dtype));
        benchmark::RegisterBenchmark(("pack/" + name).c_str(), pack, dtype);
        benchmark::RegisterBenchmark(("product/" + name).c_str(), product, dtype)
            ->ArgName("M")
            ->Arg(1)
            ->Arg(128)
            ->Arg(512);
    }
    return true;
}();

}  // namespace
}  // namespace kwaai::tensor
