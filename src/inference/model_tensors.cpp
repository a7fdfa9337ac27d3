#include "inference/model_tensors.hpp"

#include <cmath>
#include <map>

#include "inference/model_readers.hpp"

namespace kwaai::inference {
namespace {

using Shape = std::vector<std::uint64_t>;

// Rotary angles stay in range of sine and cosine (portable_math.hpp) up to the longest context.
constexpr float kFactorMin = 0.25F;
constexpr float kFactorMax = 1e6F;

/// The tensors of a file by name; each is struck off when it is expected.
class TensorList {
public:
    explicit TensorList(const ModelFile& file) {
        for (const TensorInfo& tensor : file.tensors) {
            open_.emplace(tensor.name, &tensor);
        }
    }

    /// The tensor, or null where the file has none of this name.
    Result<const TensorInfo*> optional(const std::string& name, const Shape& shape) {
        const auto found = open_.find(name);
        if (found == open_.end()) return nullptr;
        const TensorInfo* tensor = found->second;
        open_.erase(found);
        if (tensor->shape != shape) {
            return fail(Errc::malformed,
                        "tensor " + name + " has the shape " + shown_shape(tensor->shape) +
                            "; the configuration implies " + shown_shape(shape));
        }
        return tensor;
    }

    Result<void> required(const std::string& name, const Shape& shape) {
        KWAAI_TRY(const TensorInfo* tensor, optional(name, shape));
        if (tensor == nullptr) {
            return fail(Errc::malformed,
                        "tensor " + name + " " + shown_shape(shape) + " is missing");
        }
        return {};
    }

    /// Old converters stored the rotary frequencies of every block, which follow from the base.
    void ignore(const std::string& name) { open_.erase(name); }

    [[nodiscard]] Result<void> finish() const {
        if (open_.empty()) return {};
        return fail(Errc::unsupported,
                    "tensor " + shown(open_.begin()->first) + " and " +
                        std::to_string(open_.size() - 1) +
                        " more belong to a kind of block that this build does not run");
    }

private:
    std::map<std::string_view, const TensorInfo*> open_;
};

Result<void> check_block(TensorList& tensors, const ModelConfig& config, std::uint32_t block) {
    const std::uint64_t hidden = config.hidden;
    const std::uint64_t queries = std::uint64_t{config.head_count} * config.head_dim;
    const std::uint64_t keys = std::uint64_t{config.kv_head_count} * config.head_dim;
    const auto weight = [&](std::string_view part, const Shape& shape) {
        return tensors.required(block_tensor(block, part), shape);
    };
    const auto bias = [&](std::string_view part, std::uint64_t size, bool is_required) -> Result<> {
        const std::string name = block_tensor(block, part, "bias");
        if (is_required) return tensors.required(name, {size});
        KWAAI_CHECKED(tensors.optional(name, {size}));
        return {};
    };
    KWAAI_CHECKED(weight("attn_norm", {hidden}));
    KWAAI_CHECKED(weight("attn_q", {queries, hidden}));
    KWAAI_CHECKED(weight("attn_k", {keys, hidden}));
    KWAAI_CHECKED(weight("attn_v", {keys, hidden}));
    KWAAI_CHECKED(weight("attn_output", {hidden, queries}));
    KWAAI_CHECKED(weight("ffn_norm", {hidden}));
    KWAAI_CHECKED(weight("ffn_gate", {config.ffn, hidden}));
    KWAAI_CHECKED(weight("ffn_up", {config.ffn, hidden}));
    KWAAI_CHECKED(weight("ffn_down", {hidden, config.ffn}));
    const bool needs_bias = config.architecture == "qwen2";
    KWAAI_CHECKED(bias("attn_q", queries, needs_bias));
    KWAAI_CHECKED(bias("attn_k", keys, needs_bias));
    KWAAI_CHECKED(bias("attn_v", keys, needs_bias));
    KWAAI_CHECKED(bias("attn_output", hidden, false));
    if (config.has_qk_norm) {
        KWAAI_CHECKED(weight("attn_q_norm", {config.head_dim}));
        KWAAI_CHECKED(weight("attn_k_norm", {config.head_dim}));
    }
    tensors.ignore(block_tensor(block, "attn_rot_embd"));
    return {};
}

Result<std::vector<float>> read_factors(const ModelFile& file, const TensorInfo& tensor) {
    const auto size = static_cast<std::size_t>(tensor.size_bytes);
    std::vector<std::byte> bytes(size);
    KWAAI_CHECKED(file.source_of(tensor).read(tensor.offset, bytes));
    std::vector<float> factors(static_cast<std::size_t>(tensor.shape.front()));
    tensor::dequantise(tensor.dtype, bytes, factors.size(), factors.data());
    for (const float factor : factors) {
        if (!(factor >= kFactorMin && factor <= kFactorMax)) {
            return fail(Errc::malformed,
                        "tensor rope_freqs.weight holds " + std::to_string(factor) +
                            "; 0.25 to 1e6 is allowed");
        }
    }
    return factors;
}

}  // namespace

Result<void> check_tensors(const ModelFile& file, ModelConfig& config) {
    TensorList tensors(file);
    const Shape matrix = {config.vocabulary, config.hidden};
    KWAAI_CHECKED(tensors.required("token_embd.weight", matrix));
    KWAAI_CHECKED(tensors.required("output_norm.weight", {config.hidden}));
    KWAAI_TRY(const TensorInfo* head, tensors.optional("output.weight", matrix));
    KWAAI_TRY(const auto is_tied, file.metadata.boolean("hf.tie_word_embeddings"));
    if (head == nullptr && !is_tied.value_or(true)) {
        return fail(Errc::malformed,
                    "tensor lm_head.weight is missing, though config.json says that the head is "
                    "not tied to the embedding");
    }
    config.is_head_tied = head == nullptr || is_tied.value_or(false);
    for (std::uint32_t block = 0; block < config.block_count; ++block) {
        KWAAI_CHECKED(check_block(tensors, config, block));
    }
    KWAAI_TRY(const TensorInfo* factors,
              tensors.optional("rope_freqs.weight", {config.rope.dimensions / 2}));
    if (factors != nullptr) {
        KWAAI_TRY(config.rope.factors, read_factors(file, *factors));
    }
    return tensors.finish();
}

}  // namespace kwaai::inference
