#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/half.hpp"
#include "kernels/test_data.hpp"

namespace kwaai::kernels {
namespace {

constexpr Format kQuantised[] = {
    Format::q4_0, Format::q4_1, Format::q8_0, Format::q4_k, Format::q6_k, Format::u6};

// Weights [panels * 16, k] with the activations they meet.
struct Problem {
    Problem(Format f, int panel_count, int record_count, int row_count)
        : format(f),
          panels(panel_count),
          records(record_count),
          rows(row_count),
          k(record_count * record_k(f)),
          random(static_cast<std::uint64_t>(f) + 7),
          weights(random_records(f, static_cast<std::size_t>(panels * records), random)),
          x(random.values(static_cast<std::size_t>(rows * k))) {
        for (float& v : x) {
            if (random.bits() % 50 == 0) v *= 30.0f;  // outliers, as real activations have
        }
        std::fill_n(x.begin(), std::min(32, k), 0.0f);  // a block of zeros
        for (int i = 0; rows > 1 && i < std::min(32, k); ++i)
            x[static_cast<std::size_t>(k + i)] = i % 2 == 0 ? 1.0f : -1.0f;  // all codes +-127
    }

    [[nodiscard]] const std::byte* panel(int index) const {
        return weights.data() + static_cast<std::size_t>(index * records) * record_bytes(format);
    }

    [[nodiscard]] std::size_t columns() const { return static_cast<std::size_t>(panels) * 16; }

