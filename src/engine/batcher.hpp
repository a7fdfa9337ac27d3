// Which rows are computed next: the decode rows of all running requests, and prompt rows to fill
// the batch. Confined to the engine's thread.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "engine/continuation.hpp"
#include "engine/text_model.hpp"
#include "inference/kv_cache.hpp"
#include "inference/model.hpp"

namespace kwaai::engine {

/// A request on its way. Its rows are tokens()[kv.length() ..]; the last one's logits give the next
/// token.
struct Job {
    Job(RequestId job_id,
        Request job_request,
        std::function<void(const Event&)> event_handler,
        std::uint32_t tokens_max,
        const inference::Tokenizer& tokenizer,
        inference::KvPool& pool);

    RequestId id;
    bool reuses_prefix;
    std::function<void(const Event&)> on_event;
    Continuation continuation;
    inference::KvSequence kv;
    bool is_cancelled = false;

    [[nodiscard]] const std::vector<inference::TokenId>& tokens() const {
        return continuation.tokens();
    }

    [[nodiscard]] std::size_t rows_left() const { return tokens().size() - kv.length(); }
};

/// Runs requests on one model. Admission is first come, first served: a request runs once the cache
/// can hold all it may become, so that no running request is ever short of memory.
class Batcher {
public:
    /// Rows of a batch: enough for full tiles, few enough that activations stay in the second-level
    /// cache.
    static constexpr std::size_t kRowsMax = 128;

    Batcher(const inference::ModelConfig& config,
            const inference::Span& span,
            inference::Ends& ends,
            inference::KvPool& pool,
            Executor& executor,
            const kernels::Isa& isa);

    void add(std::unique_ptr<Job> job) { waiting_.push_back(std::move(job)); }

    void cancel(RequestId id);
    void cancel_all();

    [[nodiscard]] bool is_idle() const { return waiting_.empty() && running_.empty(); }

    [[nodiscard]] std::size_t running() const { return running_.size(); }

    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

    /// One batch through the model; calls the events of what came out of it.
    void step();

private:
    struct Past {  // what a finished request leaves behind, for prompts that begin alike
        std::vector<inference::TokenId> tokens;
        inference::KvSequence kv;
    };

    void drop_cancelled();
    void admit();
    void reuse_past(Job& job);
    [[nodiscard]] std::size_t pages_of(std::size_t positions) const;
    [[nodiscard]] std::size_t pages_promised() const;
    void collect();
    void take_rows(Job& job, std::size_t count);
    void compute();
    void advance(Job& job, std::span<const float> logits);
    void finish(Job& job, FinishReason reason, std::optional<Error> error);
    void drop(const Job& job);
    void remember(Job& job);

    const inference::ModelConfig& config_;
    const inference::Span& span_;
    inference::Ends& ends_;
    inference::KvPool& pool_;
    inference::Workspace workspace_;
    std::deque<std::unique_ptr<Job>> waiting_;
    std::list<std::unique_ptr<Job>> running_;
    std::deque<Past> past_;  // oldest first

    std::vector<inference::Row> rows_;
    std::vector<inference::TokenId> row_tokens_;
    std::vector<Job*> heads_;  // jobs that get logits from this batch
    std::vector<std::size_t> head_rows_;
    std::vector<float> hidden_, head_hidden_, logits_;
};

}  // namespace kwaai::engine
