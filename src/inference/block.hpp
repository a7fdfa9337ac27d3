// One transformer block of the llama family, and the memory a batch needs on its way through
// blocks.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/executor.hpp"
#include "inference/kv_cache.hpp"
#include "inference/model_config.hpp"
#include "inference/rope.hpp"
#include "kernels/isa.hpp"
#include "tensor/packed_matrix.hpp"

namespace kwaai::inference {

/// A position of a sequence: the unit of all work (design decision 8).
struct Row {
    KvSequence* sequence;
    std::uint32_t position;
};

/// Rows to be carried through blocks, together with their hidden states. Rows of a sequence follow
/// each other, their positions ascend by one from the sequence's length on, and are reserved in its
/// cache.
struct Batch {
    std::span<const Row> rows;
    float* hidden;       // [rows][stride], replaced by the result
    std::size_t stride;  // floats, at least hidden rounded up to 16
};

/// Weights of a block; empty vectors where the model has none.
struct BlockWeights {
    std::vector<float> attn_norm;  // [hidden]
    tensor::PackedMatrix q, k,
        v;  // [heads * head_dim, hidden], [kv_heads * head_dim, hidden] twice
    std::vector<float> q_bias, k_bias, v_bias;
    std::vector<float> q_norm, k_norm;  // [head_dim]
    tensor::PackedMatrix output;        // [hidden, heads * head_dim]
    std::vector<float> output_bias;
    std::vector<float> ffn_norm;    // [hidden]
    tensor::PackedMatrix gate, up;  // [ffn, hidden]
    tensor::PackedMatrix down;      // [hidden, ffn]

    [[nodiscard]] std::size_t size_bytes() const;
};

/// What a batch of at most `rows_max` rows needs besides its hidden states; reused from block to
/// block.
class Workspace {
public:
    Workspace(const ModelConfig& config,
              std::size_t rows_max,
              Executor& executor,
              const kernels::Isa& isa);

    [[nodiscard]] std::size_t rows_max() const { return rows_max_; }

    [[nodiscard]] Executor& executor() const { return executor_; }

    [[nodiscard]] const kernels::Isa& isa() const { return isa_; }

private:
    friend class BlockRunner;

    std::size_t rows_max_;
    Executor& executor_;
    const kernels::Isa& isa_;
    SerialExecutor serial_;
    tensor::ActivationRows activations_;
    std::vector<float> normed_;                // [rows][hidden]
    std::vector<float> q_, k_, v_;             // [rows][padded to 16]
    std::vector<float> attended_;              // [rows][heads * head_dim]
    std::vector<float> projected_;             // [rows][hidden padded to 16]
    std::vector<float> gate_, up_;             // [rows][ffn padded to 16]
    std::vector<float> cosine_, sine_;         // [rows][pairs]
    std::vector<std::vector<float>> scratch_;  // one a worker, for attention
};

/// Carries batches through blocks. The constructor fixes what all blocks share: positions and
/// segments of the batch.
class BlockRunner {
public:
    /// @param rope of the model; the batch and the workspace must outlive the runner
    BlockRunner(const ModelConfig& config,
                const Rope& rope,
                const Batch& batch,
                Workspace& workspace);

    /// hidden = block(hidden); writes keys and values of the rows under `cache_block` of their
    /// sequences.
    void forward(const BlockWeights& weights, std::size_t cache_block);

private:
    struct Segment {  // rows of one sequence
        std::size_t first;
        std::size_t count;
    };

    struct Unit {  // attention of some rows of a segment over one KV head
        std::size_t segment;
        std::size_t first;
        std::size_t count;
        std::size_t kv_head;
    };

    [[nodiscard]] Executor& executor_for(std::size_t floats) const;
    void for_rows(std::size_t floats_per_row, FunctionRef<void(std::size_t row)> body) const;
    void norm(const std::vector<float>& weight);
    void project(std::span<const tensor::Product> products,
                 const float* x,
                 std::size_t stride,
                 std::size_t k);
    void add_projected(const std::vector<float>& bias);
    void position_row(const BlockWeights& weights, std::size_t row, std::size_t cache_block);
    void position_head(float* head, const std::vector<float>& norm_weight, std::size_t row) const;
    void store(const float* k,
               const float* v,
               const Row& row,
               std::size_t cache_block,
               std::size_t kv_head) const;
    void attention(std::size_t cache_block);
    void attend(const Unit& unit, std::size_t cache_block, std::vector<float>& scratch) const;
    void self_attention(const BlockWeights& weights, std::size_t cache_block);
    void feed_forward(const BlockWeights& weights);

    const ModelConfig& config_;
    const Batch& batch_;
    Workspace& work_;
    std::size_t q_stride_, kv_stride_, hidden_stride_, ffn_stride_, pairs_;
    float query_factor_;
    std::vector<Segment> segments_;
    std::vector<Unit> units_;
};

}  // namespace kwaai::inference