    Format format;
    int panels, records, rows, k;
    TestRandom random;
    std::vector<std::byte> weights;
    std::vector<float> x;
};

// The first `rows` rows; `chunk` blocks are widened at a time, 0: unpacked in registers.
std::vector<float> multiply_all(
    const Isa& isa, const Problem& p, int rows, int tile_rows, int chunk, int prefetch_bytes = 0) {
    const PackedRows x(isa, p.x.data(), rows, p.k, tile_rows);
    const std::size_t stride = p.columns() + 3;
    std::vector<float> padded(static_cast<std::size_t>(rows) * stride, -1.0f);
    std::vector<Wide> wide(static_cast<std::size_t>(x.blocks()));
    const int per_record = record_k(p.format) / kBlock;
    const int step = chunk == 0 ? x.blocks() : std::min(chunk, x.blocks());
    for (int panel = 0; panel < p.panels; ++panel) {
        float* out = padded.data() + panel * 16;
        for (int b = 0; b < x.blocks(); b += step) {
            const int here = std::min(step, x.blocks() - b);
            const auto first = static_cast<std::size_t>(b / per_record) * record_bytes(p.format);
            const std::byte* records = p.panel(panel) + first;
            if (chunk != 0) isa.widen(p.format, records, here / per_record, wide.data());
            for (int row = 0; row < rows; row += tile_rows) {
                const Tile tile = x.tile(row, b, out, stride);
                if (chunk != 0)
                    isa.multiply_wide(p.format, wide.data(), here, tile, b != 0);
                else
                    isa.multiply(p.format, records, p.records, tile, prefetch_bytes);
            }
        }
    }
    std::vector<float> result;
    for (int row = 0; row < rows; ++row) {
        const float* from = padded.data() + static_cast<std::size_t>(row) * stride;
        result.insert(result.end(), from, from + p.columns());
        for (std::size_t i = p.columns(); i < stride; ++i)
            REQUIRE(from[i] == -1.0f);  // nothing is written past the panels
    }
    return result;
}

std::vector<float> first_rows(const std::vector<float>& all, int rows, std::size_t columns) {
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(rows * columns)};
}

TEST_CASE("products have the bits of the definition for any rows, tile and unpacking") {
    for (const Format format : kQuantised) {
        CAPTURE(static_cast<int>(format));
        const Problem p(format, 3, 1536 / record_k(format), 21);
        const Isa& scalar = *by_name("scalar");
        const std::vector<float> want = multiply_all(scalar, p, 21, scalar.tile_rows_max, 0);
        for (const Isa* isa : available_tables()) {
            CAPTURE(isa->name);
            for (int rows = 1; rows <= 21; rows += isa->name == scalar.name ? 5 : 1) {
                for (int tile = 1; tile <= isa->tile_rows_max; ++tile) {
                    for (const int chunk : {0, 8, 16, 1024}) {
                        const auto got = multiply_all(*isa, p, rows, tile, chunk);
                        CHECK(same_bits(got, first_rows(want, rows, p.columns())));
                    }
                }
            }
            CHECK(same_bits(multiply_all(*isa, p, 21, isa->tile_rows_max, 0, 6144), want));
        }
    }
}

TEST_CASE("products have the bits of the definition for a single record") {
    for (const Format format : kQuantised) {
        CAPTURE(static_cast<int>(format));
        for (const int records : {1, 2, 3}) {
            const Problem p(format, 1, records, 4);
            const auto want = multiply_all(*by_name("scalar"), p, 4, 4, 0);
            for (const Isa* isa : available_tables()) {
                CAPTURE(isa->name);
                CHECK(same_bits(multiply_all(*isa, p, 4, 4, 0), want));
                CHECK(same_bits(multiply_all(*isa, p, 4, 4, record_k(format) / 32), want));
            }
        }
    }
}

// Weight and activation as the definition decodes them, in double.
double product_in_double(
    Format format, const std::vector<Wide>& panel, const PackedRows& x, int row, int r) {
    const double bias = format == Format::q4_0   ? 8
                        : format == Format::q8_0 ? 128
                        : format == Format::q6_k ? 32
                                                 : 0;
    const bool addend = format == Format::q4_1 || format == Format::q4_k || format == Format::u6;
    double sum = 0;
    for (int b = 0; b < x.blocks(); ++b) {
        const Wide& w = panel[static_cast<std::size_t>(b)];
        const Act& a = x.at(row, b);
        for (int i = 0; i < kBlock; ++i) {
            const bool second = format == Format::q6_k && i >= 16;
            const double scale = second ? w.second[r] : w.scale[r];
            const double code = w.q[i / 4][4 * r + i % 4] - bias;
            const double weight = scale * code + (addend ? w.second[r] : 0.0f);
            sum += weight * static_cast<double>(a.scale) * a.q[i];
        }
    }
    return sum;
}

TEST_CASE("the definition is as accurate as f32 accumulation allows") {
    for (const Format format : kQuantised) {
        CAPTURE(static_cast<int>(format));
        const Problem p(format, 2, 1536 / record_k(format), 5);
        const Isa& scalar = *by_name("scalar");
        const auto got = multiply_all(scalar, p, p.rows, 1, 0);
        const PackedRows x(scalar, p.x.data(), p.rows, p.k, 1);
        double error = 0;
        double norm = 0;
        for (int panel = 0; panel < p.panels; ++panel) {
            std::vector<Wide> wide(static_cast<std::size_t>(x.blocks()));
            scalar.widen(format, p.panel(panel), p.records, wide.data());
            for (int row = 0; row < p.rows; ++row) {
                for (int r = 0; r < 16; ++r) {
                    const double want = product_in_double(format, wide, x, row, r);
                    const double value = got[row * p.columns() + panel * 16 + r];
                    error += (value - want) * (value - want);
                    norm += want * want;
                }
            }
        }
        CHECK(error / norm < 1e-12);
        CHECK(norm > 0);
    }
}

TEST_CASE("products have the same bits on every machine and compiler") {
    const std::uint64_t want[] = {1664638978051039583u,
                                  2785538797968539183u,
                                  16054718479462618128u,
                                  13276421102792300704u,
                                  2168988743950230717u,
                                  1305562971376331406u};
    for (const Format format : kQuantised) {
        const Problem p(format, 3, 1536 / record_k(format), 21);
        const std::uint64_t hash = hash_bits(multiply_all(*by_name("scalar"), p, 21, 4, 0));
        MESSAGE("format " << static_cast<int>(format) << ": " << hash);
        CHECK(hash == want[static_cast<int>(format)]);
    }
}

std::vector<float> multiply_floats(const Isa& isa, const Problem& p, int rows, int tile_rows) {
    std::vector<float> out(static_cast<std::size_t>(rows) * p.columns());
    for (int panel = 0; panel < p.panels; ++panel) {
        for (int row = 0; row < rows; row += tile_rows) {
            const FloatTile tile{p.x.data() + static_cast<std::size_t>(row * p.k),
                                 static_cast<std::size_t>(p.k),
                                 out.data() + row * p.columns() + panel * 16,
                                 p.columns(),
                                 std::min(tile_rows, rows - row),
                                 tile_rows % 2 == 0 ? 6144 : 0};
            isa.multiply_float(p.format, p.panel(panel), p.k, tile);
        }
    }
    return out;
}

TEST_CASE("products with unquantised weights add k in ascending order, product by product") {
    for (const Format format : {Format::f16, Format::f32}) {
        for (const int k : {1, 2, 31, 64, 257}) {
            CAPTURE(k);
            const Problem p(format, 2, k, 9);
            std::vector<float> want;
            for (int row = 0; row < p.rows; ++row) {
                for (int i = 0; i < p.panels * 16; ++i) {
                    float sum = 0;
                    for (int j = 0; j < k; ++j) {
                        const std::byte* line =
                            p.panel(i / 16) + static_cast<std::size_t>(j) * record_bytes(format);
                        const float weight =
                            format == Format::f16
                                ? half_to_float(
                                      reinterpret_cast<const std::uint16_t*>(line)[i % 16])
                                : reinterpret_cast<const float*>(line)[i % 16];
                        const float product = p.x[static_cast<std::size_t>(row * k + j)] * weight;
                        sum = sum + product;
                    }
                    want.push_back(sum);
                }
            }
            for (const Isa* isa : available_tables()) {
                CAPTURE(isa->name);
                for (int tile = 1; tile <= isa->tile_rows_max; ++tile) {
                    for (int rows = 1; rows <= p.rows; ++rows)
                        CHECK(same_bits(multiply_floats(*isa, p, rows, tile),
                                        first_rows(want, rows, p.columns())));
                }
            }
        }
    }
}

TEST_CASE("tables are found by name, and the best one is available") {
    const auto tables = available_tables();
    REQUIRE(!tables.empty());
    CHECK(std::string_view(tables.front()->name) == "scalar");
    for (const Isa* isa : tables)
        CHECK(by_name(isa->name) == isa);
    CHECK(by_name("mmx") == nullptr);
    CHECK(by_name("") == nullptr);
    CHECK(by_name(best().name) == &best());
}

}  // namespace
}  // namespace kwaai::kernels
