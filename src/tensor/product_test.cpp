#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tensor/test_matrix.hpp"

namespace kwaai::tensor {
namespace {

constexpr std::size_t kRowsMax = 150;  // more than a block of rows of the driver

std::vector<float> random_rows(std::size_t count, std::uint64_t seed) {
    CounterRandom random(seed);
    std::vector<float> x(count);
    for (float& v : x)
        v = static_cast<float>(random.next_unit() * 2 - 1);
    return x;
}

std::vector<const kernels::Isa*> tables() {
    const kernels::Isa* all[8];
    const int count = kernels::available(all, 8);
    return {all, all + count};
}

// Products of `rows` activations [rows, k] with one matrix: [rows][matrix rows].
std::vector<float> multiply_one(const PackedMatrix& weights,
                                const std::vector<float>& x,
                                std::size_t rows,
                                Executor& executor,
                                const kernels::Isa& isa) {
    const std::size_t k = weights.k();
    const std::size_t columns = weights.panels() * 16;
    const std::size_t stride = columns + 5;
    std::vector<float> out(rows * stride, -3.0f);
    ActivationRows activations;
    activations.set(x.data(), k, rows, k);
    const Product product{&weights, out.data(), stride};
    multiply({&product, 1}, activations, executor, isa);
    std::vector<float> result;
    for (std::size_t row = 0; row < rows; ++row) {
        const float* from = out.data() + row * stride;
        for (std::size_t i = columns; i < stride; ++i)
            REQUIRE(from[i] == -3.0f);  // nothing past whole panels
        result.insert(result.end(), from, from + weights.rows());
    }
    return result;
}

TEST_CASE("products agree with double arithmetic on the file's values") {
    for (const Dtype dtype : kDtypes) {
        CAPTURE(to_string(dtype));
        const std::size_t k = 3 * 256 + (block_values(dtype) < 256 ? 32 : 0);
        const FileMatrix file(dtype, 37, k, 21);
        const auto x = random_rows(3 * k, 22);
        SerialExecutor serial;
        const auto got = multiply_one(file.pack(), x, 3, serial, kernels::best());
        double error = 0;
        double norm = 0;
        for (std::size_t i = 0; i < 37; ++i) {
            const auto weights = file.row(i);
            for (std::size_t row = 0; row < 3; ++row) {
                double want = 0;
                for (std::size_t j = 0; j < k; ++j)
                    want += static_cast<double>(weights[j]) * x[row * k + j];
                const double value = got[row * 37 + i];
                error += (value - want) * (value - want);
                norm += want * want;
            }
        }
        // Activations of 8 bits: a step of max / 127 has 1.6e-5 of the power of a uniform block.
        CHECK(error / norm < (kernels::is_float(packed_format(dtype)) ? 1e-11 : 1e-4));
        CHECK(norm > 0);
    }
}

TEST_CASE("products have the same bits for any ISA, workers and number of rows") {
    for (const Dtype dtype : kDtypes) {
        CAPTURE(to_string(dtype));
        const std::size_t k = 10 * 256 + (block_values(dtype) < 256 ? 32 : 0);
        const FileMatrix file(dtype, 37, k, 31);
        const PackedMatrix weights = file.pack();
        const auto x = random_rows(kRowsMax * k, 32);
        SerialExecutor serial;
        BackwardExecutor backward(3);
        std::vector<float> want;  // one row at a time
        for (std::size_t row = 0; row < kRowsMax; ++row) {
            const auto from = x.begin() + static_cast<std::ptrdiff_t>(row * k);
            const std::vector<float> one(from, from + static_cast<std::ptrdiff_t>(k));
            const auto y = multiply_one(weights, one, 1, serial, kernels::best());
            want.insert(want.end(), y.begin(), y.end());
        }
        for (const kernels::Isa* isa : tables()) {
            CAPTURE(isa->name);
            for (const std::size_t rows : {1u, 2u, 3u, 5u, 8u, 9u, 16u, 17u, 31u, 32u, 33u, 150u}) {
                if (isa == tables().front() && rows > 3 && rows != 33) continue;
                const std::vector<float> expected(
                    want.begin(), want.begin() + static_cast<std::ptrdiff_t>(rows * 37));
                CHECK(same_bits(multiply_one(weights, x, rows, serial, *isa), expected));
                CHECK(same_bits(multiply_one(weights, x, rows, backward, *isa), expected));
            }
        }
    }
}

TEST_CASE("several products of the same activations run together") {
    constexpr std::size_t kK = 512;
    std::vector<PackedMatrix> matrices;
    for (const Dtype dtype : {Dtype::q4_k, Dtype::q6_k, Dtype::f16, Dtype::q8_0})
        matrices.push_back(FileMatrix(dtype, 20 + 16 * matrices.size(), kK, 41).pack());
    const auto x = random_rows(40 * kK, 42);
    SerialExecutor serial;
    BackwardExecutor backward(4);
    const kernels::Isa& isa = kernels::best();
    for (const std::size_t rows : {1u, 40u}) {
        std::vector<std::vector<float>> out;
        std::vector<Product> products;
        for (const PackedMatrix& weights : matrices)
            out.emplace_back(rows * weights.panels() * 16);
        for (std::size_t i = 0; i < matrices.size(); ++i)
            products.push_back({&matrices[i], out[i].data(), matrices[i].panels() * 16});
        ActivationRows activations;
        activations.set(x.data(), kK, rows, kK);
        multiply(products, activations, backward, isa);
        for (std::size_t i = 0; i < matrices.size(); ++i) {
            const auto want = multiply_one(matrices[i], x, rows, serial, isa);
            for (std::size_t row = 0; row < rows; ++row) {
                for (std::size_t j = 0; j < matrices[i].rows(); ++j)
                    REQUIRE(out[i][row * matrices[i].panels() * 16 + j] ==
                            want[row * matrices[i].rows() + j]);
            }
        }
    }
}

TEST_CASE("activations are reused for fewer and for more rows") {
    constexpr std::size_t kK = 256;
    const FileMatrix file(Dtype::q4_0, 16, kK, 51);
    const PackedMatrix weights = file.pack();
    const auto x = random_rows(64 * kK, 52);
    SerialExecutor serial;
    const kernels::Isa& isa = kernels::best();
    ActivationRows reused;
    for (const std::size_t rows : {2u, 64u, 1u, 40u}) {
        std::vector<float> out(rows * 16);
        reused.set(x.data(), kK, rows, kK);
        CHECK(reused.rows() == rows);
        const Product product{&weights, out.data(), 16};
        multiply({&product, 1}, reused, serial, isa);
        CHECK(same_bits(out, multiply_one(weights, x, rows, serial, isa)));
    }
}

}  // namespace
}  // namespace kwaai::tensor
