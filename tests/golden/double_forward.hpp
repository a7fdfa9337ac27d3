// An oracle: the same model in plain double arithmetic over the dequantised weights, one token
// after another, written from the formulas and with the C library's functions. Slow; for tiny
// models.
#pragma once
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "golden/loaded_model.hpp"
#include "inference/model_config.hpp"

namespace kwaai::golden {

class DoubleForward {
public:
    using Vector = std::vector<double>;

    DoubleForward(const inference::ModelFile& file, const inference::ModelConfig& config)
        : config_(config) {
        for (const inference::TensorInfo& info : file.tensors) {
            std::size_t count = 1;
            for (const std::uint64_t extent : info.shape)
                count *= static_cast<std::size_t>(extent);
            std::vector<std::byte> bytes(info.size_bytes);
            must(file.source_of(info).read(info.offset, bytes));
            std::vector<float> values(count);
            tensor::dequantise(info.dtype, bytes, count, values.data());
            tensors_[info.name].assign(values.begin(), values.end());
        }
        keys_.resize(config.block_count);
        values_.resize(config.block_count);
    }

    /// Logits of the next token of the one sequence.
    Vector next(inference::TokenId token) {
        const Vector& embedding = tensors_.at("token_embd.weight");
        Vector x(embedding.begin() + static_cast<std::ptrdiff_t>(token * config_.hidden),
                 embedding.begin() + static_cast<std::ptrdiff_t>((token + 1) * config_.hidden));
        for (std::uint32_t block = 0; block < config_.block_count; ++block) {
            add(x,
                product(block,
                        "attn_output",
                        attention(block, norm(x, inference::block_tensor(block, "attn_norm")))));
            const Vector h = norm(x, inference::block_tensor(block, "ffn_norm"));
            Vector gate = product(block, "ffn_gate", h);
            const Vector up = product(block, "ffn_up", h);
            for (std::size_t i = 0; i < gate.size(); ++i)
                gate[i] *= up[i] / (1 + std::exp(-gate[i]));
            add(x, product(block, "ffn_down", gate));
        }
        ++position_;
        const Vector h = norm(x, "output_norm.weight");
        return multiply(tensors_.at(config_.is_head_tied ? "token_embd.weight" : "output.weight"),
                        h);
    }

private:
    static void add(Vector& x, const Vector& y) {
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] += y[i];
    }

    static Vector multiply(const Vector& matrix, const Vector& x) {
        Vector y(matrix.size() / x.size());
        for (std::size_t row = 0; row < y.size(); ++row)
            for (std::size_t k = 0; k < x.size(); ++k)
                y[row] += matrix[row * x.size() + k] * x[k];
        return y;
    }

    [[nodiscard]] Vector product(std::uint32_t block,
                                 std::string_view part,
                                 const Vector& x) const {
        Vector y = multiply(tensors_.at(inference::block_tensor(block, part)), x);
        const auto bias = tensors_.find(inference::block_tensor(block, part, "bias"));
        if (bias != tensors_.end()) add(y, bias->second);
        return y;
    }

    [[nodiscard]] Vector norm(const Vector& x, const std::string& weight) const {
        double square = 0;
        for (const double value : x)
            square += value * value;
        const double factor = 1 / std::sqrt(square / static_cast<double>(x.size()) +
                                            static_cast<double>(config_.rms_epsilon));
        Vector y(x.size());
        for (std::size_t i = 0; i < x.size(); ++i)
            y[i] = x[i] * factor * tensors_.at(weight)[i];
        return y;
    }

    void rotate(Vector& x) const {
        const inference::RopeConfig& rope = config_.rope;
        const std::size_t pairs = rope.dimensions / 2;
        for (std::size_t head = 0; head < x.size() / config_.head_dim; ++head)
            for (std::size_t i = 0; i < pairs; ++i) {
                const double factor =
                    rope.factors.empty() ? 1 : static_cast<double>(rope.factors[i]);
                const double power = -2.0 * static_cast<double>(i) / rope.dimensions;
                const double angle = position_ * std::pow(rope.base, power) / factor;
                const bool is_neox = rope.layout == kernels::RopeLayout::neox;
                double& a = x[head * config_.head_dim + (is_neox ? i : 2 * i)];
                double& b = x[head * config_.head_dim + (is_neox ? i + pairs : 2 * i + 1)];
                const double rotated = a * std::cos(angle) - b * std::sin(angle);
                b = a * std::sin(angle) + b * std::cos(angle);
                a = rotated;
            }
    }

    Vector attention(std::uint32_t block, const Vector& h) {
        Vector q = product(block, "attn_q", h);
        Vector k = product(block, "attn_k", h);
        rotate(q);
        rotate(k);
        keys_[block].push_back(std::move(k));
        values_[block].push_back(product(block, "attn_v", h));
        const std::size_t dim = config_.head_dim;
        const std::size_t group = config_.head_count / config_.kv_head_count;
        Vector out(q.size());
        for (std::size_t head = 0; head < config_.head_count; ++head) {
            const std::size_t kv = head / group * dim;
            Vector weights;
            double total = 0;
            for (const Vector& key : keys_[block]) {
                double score = 0;
                for (std::size_t d = 0; d < dim; ++d)
                    score += q[head * dim + d] * key[kv + d];
                weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
                total += weights.back();
            }
            for (std::size_t t = 0; t < weights.size(); ++t)
                for (std::size_t d = 0; d < dim; ++d)
                    out[head * dim + d] += weights[t] / total * values_[block][t][kv + d];
        }
        return out;
    }

    const inference::ModelConfig& config_;
    std::map<std::string, Vector, std::less<>> tensors_;
    std::vector<std::vector<Vector>> keys_, values_;  // [block][position]
    std::uint32_t position_ = 0;
};

}  // namespace kwaai::golden
