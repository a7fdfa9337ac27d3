// A whole model from a file, cut into spans as a test wants it, run by hand: no engine, no batcher.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "base/checked.hpp"
#include "engine/files.hpp"
#include "engine/machine.hpp"
#include "inference/model.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::golden {

struct Setup {
    std::vector<std::uint32_t> cuts;  // block boundaries between spans; none: one span
    const kernels::Isa* isa = &kernels::best();
    Executor* executor = nullptr;  // none: serial
};

/// The value of a result, or a failed test with its error.
template <class T>
T must(Result<T> result) {
    REQUIRE_MESSAGE(result.has_value(), (result ? std::string() : result.error().context));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Spans, each with its own cache; sequences are created per session.
class LoadedModel {
public:
    /// One sequence a span: what a session keeps.
    struct Session {
        std::vector<inference::KvSequence> kv;

        [[nodiscard]] Session fork() const {
            Session copy;
            for (const auto& sequence : kv)
                copy.kv.push_back(sequence.fork());
            return copy;
        }

        void truncate(std::uint32_t length) {
            for (auto& sequence : kv)
                sequence.truncate(length);
        }
    };

    static constexpr std::size_t kRowsMax = 256;

    explicit LoadedModel(const std::string& path, const Setup& setup = {}) {
        engine::LocalFiles files;
        file_ = std::make_unique<inference::ModelFile>(must(inference::open_model(path, files)));
        config_ = must(inference::read_config(*file_));
        Executor& executor = setup.executor != nullptr ? *setup.executor : serial_;
        const inference::LoadContext context{*file_, config_, memory_, executor};
        std::uint32_t begin = 0;
        std::vector<std::uint32_t> ends = setup.cuts;
        ends.push_back(config_.block_count);
        for (const std::uint32_t end : ends) {
            spans_.push_back(std::make_unique<inference::Span>(
                must(inference::Span::load(context, {begin, end}))));
            pools_.push_back(
                std::make_unique<inference::KvPool>(spans_.back()->kv_geometry(), 4096, memory_));
            begin = end;
        }
        ends_ = std::make_unique<inference::Ends>(must(inference::Ends::load(context)));
        workspace_ =
            std::make_unique<inference::Workspace>(config_, kRowsMax, executor, *setup.isa);
    }

    [[nodiscard]] const inference::ModelConfig& config() const { return config_; }

    [[nodiscard]] const inference::ModelFile& file() const { return *file_; }

    [[nodiscard]] inference::Tokenizer tokenizer() const {
        return must(inference::Tokenizer::from_model(*file_));
    }

    [[nodiscard]] Session session() {
        Session session;
        for (const auto& pool : pools_)
            session.kv.emplace_back(*pool);
        return session;
    }

    struct Input {
        Session* session;
        std::vector<inference::TokenId> tokens;
    };

    /// Logits [vocabulary] of every token of every input, one batch.
    std::vector<std::vector<float>> forward(std::span<const Input> inputs) {
        const std::size_t stride = round_up(std::size_t{config_.hidden}, std::size_t{16});
        std::vector<inference::TokenId> tokens;
        for (const Input& input : inputs)
            tokens.insert(tokens.end(), input.tokens.begin(), input.tokens.end());
        std::vector<float> hidden(tokens.size() * stride);
        ends_->embed(tokens, hidden.data(), stride, workspace_->executor());
        for (std::size_t span = 0; span < spans_.size(); ++span) {
            std::vector<inference::Row> rows;
            for (const Input& input : inputs) {
                inference::KvSequence& kv = input.session->kv[span];
                const std::uint32_t begin = kv.length();
                must(kv.reserve(begin + static_cast<std::uint32_t>(input.tokens.size())));
                for (std::uint32_t i = 0; i < input.tokens.size(); ++i)
                    rows.push_back({&kv, begin + i});
            }
            spans_[span]->forward({rows, hidden.data(), stride}, *workspace_);
        }
        std::vector<float> logits(tokens.size() * ends_->logits_stride());
        ends_->head(hidden.data(), stride, tokens.size(), logits.data(), *workspace_);
        std::vector<std::vector<float>> result;
        for (std::size_t row = 0; row < tokens.size(); ++row) {
            const auto begin =
                logits.begin() + static_cast<std::ptrdiff_t>(row * ends_->logits_stride());
            result.emplace_back(begin, begin + config_.vocabulary);
        }
        return result;
    }

    /// Logits of every token of one fresh session, at most `chunk` rows a batch.
    std::vector<std::vector<float>> logits(std::span<const inference::TokenId> tokens,
                                           std::size_t chunk = kRowsMax) {
        Session fresh = session();
        return continue_with(fresh, tokens, chunk);
    }

    std::vector<std::vector<float>> continue_with(Session& to,
                                                  std::span<const inference::TokenId> tokens,
                                                  std::size_t chunk = kRowsMax) {
        std::vector<std::vector<float>> result;
        for (std::size_t i = 0; i < tokens.size(); i += chunk) {
            const auto part = tokens.subspan(i, std::min(chunk, tokens.size() - i));
            const Input input{&to, {part.begin(), part.end()}};
            for (auto& row : forward({&input, 1}))
                result.push_back(std::move(row));
        }
        return result;
    }

private:
    SerialExecutor serial_;
    engine::HugePageSource memory_;
    std::unique_ptr<inference::ModelFile> file_;
    inference::ModelConfig config_;
    std::vector<std::unique_ptr<inference::Span>> spans_;
    std::vector<std::unique_ptr<inference::KvPool>> pools_;
    std::unique_ptr<inference::Ends> ends_;
    std::unique_ptr<inference::Workspace> workspace_;
};

}  // namespace kwaai::golden
