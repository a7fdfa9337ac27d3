// A model, or part of one, in memory: embedding, a span of blocks, head. Local generation is embed,
// forward, head; a server of blocks has only a span.
#pragma once
#include <atomic>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/executor.hpp"
#include "base/result.hpp"
#include "inference/block.hpp"
#include "inference/model_config.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"
#include "tensor/buffer.hpp"
#include "tensor/packed_matrix.hpp"

namespace kwaai::inference {

/// Blocks [begin, end) of a model.
struct BlockRange {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;

    [[nodiscard]] std::uint32_t count() const { return end - begin; }

    /// Whether `part` has blocks, all of them of this range.
    [[nodiscard]] bool covers(BlockRange part) const {
        return begin <= part.begin && part.begin < part.end && part.end <= end;
    }

    friend auto operator<=>(const BlockRange&, const BlockRange&) = default;
};

/// What loading weights needs. `progress`, where given, grows by the file bytes that have been
/// repacked.
struct LoadContext {
    const ModelFile& file;
    const ModelConfig& config;
    tensor::BufferSource& memory;
    Executor& executor;
    std::atomic<std::uint64_t>* progress = nullptr;
};

/// A run of blocks. Immutable after loading; several workspaces may use it at the same time.
class Span {
public:
    /// `Errc::invalid_argument` for a range outside the model; errors of reading and repacking with
    /// the tensor's name.
    static Result<Span> load(const LoadContext& context, BlockRange range);

    /// Carries the batch through the blocks and writes its keys and values; then the sequences have
    /// their new length. The sequences' pools must have this span's geometry, with positions
    /// reserved. Bits do not depend on how rows are batched, on the executor or on the ISA.
    void forward(const Batch& batch, Workspace& workspace) const;
    /// As above, through the blocks of `part` alone, which lies in range(). A sequence goes through
    /// the same part all its life.
    void forward(const Batch& batch, Workspace& workspace, BlockRange part) const;

    [[nodiscard]] BlockRange range() const { return range_; }

    [[nodiscard]] KvGeometry kv_geometry() const;
    [[nodiscard]] std::size_t size_bytes() const;

private:
    Span(ModelConfig config, BlockRange range)
        : config_(std::move(config)), range_(range), rope_(config_.rope) {}

    ModelConfig config_;
    BlockRange range_;
    Rope rope_;
    std::vector<BlockWeights> blocks_;
};

/// Embedding and head, which a client of a swarm needs; one matrix when they are tied.
class Ends {
public:
    static Result<Ends> load(const LoadContext& context);

    /// hidden[i] [hidden] = embedding of tokens[i]. Tokens must be below the vocabulary's size.
    void embed(std::span<const TokenId> tokens,
               float* hidden,
               std::size_t stride,
               Executor& executor) const;

    /// logits [rows][logits_stride()] of hidden states [rows][stride].
    void head(const float* hidden,
              std::size_t stride,
              std::size_t rows,
              float* logits,
              Workspace& workspace);

    /// The vocabulary rounded up to whole panels.
    [[nodiscard]] std::size_t logits_stride() const;
    [[nodiscard]] std::size_t size_bytes() const;

private:
    explicit Ends(ModelConfig config) : config_(std::move(config)) {}

    ModelConfig config_;
    std::shared_ptr<const tensor::PackedMatrix> embedding_;  // [vocabulary, hidden]
    std::shared_ptr<const tensor::PackedMatrix> head_;       // [vocabulary, hidden]
    std::vector<float> output_norm_;                         // [hidden]
    std::vector<float> normed_;                              // head: [rows][hidden]
    tensor::ActivationRows activations_;
};

/// Bytes of tensors that loading `range` (and the ends) reads: the total of the progress.
[[nodiscard]] std::uint64_t bytes_to_load(const ModelFile& file, BlockRange range, bool with_ends);

}  // namespace kwaai::inference
