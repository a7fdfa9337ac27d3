#include "inference/block.hpp"

#include <array>
#include <cstring>

#include "base/check.hpp"
#include "base/checked.hpp"
#include "inference/portable_math.hpp"

namespace kwaai::inference {
namespace {

constexpr std::size_t kAttentionRows = 32;  // query rows of a unit; times the heads of a group
constexpr std::size_t kInlineFloats =
    32 * 1024;  // less work than this is done by the calling thread: no barrier

std::size_t padded(std::size_t n) {
    return round_up(n, std::size_t{16});
}

float* aligned(std::vector<float>& memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::uintptr_t gap = round_up(address, std::uintptr_t{64}) - address;
    return memory.data() + gap / sizeof(float);
}

// log2(e) / sqrt(head_dim): scores are exponents of two.
float query_factor(std::uint32_t head_dim) {
    const double root = portable_exp2(0.5 * portable_log2(head_dim));
    return static_cast<float>(1.4426950408889634074 / root);
}

void add_bias(float* x, const std::vector<float>& bias, const kernels::Isa& isa) {
    if (!bias.empty()) isa.add(x, bias.data(), static_cast<int>(bias.size()));
}

}  // namespace

std::size_t BlockWeights::size_bytes() const {
    std::size_t total = 0;
    for (const tensor::PackedMatrix* matrix : {&q, &k, &v, &output, &gate, &up, &down})
        total += matrix->size_bytes();
    for (const std::vector<float>* vector :
         {&attn_norm, &q_bias, &k_bias, &v_bias, &q_norm, &k_norm, &output_bias, &ffn_norm})
        total += vector->size() * sizeof(float);
    return total;
}

Workspace::Workspace(const ModelConfig& config,
                     std::size_t rows_max,
                     Executor& executor,
                     const kernels::Isa& isa)
    : rows_max_(rows_max), executor_(executor), isa_(isa) {
    const std::size_t q = std::size_t{config.head_count} * config.head_dim;
    const std::size_t kv = std::size_t{config.kv_head_count} * config.head_dim;
    const std::size_t pairs = config.rope.dimensions / 2;
    normed_.resize(rows_max * config.hidden);
    q_.resize(rows_max * padded(q));
    k_.resize(rows_max * padded(kv));
    v_.resize(rows_max * padded(kv));
    attended_.resize(rows_max * q);
    projected_.resize(rows_max * padded(config.hidden));
    gate_.resize(rows_max * padded(config.ffn));
    up_.resize(rows_max * padded(config.ffn));
    cosine_.resize(rows_max * pairs);
    sine_.resize(rows_max * pairs);

    const std::size_t dim = padded(config.head_dim);
    const std::size_t queries = kAttentionRows * (config.head_count / config.kv_head_count);
    const std::size_t floats =
        kernels::attention_scratch_floats(static_cast<int>(queries), static_cast<int>(dim)) +
        2 * queries * dim + 64;
    scratch_.assign(executor.worker_count(), std::vector<float>(floats));
}

BlockRunner::BlockRunner(const ModelConfig& config,
                         const Rope& rope,
                         const Batch& batch,
                         Workspace& workspace)
    : config_(config),
      batch_(batch),
      work_(workspace),
      q_stride_(padded(std::size_t{config.head_count} * config.head_dim)),
      kv_stride_(padded(std::size_t{config.kv_head_count} * config.head_dim)),
      hidden_stride_(padded(config.hidden)),
      ffn_stride_(padded(config.ffn)),
      pairs_(rope.pairs()),
      query_factor_(query_factor(config.head_dim)) {
    KWAAI_CHECK(batch.rows.size() <= workspace.rows_max(),
                "a batch has more rows than its workspace");
    for (std::size_t row = 0; row < batch.rows.size(); ++row) {
        const Row& now = batch.rows[row];
        const bool continues = row > 0 && batch.rows[row - 1].sequence == now.sequence;
        const std::uint32_t expected =
            continues ? batch.rows[row - 1].position + 1 : now.sequence->length();
        KWAAI_CHECK(now.position == expected,
                    "the rows of a sequence must continue it without gaps");
        if (continues)
            ++segments_.back().count;
        else
            segments_.push_back({row, 1});
        rope.at(
            now.position, work_.cosine_.data() + row * pairs_, work_.sine_.data() + row * pairs_);
    }
    for (std::size_t segment = 0; segment < segments_.size(); ++segment)
        for (std::size_t first = 0; first < segments_[segment].count; first += kAttentionRows)
            for (std::size_t head = 0; head < config.kv_head_count; ++head)
                units_.push_back({segment,
                                  segments_[segment].first + first,
                                  std::min(kAttentionRows, segments_[segment].count - first),
                                  head});
}

void BlockRunner::forward(const BlockWeights& weights, std::size_t cache_block) {
    self_attention(weights, cache_block);
    feed_forward(weights);
}

// x += Wo attention(rope(Wq h), rope(Wk h), Wv h), h = norm(x)
void BlockRunner::self_attention(const BlockWeights& weights, std::size_t cache_block) {
    norm(weights.attn_norm);
    const std::array qkv{tensor::Product{&weights.q, work_.q_.data(), q_stride_},
                         tensor::Product{&weights.k, work_.k_.data(), kv_stride_},
                         tensor::Product{&weights.v, work_.v_.data(), kv_stride_}};
    project(qkv, work_.normed_.data(), config_.hidden, config_.hidden);
    for_rows(q_stride_ + 2 * kv_stride_,
             [&](std::size_t row) { position_row(weights, row, cache_block); });
    attention(cache_block);
    const std::array output{
        tensor::Product{&weights.output, work_.projected_.data(), hidden_stride_}};
    const std::size_t width = std::size_t{config_.head_count} * config_.head_dim;
    project(output, work_.attended_.data(), width, width);
    add_projected(weights.output_bias);
}

// x += Wdown (silu(Wgate h) * Wup h), h = norm(x)
void BlockRunner::feed_forward(const BlockWeights& weights) {
    norm(weights.ffn_norm);
    const std::array both{tensor::Product{&weights.gate, work_.gate_.data(), ffn_stride_},
                          tensor::Product{&weights.up, work_.up_.data(), ffn_stride_}};
    project(both, work_.normed_.data(), config_.hidden, config_.hidden);
    for_rows(ffn_stride_ * 4, [&](std::size_t row) {
        float* gate = work_.gate_.data() + row * ffn_stride_;
        work_.isa_.silu_multiply(
            gate, work_.up_.data() + row * ffn_stride_, static_cast<int>(config_.ffn), gate);
    });
    const std::array down{tensor::Product{&weights.down, work_.projected_.data(), hidden_stride_}};
    project(down, work_.gate_.data(), ffn_stride_, config_.ffn);
    add_projected({});
}

Executor& BlockRunner::executor_for(std::size_t floats) const {
    return floats < kInlineFloats ? static_cast<Executor&>(work_.serial_) : work_.executor_;
}

void BlockRunner::for_rows(std::size_t floats_per_row, FunctionRef<void(std::size_t)> body) const {
    const std::size_t rows = batch_.rows.size();
    executor_for(rows * floats_per_row).run(rows, [&](std::size_t row, unsigned) { body(row); });
}

void BlockRunner::norm(const std::vector<float>& weight) {
    for_rows(config_.hidden, [&](std::size_t row) {
        work_.isa_.rms_norm(batch_.hidden + row * batch_.stride,
                            weight.data(),
                            config_.rms_epsilon,
                            static_cast<int>(config_.hidden),
                            work_.normed_.data() + row * config_.hidden);
    });
}

void BlockRunner::project(std::span<const tensor::Product> products,
                          const float* x,
                          std::size_t stride,
                          std::size_t k) {
    work_.activations_.set(x, stride, batch_.rows.size(), k);
    tensor::multiply(products, work_.activations_, work_.executor_, work_.isa_);
}

void BlockRunner::add_projected(const std::vector<float>& bias) {
    for_rows(config_.hidden, [&](std::size_t row) {
        float* projected = work_.projected_.data() + row * hidden_stride_;
        add_bias(projected, bias, work_.isa_);
        work_.isa_.add(
            batch_.hidden + row * batch_.stride, projected, static_cast<int>(config_.hidden));
    });
}

// Biases, head norms and rotation of a row's queries and keys; its keys and values go to the cache.
void BlockRunner::position_row(const BlockWeights& weights,
                               std::size_t row,
                               std::size_t cache_block) {
    float* q = work_.q_.data() + row * q_stride_;
    float* k = work_.k_.data() + row * kv_stride_;
    float* v = work_.v_.data() + row * kv_stride_;
    add_bias(q, weights.q_bias, work_.isa_);
    add_bias(k, weights.k_bias, work_.isa_);
    add_bias(v, weights.v_bias, work_.isa_);
    const std::size_t dim = config_.head_dim;
    for (std::size_t head = 0; head < config_.head_count; ++head)
        position_head(q + head * dim, weights.q_norm, row);
    for (std::size_t head = 0; head < config_.kv_head_count; ++head) {
        position_head(k + head * dim, weights.k_norm, row);
        store(k + head * dim, v + head * dim, batch_.rows[row], cache_block, head);
    }
}

void BlockRunner::position_head(float* head,
                                const std::vector<float>& norm_weight,
                                std::size_t row) const {
    const auto dim = static_cast<int>(config_.head_dim);
    if (!norm_weight.empty())
        work_.isa_.rms_norm(head, norm_weight.data(), config_.rms_epsilon, dim, head);
    const kernels::RopeLayout layout =
        config_.is_hf_row_order ? kernels::RopeLayout::neox : config_.rope.layout;
    work_.isa_.rope(head,
                    work_.cosine_.data() + row * pairs_,
                    work_.sine_.data() + row * pairs_,
                    static_cast<int>(pairs_),
                    layout);
}

void BlockRunner::store(const float* k,
                        const float* v,
                        const Row& row,
                        std::size_t cache_block,
                        std::size_t kv_head) const {
    const KvPool& pool = row.sequence->pool();
    const std::size_t slot = row.position % kernels::kPagePositions;
    const KvPool::PageId page = row.sequence->pages()[row.position / kernels::kPagePositions];
    const std::size_t dim = config_.head_dim;
    const std::size_t stride = pool.geometry().padded_dim();
    std::array<std::uint16_t, kernels::kHeadDimMax> half;
    work_.isa_.to_half(k, static_cast<int>(dim), half.data());
    std::uint16_t* keys = pool.k(page, cache_block, kv_head) + slot / 16 * 16 * stride + slot % 16;
    for (std::size_t d = 0; d < dim; ++d)
        keys[d * 16] = half[d];
    work_.isa_.to_half(
        v, static_cast<int>(dim), pool.v(page, cache_block, kv_head) + slot * stride);
}

void BlockRunner::attention(std::size_t cache_block) {
    std::size_t work = 0;
    for (const Row& row : batch_.rows)
        work += (std::size_t{row.position} + 1) * q_stride_;
    executor_for(work).run(units_.size(), [&](std::size_t unit, unsigned worker) {
        attend(units_[unit], cache_block, work_.scratch_[worker]);
    });
}

// Queries of all heads of a group go together: their keys and values are read once.
void BlockRunner::attend(const Unit& unit,
                         std::size_t cache_block,
                         std::vector<float>& scratch) const {
    const KvSequence& sequence = *batch_.rows[unit.first].sequence;
    const KvPool& pool = sequence.pool();
    const std::size_t dim = config_.head_dim;
    const std::size_t stride = pool.geometry().padded_dim();
    const std::size_t group = config_.head_count / config_.kv_head_count;
    const std::size_t queries = unit.count * group;
    float* q = aligned(scratch);
    float* out = q + queries * stride;
    std::memset(q, 0, queries * stride * sizeof(float));

    std::vector<int> visible(queries);
    for (std::size_t i = 0; i < queries; ++i) {
        const std::size_t row = unit.first + i / group;
        const float* source =
            work_.q_.data() + row * q_stride_ + (unit.kv_head * group + i % group) * dim;
        work_.isa_.scale(source, query_factor_, static_cast<int>(dim), q + i * stride);
        visible[i] = static_cast<int>(batch_.rows[row].position) + 1;
    }
    const std::size_t pages =
        (static_cast<std::size_t>(visible.back()) + kernels::kPagePositions - 1) /
        kernels::kPagePositions;
    std::vector<const std::uint16_t*> keys(pages);
    std::vector<const std::uint16_t*> values(pages);
    for (std::size_t page = 0; page < pages; ++page) {
        keys[page] = pool.k(sequence.pages()[page], cache_block, unit.kv_head);
        values[page] = pool.v(sequence.pages()[page], cache_block, unit.kv_head);
    }
    work_.isa_.attend({.q = q,
                       .k = keys.data(),
                       .v = values.data(),
                       .out = out,
                       .visible = visible.data(),
                       .rows = static_cast<int>(queries),
                       .dim = static_cast<int>(stride),
                       .scratch = out + queries * stride});
    const std::size_t width = std::size_t{config_.head_count} * dim;
    for (std::size_t i = 0; i < queries; ++i) {
        float* target = work_.attended_.data() + (unit.first + i / group) * width +
                        (unit.kv_head * group + i % group) * dim;
        std::memcpy(target, out + i * stride, dim * sizeof(float));
    }
}

}  // namespace kwaai::inference
