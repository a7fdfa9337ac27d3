// What the tests of block backends share: a backend asked and waited for, and a client of a chain
// of them.
#pragma once
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "engine/block_backend.hpp"
#include "engine/block_engine.hpp"
#include "engine/loading.hpp"
#include "engine/model_ends.hpp"
#include "inference/sampler.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::engine {

using Rows = std::vector<float>;

/// The value of a result, or a failed test with its error.
template <class T>
T must(Result<T> result) {
    REQUIRE_MESSAGE(result.has_value(), (result ? std::string() : result.error().context));
    return std::move(*result);
}

/// Where the answer of one step arrives, from whichever thread.
class StepAnswer {
public:
    StepHandler handler() {
        return [this](Result<Rows> result) {
            const std::scoped_lock lock(mutex_);
            CHECK_MESSAGE(!result_, "a step is answered once");
            result_ = std::move(result);
            arrived_.notify_all();
        };
    }

    Result<Rows> take() {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [&] { return result_.has_value(); });
        return *std::move(result_);
    }

private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::optional<Result<Rows>> result_;
};

inline Result<Rows> ask(BlockBackend& backend, BlockStep step) {
    StepAnswer answer;
    backend.submit(std::move(step), answer.handler());
    return answer.take();
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
    if (a.size() != b.size()) return false;
    return a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Rows as a hidden state might be: [count, hidden].
inline Rows some_rows(std::size_t count, std::size_t hidden, std::uint64_t seed) {
    Rows rows(count * hidden);
    CounterRandom random(seed);
    for (float& value : rows)
        value = static_cast<float>(random.next_unit() * 2 - 1);
    return rows;
}

/// A model file whose rows and vocabulary fill no vector: hidden 24, 13 tokens, 2 blocks. Removed
/// at the end of the test.
class OddModel {
public:
    OddModel()
        : path_(std::filesystem::temp_directory_path() /
                ("kwaai_odd_model_" + std::to_string(::getpid()) + ".gguf")) {
        std::ofstream(path_, std::ios::binary) << build();
    }

    OddModel(const OddModel&) = delete;
    OddModel& operator=(const OddModel&) = delete;

    ~OddModel() { std::filesystem::remove(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    static std::string build() {
        testing::GgufBuilder file;
        file.text("general.architecture", "llama")
            .u32("llama.block_count", 2)
            .u32("llama.embedding_length", 24)
            .u32("llama.feed_forward_length", 20)
            .u32("llama.attention.head_count", 3)
            .u32("llama.attention.head_count_kv", 3)
            .u32("llama.context_length", 128)
            .f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
        const std::vector<std::string> tokens{
            "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
        const std::string count = testing::number_bytes<std::uint64_t>(tokens.size());
        file.text("tokenizer.ggml.model", "llama")
            .texts("tokenizer.ggml.tokens", tokens)
            .pair("tokenizer.ggml.scores",
                  9,
                  testing::number_bytes(std::uint32_t{6}) + count +
                      std::string(tokens.size() * 4, '\0'));
        matrix(file, "token_embd.weight", {24, 13});
        matrix(file, "output_norm.weight", {24});
        for (const std::string block : {"blk.0.", "blk.1."}) {
            for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
                matrix(file, block + name + ".weight", {24, 24});
            for (const char* name : {"ffn_gate", "ffn_up"})
                matrix(file, block + name + ".weight", {24, 20});
            matrix(file, block + "ffn_down.weight", {20, 24});
            for (const char* name : {"attn_norm", "ffn_norm"})
                matrix(file, block + name + ".weight", {24});
        }
        return file.build();
    }

    static void matrix(testing::GgufBuilder& file,
                       const std::string& name,
                       const std::vector<std::uint64_t>& ne) {
        const Rows values = some_rows(ne.size() > 1 ? ne[1] : 1, ne[0], name.size() + name[4]);
        file.tensor(name, ne, 0, as_text(std::as_bytes(std::span(values))));
    }

    std::filesystem::path path_;
};

/// A part of rows [.., hidden].
inline Rows part_of(const Rows& rows, std::size_t first, std::size_t count, std::size_t hidden) {
    const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(first * hidden);
    return {begin, begin + static_cast<std::ptrdiff_t>(count * hidden)};
}

inline std::shared_ptr<const LoadedBlocks> blocks_of(
    const std::string& path, std::optional<inference::BlockRange> range = {}) {
    SerialExecutor executor;
    return must(load_blocks(path, range, executor));
}

inline std::uint64_t bytes_of_pages(const LoadedBlocks& blocks, std::size_t pages) {
    return pages * blocks.span.kv_geometry().page_bytes();
}

inline std::unique_ptr<BlockEngine> engine_of(std::shared_ptr<const LoadedBlocks> blocks,
                                              std::size_t pages = 64,
                                              unsigned threads = 2) {
    const std::uint64_t bytes = bytes_of_pages(*blocks, pages);
    return std::make_unique<BlockEngine>(
        std::move(blocks), std::make_shared<ComputePool>(threads), bytes);
}

/// The rows of a fresh session of one sequence, in pieces of `chunk` tokens.
inline Rows through(BlockBackend& backend,
                    const Rows& rows,
                    std::uint32_t chunk = 4096,
                    std::optional<inference::BlockRange> range = {}) {
    const std::size_t hidden = backend.config().hidden;
    const auto tokens = static_cast<std::uint32_t>(rows.size() / hidden);
    const SessionId session = must(backend.open({.max_length = tokens, .range = range}));
    Rows out;
    for (std::uint32_t at = 0; at < tokens; at += chunk) {
        const std::uint32_t count = std::min(chunk, tokens - at);
        const Rows piece = must(ask(backend,
                                    {.session = session,
                                     .start_position = at,
                                     .token_count = count,
                                     .rows = part_of(rows, at, count, hidden)}));
        out.insert(out.end(), piece.begin(), piece.end());
    }
    backend.close(session);
    return out;
}

/// A session through several backends, each with the blocks that follow the one before.
class Chain {
public:
    Chain(ModelEnds& ends, std::vector<BlockBackend*> backends, std::uint32_t max_length)
        : ends_(ends), backends_(std::move(backends)) {
        for (BlockBackend* backend : backends_)
            sessions_.push_back(must(backend->open({.max_length = max_length})));
    }

    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    ~Chain() {
        for (std::size_t i = 0; i < backends_.size(); ++i)
            backends_[i]->close(sessions_[i]);
    }

    /// Logits of the last of `tokens`, which follow those before.
    Rows read(std::span<const inference::TokenId> tokens) {
        Rows rows = ends_.embed(tokens);
        const auto count = static_cast<std::uint32_t>(tokens.size());
        for (std::size_t i = 0; i < backends_.size(); ++i)
            rows = must(ask(*backends_[i],
                            {.session = sessions_[i],
                             .start_position = length_,
                             .token_count = count,
                             .rows = std::move(rows)}));
        length_ += count;
        return ends_.head(std::span(rows).last(ends_.config().hidden));
    }

private:
    ModelEnds& ends_;
    std::vector<BlockBackend*> backends_;
    std::vector<SessionId> sessions_;
    std::uint32_t length_ = 0;
};

/// What an engine writes for the same request, by hand.
inline std::vector<inference::TokenId> write(Chain& chain,
                                             std::vector<inference::TokenId> prompt,
                                             const inference::SamplingOptions& sampling,
                                             std::size_t count) {
    inference::Sampler sampler(sampling);
    for (const inference::TokenId token : prompt)
        sampler.accept(token);
    std::vector<inference::TokenId> written;
    std::vector<inference::TokenId> next = std::move(prompt);
    while (written.size() < count) {
        const inference::TokenId token = sampler.sample(chain.read(next));
        sampler.accept(token);
        written.push_back(token);
        next = {token};
    }
    return written;
}

}  // namespace kwaai::engine
