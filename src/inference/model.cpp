#include "inference/model.hpp"

#include <string>

#include "base/check.hpp"
#include "base/checked.hpp"

namespace kwaai::inference {
namespace {

Result<tensor::PackedMatrix> load_matrix(const LoadContext& context, const std::string& name) {
    const TensorInfo* info = context.file.find(name);
    if (info == nullptr) return fail(Errc::malformed, "the model has no tensor " + name);
    if (info->shape.size() != 2)
        return fail(Errc::malformed, "tensor " + name + " is not a matrix");
    const tensor::MatrixSource source{.bytes = &context.file.source_of(*info),
                                      .offset = info->offset,
                                      .dtype = info->dtype,
                                      .rows = static_cast<std::size_t>(info->shape[0]),
                                      .k = static_cast<std::size_t>(info->shape[1])};
    auto packed =
        tensor::PackedMatrix::pack(source, context.memory, context.executor, context.progress);
    if (!packed) return forward_error(packed, "loading tensor " + name);
    return packed;
}

// A vector, or an empty one when the model has no such tensor and it is `optional`.
Result<std::vector<float>> load_vector(const LoadContext& context,
                                       const std::string& name,
                                       bool optional) {
    const TensorInfo* info = context.file.find(name);
    if (info == nullptr) {
        if (optional) return std::vector<float>{};
        return fail(Errc::malformed, "the model has no tensor " + name);
    }
    std::size_t count = 1;
    for (const std::uint64_t extent : info->shape)
        count *= static_cast<std::size_t>(extent);
    std::vector<std::byte> bytes(static_cast<std::size_t>(info->size_bytes));
    auto read = context.file.source_of(*info).read(info->offset, bytes);
    if (!read) return forward_error(read, "loading tensor " + name);
    std::vector<float> values(count);
    tensor::dequantise(info->dtype, bytes, count, values.data());
    if (context.progress != nullptr) *context.progress += info->size_bytes;
    return values;
}

Result<BlockWeights> load_block(const LoadContext& context, std::uint32_t block) {
    BlockWeights weights;
    const auto matrix = [&](tensor::PackedMatrix& target, std::string_view part) -> Result<void> {
        KWAAI_TRY(target, load_matrix(context, block_tensor(block, part)));
        return {};
    };
    const auto vector = [&](std::vector<float>& target,
                            std::string_view part,
                            std::string_view suffix) -> Result<void> {
        const bool optional =
            suffix == "bias" || part.ends_with("q_norm") || part.ends_with("k_norm");
        KWAAI_TRY(target, load_vector(context, block_tensor(block, part, suffix), optional));
        return {};
    };
    KWAAI_CHECKED(vector(weights.attn_norm, "attn_norm", "weight"));
    KWAAI_CHECKED(matrix(weights.q, "attn_q"));
    KWAAI_CHECKED(matrix(weights.k, "attn_k"));
    KWAAI_CHECKED(matrix(weights.v, "attn_v"));
    KWAAI_CHECKED(vector(weights.q_bias, "attn_q", "bias"));
    KWAAI_CHECKED(vector(weights.k_bias, "attn_k", "bias"));
    KWAAI_CHECKED(vector(weights.v_bias, "attn_v", "bias"));
    if (context.config.has_qk_norm) {
        KWAAI_CHECKED(vector(weights.q_norm, "attn_q_norm", "weight"));
        KWAAI_CHECKED(vector(weights.k_norm, "attn_k_norm", "weight"));
    }
    KWAAI_CHECKED(matrix(weights.output, "attn_output"));
    KWAAI_CHECKED(vector(weights.output_bias, "attn_output", "bias"));
    KWAAI_CHECKED(vector(weights.ffn_norm, "ffn_norm", "weight"));
    KWAAI_CHECKED(matrix(weights.gate, "ffn_gate"));
    KWAAI_CHECKED(matrix(weights.up, "ffn_up"));
    KWAAI_CHECKED(matrix(weights.down, "ffn_down"));
    return weights;
}

}  // namespace

Result<Span> Span::load(const LoadContext& context, BlockRange range) {
    if (range.begin >= range.end || range.end > context.config.block_count)
        return fail(Errc::invalid_argument,
                    "blocks " + std::to_string(range.begin) + ":" + std::to_string(range.end) +
                        " do not exist: the model has blocks 0:" +
                        std::to_string(context.config.block_count));
    Span span(context.config, range);
    for (std::uint32_t block = range.begin; block < range.end; ++block) {
        KWAAI_TRY(BlockWeights weights, load_block(context, block));
        span.blocks_.push_back(std::move(weights));
    }
    return span;
}

void Span::forward(const Batch& batch, Workspace& workspace) const {
    forward(batch, workspace, range_);
}

void Span::forward(const Batch& batch, Workspace& workspace, BlockRange part) const {
    KWAAI_CHECK(range_.covers(part), "a part of a span must lie in it");
    if (batch.rows.empty()) return;
    BlockRunner runner(config_, rope_, batch, workspace);
    for (std::uint32_t block = part.begin; block < part.end; ++block)
        runner.forward(blocks_[block - range_.begin], block - range_.begin);
    for (const Row& row : batch.rows)
        row.sequence->advance(row.position + 1);
}

KvGeometry Span::kv_geometry() const {
    return {
        .blocks = range_.count(), .kv_heads = config_.kv_head_count, .head_dim = config_.head_dim};
}

std::size_t Span::size_bytes() const {
    std::size_t total = 0;
    for (const BlockWeights& block : blocks_)
        total += block.size_bytes();
    return total;
}

Result<Ends> Ends::load(const LoadContext& context) {
    Ends ends(context.config);
    KWAAI_TRY(auto embedding, load_matrix(context, "token_embd.weight"));
    ends.embedding_ = std::make_shared<const tensor::PackedMatrix>(std::move(embedding));
    if (context.config.is_head_tied) {
        ends.head_ = ends.embedding_;
    } else {
        KWAAI_TRY(auto head, load_matrix(context, "output.weight"));
        ends.head_ = std::make_shared<const tensor::PackedMatrix>(std::move(head));
    }
    KWAAI_TRY(ends.output_norm_, load_vector(context, "output_norm.weight", false));
    return ends;
}

void Ends::embed(std::span<const TokenId> tokens,
                 float* hidden,
                 std::size_t stride,
                 Executor& executor) const {
    executor.run(tokens.size(), [&](std::size_t i, unsigned) {
        KWAAI_CHECK(tokens[i] < config_.vocabulary, "a token is outside the vocabulary");
        embedding_->row(tokens[i], hidden + i * stride);
    });
}

void Ends::head(const float* hidden,
                std::size_t stride,
                std::size_t rows,
                float* logits,
                Workspace& workspace) {
    const kernels::Isa& isa = workspace.isa();
    normed_.resize(rows * config_.hidden);
    for (std::size_t row = 0; row < rows; ++row)
        isa.rms_norm(hidden + row * stride,
                     output_norm_.data(),
                     config_.rms_epsilon,
                     static_cast<int>(config_.hidden),
                     normed_.data() + row * config_.hidden);
    activations_.set(normed_.data(), config_.hidden, rows, config_.hidden);
    const tensor::Product product{head_.get(), logits, logits_stride()};
    tensor::multiply({&product, 1}, activations_, workspace.executor(), isa);
}

std::size_t Ends::logits_stride() const {
    return round_up(std::size_t{config_.vocabulary}, std::size_t{16});
}

std::size_t Ends::size_bytes() const {
    return embedding_->size_bytes() + (head_ == embedding_ ? 0 : head_->size_bytes());
}

std::uint64_t bytes_to_load(const ModelFile& file, BlockRange range, bool with_ends) {
    std::uint64_t total = 0;
    for (const TensorInfo& tensor : file.tensors) {
        if (!tensor.name.starts_with("blk.")) {
            if (with_ends && tensor.name != "rope_freqs.weight") total += tensor.size_bytes;
            continue;
        }
        std::uint32_t block = 0;
        for (std::size_t i = 4; i < tensor.name.size() && i < 12 && tensor.name[i] != '.'; ++i)
            block = block * 10 + static_cast<std::uint32_t>(tensor.name[i] - '0');
        if (block >= range.begin && block < range.end) total += tensor.size_bytes;
    }
    return total;
}

}  // namespace kwaai::inference
