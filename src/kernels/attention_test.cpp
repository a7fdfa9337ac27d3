#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/half.hpp"
#include "kernels/test_data.hpp"

namespace kwaai::kernels {
namespace {

// Keys and values of one head in scattered pages, with queries for `rows` rows.
class Head {
public:
    Head(int dim, int positions, int rows, std::uint64_t seed) : dim_(dim), positions_(positions) {
        TestRandom random(seed);
        const int pages = (positions + kPagePositions - 1) / kPagePositions;
        const auto page_values = static_cast<std::size_t>(kPagePositions * dim);
        k_.assign(static_cast<std::size_t>(pages), std::vector<std::uint16_t>(page_values, 0x7e00));
        v_.assign(static_cast<std::size_t>(pages), std::vector<std::uint16_t>(page_values, 0x7bff));
        for (int t = 0; t < positions; ++t) {
            for (int d = 0; d < dim; ++d) {
                key(t, d) = float_to_half(random.value());
                value(t, d) = float_to_half(random.value());
            }
        }
        q_ = random.values(static_cast<std::size_t>(rows * dim));
        for (float& x : q_)
            x *= 0.4f;
        for (auto& page : k_)
            k_pages_.push_back(page.data());
        for (auto& page : v_)
            v_pages_.push_back(page.data());
    }

    std::uint16_t& key(int t, int d) {
        const int at = t % kPagePositions;
        return k_[static_cast<std::size_t>(t / kPagePositions)]
                 [static_cast<std::size_t>((at / 16 * dim_ + d) * 16 + at % 16)];
    }

    std::uint16_t& value(int t, int d) {
        return v_[static_cast<std::size_t>(t / kPagePositions)]
                 [static_cast<std::size_t>(t % kPagePositions * dim_ + d)];
    }

    // Rows [first, first + visible.size()).
    [[nodiscard]] std::vector<float> attend(const Isa& isa,
                                            int first,
                                            const std::vector<int>& visible) const {
        const int rows = static_cast<int>(visible.size());
        std::vector<float> out(static_cast<std::size_t>(rows * dim_), -1.0f);
        std::vector<float> scratch(attention_scratch_floats(rows, dim_) + 16);
        void* aligned = scratch.data();
        std::size_t space = scratch.size() * sizeof(float);
        std::align(64, space - 64, aligned, space);
        const Attention attention{q_.data() + first * dim_,
                                  k_pages_.data(),
                                  v_pages_.data(),
                                  out.data(),
                                  visible.data(),
                                  rows,
                                  dim_,
                                  static_cast<float*>(aligned)};
        isa.attend(attention);
        return out;
    }

    // Softmax in double over the same halves and unrounded queries.
    [[nodiscard]] std::vector<double> attend_in_double(int row, int visible) {
        std::vector<double> p;
        double top = -1e300;
        for (int t = 0; t < visible; ++t) {
            double s = 0;
            for (int d = 0; d < dim_; ++d)
                s += static_cast<double>(q_[static_cast<std::size_t>(row * dim_ + d)]) *
                     half_to_float(key(t, d));
            p.push_back(s);
            top = std::max(top, s);
        }
        double sum = 0;
        for (double& x : p)
            sum += x = std::exp2(x - top);
        std::vector<double> out(static_cast<std::size_t>(dim_));
        for (int t = 0; t < visible; ++t) {
            for (int d = 0; d < dim_; ++d)
                out[static_cast<std::size_t>(d)] +=
                    p[static_cast<std::size_t>(t)] / sum * half_to_float(value(t, d));
        }
        return out;
    }

    [[nodiscard]] int positions() const { return positions_; }

    std::vector<float>& q() { return q_; }

private:
    int dim_;
    int positions_;
    std::vector<std::vector<std::uint16_t>> k_;
    std::vector<std::vector<std::uint16_t>> v_;
    std::vector<const std::uint16_t*> k_pages_;
    std::vector<const std::uint16_t*> v_pages_;
    std::vector<float> q_;
};

// What rows of a prompt see: the last row everything, the ones before it one position less each.
std::vector<int> causal(int rows, int positions) {
    std::vector<int> visible;
    for (int m = 0; m < rows; ++m)
        visible.push_back(std::max(1, positions - (rows - 1 - m)));
    return visible;
}

TEST_CASE("attention has the bits of the definition for any batch of rows") {
    for (const int dim : {16, 64, 80, 128, 256, 512}) {
        for (const int positions : {1, 2, 15, 16, 17, 63, 64, 65, 255, 256, 257, 320, 700}) {
            CAPTURE(dim);
            CAPTURE(positions);
            Head head(dim, positions, 37, static_cast<std::uint64_t>(dim + positions));
            const std::vector<int> visible = causal(37, positions);
            std::vector<float> want;  // each row alone, by the definition
            for (int m = 0; m < 37; ++m) {
                const auto row = head.attend(*by_name("scalar"), m, {visible[m]});
                want.insert(want.end(), row.begin(), row.end());
            }
            for (const Isa* isa : available_tables()) {
                CAPTURE(isa->name);
                for (const int rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 15, 16, 17, 37}) {
                    const int first = 37 - rows;
                    const auto got =
                        head.attend(*isa, first, {visible.begin() + first, visible.end()});
                    CHECK(same_bits(got, {want.begin() + first * dim, want.end()}));
                }
            }
        }
    }
}

TEST_CASE("attention agrees with softmax in double") {
    for (const int positions : {1, 50, 300, 700}) {
        Head head(64, positions, 3, 11);
        double error = 0;
        double norm = 0;
        for (int row = 0; row < 3; ++row) {
            const auto got = head.attend(best(), row, {positions});
            const auto want = head.attend_in_double(row, positions);
            for (std::size_t d = 0; d < want.size(); ++d) {
                error += (got[d] - want[d]) * (got[d] - want[d]);
                norm += want[d] * want[d];
            }
        }
        CAPTURE(positions);
        CHECK(error / norm < 1e-8);
    }
}

TEST_CASE("queries that are tiny, huge or not numbers give the same bits everywhere") {
    Head head(64, 90, 4, 12);
    for (std::size_t i = 0; i < head.q().size(); i += 5) {
        const float odd[] = {1e-45f, 0x1p-110f, 0x1p+120f, std::nanf(""), -INFINITY, 0x1p+90f};
        head.q()[i] = odd[i / 5 % 6];
    }
    const auto want = head.attend(*by_name("scalar"), 0, {90, 90, 90, 90});
    for (const float x : want)
        CHECK(std::isfinite(x));
    for (const Isa* isa : available_tables())
        CHECK(same_bits(head.attend(*isa, 0, {90, 90, 90, 90}), want));
}

TEST_CASE("attention has the same bits on every machine and compiler") {
    Head head(80, 700, 16, 13);
    const std::uint64_t hash =
        hash_bits(head.attend(*by_name("scalar"), 0, causal(16, head.positions())));
    MESSAGE("attention: " << hash);
    CHECK(hash == 6805630118182090308u);
}

}  // namespace
}  // namespace kwaai::kernels
