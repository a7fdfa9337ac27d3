#include "engine/model_ends.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "kernels/isa.hpp"

namespace kwaai::engine {

ModelEnds::ModelEnds(TextParts text, inference::Ends ends, std::shared_ptr<ComputePool> pool)
    : text_(std::move(text)),
      pool_(std::move(pool)),
      ends_(std::move(ends)),
      workspace_(text_.config, 1, *pool_, kernels::best()) {}  // the head needs no rows of it

Result<std::unique_ptr<ModelEnds>> ModelEnds::load(const std::string& path,
                                                   const ModelEndsOptions& options) {
    KWAAI_TRY(auto pool, choose_pool(options.pool, options.threads));
    KWAAI_TRY(const OpenedModel model, open_model_files(path));
    KWAAI_TRY(TextParts text, read_text_parts(model, options.context));
    KWAAI_TRY(Weights weights,
              load_weights(model, {.with_ends = true}, *pool, options.on_progress));
    return std::unique_ptr<ModelEnds>(
        new ModelEnds(std::move(text), std::move(*weights.ends), std::move(pool)));
}

EngineStats ModelEnds::stats() const {
    return {.weight_bytes = weight_bytes(),
            .threads = threads(),
            .isa = kernels::best().name,
            .arithmetic_id = kernels::kArithmeticId};
}

std::vector<float> ModelEnds::embed(std::span<const inference::TokenId> tokens) const {
    const std::size_t hidden = text_.config.hidden;
    std::vector<float> rows(tokens.size() * hidden);
    ends_.embed(tokens, rows.data(), hidden, *pool_);
    return rows;
}

std::vector<float> ModelEnds::head(std::span<const float> rows) {
    const std::size_t hidden = text_.config.hidden;
    const std::size_t vocabulary = text_.config.vocabulary;
    KWAAI_CHECK(rows.size() % hidden == 0, "the head takes whole rows");
    const std::size_t count = rows.size() / hidden;
    const std::size_t stride = ends_.logits_stride();
    std::vector<float> logits(count * stride);
    {
        const std::scoped_lock lock(mutex_);
        ends_.head(rows.data(), hidden, count, logits.data(), workspace_);
    }
    for (std::size_t row = 1; row < count && stride != vocabulary; ++row)
        std::copy_n(logits.data() + row * stride, vocabulary, logits.data() + row * vocabulary);
    logits.resize(count * vocabulary);
    return logits;
}

}  // namespace kwaai::engine
