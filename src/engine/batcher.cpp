#include "engine/batcher.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.hpp"

namespace kwaai::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPastMax = 8;  // finished requests whose keys and values are kept
constexpr std::size_t kReuseTokensMin =
    16;  // a shorter common beginning is not worth a copy of its last page

}  // namespace

Job::Job(RequestId job_id,
         Request job_request,
         std::function<void(const Event&)> event_handler,
         std::uint32_t tokens_max,
         const inference::Tokenizer& tokenizer,
         inference::KvPool& pool)
    : id(job_id),
      reuses_prefix(job_request.reuse_prefix),
      on_event(std::move(event_handler)),
      continuation(job_request, tokens_max, tokenizer),
      kv(pool) {}

Batcher::Batcher(const inference::ModelConfig& config,
                 const inference::Span& span,
                 inference::Ends& ends,
                 inference::KvPool& pool,
                 Executor& executor,
                 const kernels::Isa& isa)
    : config_(config),
      span_(span),
      ends_(ends),
      pool_(pool),
      workspace_(config, kRowsMax, executor, isa) {
    hidden_.resize(kRowsMax * round_up(std::size_t{config.hidden}, std::size_t{16}));
}

void Batcher::cancel(RequestId id) {
    const auto mark = [&](const std::unique_ptr<Job>& job) {
        if (job->id == id) job->is_cancelled = true;
    };
    std::ranges::for_each(waiting_, mark);
    std::ranges::for_each(running_, mark);
}

void Batcher::cancel_all() {
    for (const auto& job : waiting_)
        job->is_cancelled = true;
    for (const auto& job : running_)
        job->is_cancelled = true;
    drop_cancelled();
}

void Batcher::step() {
    drop_cancelled();
    admit();
    collect();
    if (!rows_.empty()) compute();
    std::erase_if(running_, [](const auto& job) { return job == nullptr; });
}

void Batcher::drop_cancelled() {
    const auto drop = [&](std::unique_ptr<Job>& job) {
        if (!job->is_cancelled) return false;
        finish(*job, FinishReason::cancelled, std::nullopt);
        return true;
    };
    std::erase_if(waiting_, drop);
    std::erase_if(running_, drop);
}

std::size_t Batcher::pages_of(std::size_t positions) const {
    return (positions + kernels::kPagePositions - 1) / kernels::kPagePositions;
}

std::size_t Batcher::pages_promised() const {
    std::size_t pages = 0;
    for (const auto& job : running_)
        pages += pages_of(job->continuation.tokens_max());
    return pages;
}

// A past that shares pages with a running request is counted twice: the promise is kept, at worst a
// little early.
void Batcher::admit() {
    while (!waiting_.empty() && running_.size() < kRowsMax) {
        Job& job = *waiting_.front();
        const std::size_t wanted = pages_promised() + pages_of(job.continuation.tokens_max());
        if (wanted > pool_.pages_max()) return;
        if (job.reuses_prefix) reuse_past(job);
        const auto kept = [&] {
            std::size_t pages = 0;
            for (const Past& past : past_)
                pages += pages_of(past.tokens.size());
            return pages;
        };
        while (!past_.empty() && wanted + kept() > pool_.pages_max())
            past_.pop_front();
        job.continuation.start(Clock::now());
        running_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
}

void Batcher::reuse_past(Job& job) {
    std::size_t longest = 0;
    const Past* best = nullptr;
    for (const Past& past : past_) {
        // The last token of the prompt is always computed: its logits are what is wanted.
        const std::size_t limit = std::min(past.tokens.size(), job.tokens().size() - 1);
        const auto end = std::mismatch(job.tokens().begin(),
                                       job.tokens().begin() + static_cast<std::ptrdiff_t>(limit),
                                       past.tokens.begin());
        const auto common = static_cast<std::size_t>(end.first - job.tokens().begin());
        if (common > longest) {
            longest = common;
            best = &past;
        }
    }
    if (longest < kReuseTokensMin) return;
    job.kv = best->kv.fork();
    job.kv.truncate(static_cast<std::uint32_t>(longest));
    job.continuation.stats().reused_tokens = static_cast<std::uint32_t>(longest);
}

// Requests that write come first, with one row each; prompts share what is left, in the order of
// their arrival.
void Batcher::collect() {
    rows_.clear();
    row_tokens_.clear();
    heads_.clear();
    head_rows_.clear();
    for (const bool writes : {true, false})
        for (const auto& job : running_) {
            if (job == nullptr || (job->rows_left() == 1) != writes) continue;
            const std::size_t count = std::min(job->rows_left(), kRowsMax - rows_.size());
            if (count > 0) take_rows(*job, count);
        }
}

void Batcher::take_rows(Job& job, std::size_t count) {
    const std::uint32_t begin = job.kv.length();
    auto reserved = job.kv.reserve(begin + static_cast<std::uint32_t>(count));
    if (!reserved) {
        job.is_cancelled = true;
        finish(job, FinishReason::failed, std::move(reserved).error());
        drop(job);
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        rows_.push_back({&job.kv, begin + static_cast<std::uint32_t>(i)});
        row_tokens_.push_back(job.tokens()[begin + i]);
    }
    if (count == job.rows_left()) {
        heads_.push_back(&job);
        head_rows_.push_back(rows_.size() - 1);
    }
}

void Batcher::compute() {
    const std::size_t stride = round_up(std::size_t{config_.hidden}, std::size_t{16});
    ends_.embed(row_tokens_, hidden_.data(), stride, workspace_.executor());
    span_.forward({rows_, hidden_.data(), stride}, workspace_);
    if (heads_.empty()) return;
    head_hidden_.resize(heads_.size() * stride);
    logits_.resize(heads_.size() * ends_.logits_stride());
    for (std::size_t i = 0; i < heads_.size(); ++i)
        std::memcpy(head_hidden_.data() + i * stride,
                    hidden_.data() + head_rows_[i] * stride,
                    config_.hidden * sizeof(float));
    ends_.head(head_hidden_.data(), stride, heads_.size(), logits_.data(), workspace_);
    for (std::size_t i = 0; i < heads_.size(); ++i)
        advance(*heads_[i],
                std::span(logits_).subspan(i * ends_.logits_stride(), config_.vocabulary));
}

void Batcher::advance(Job& job, std::span<const float> logits) {
    const Event event = job.continuation.take(logits, Clock::now());
    job.on_event(event);
    if (!event.finish) return;
    remember(job);
    drop(job);
}

void Batcher::drop(const Job& job) {
    for (auto& entry : running_)
        if (entry.get() == &job) {
            entry.reset();
            return;
        }
}

void Batcher::finish(Job& job, FinishReason reason, std::optional<Error> error) {
    job.on_event(job.continuation.end(reason, std::move(error)));
    remember(job);
}

void Batcher::remember(Job& job) {
    const std::uint32_t length = job.kv.length();
    if (length < kReuseTokensMin || !job.reuses_prefix) return;
    std::vector<inference::TokenId> tokens = std::move(job.continuation).take_tokens();
    tokens.resize(length);
    past_.push_back({std::move(tokens), std::move(job.kv)});
    if (past_.size() > kPastMax) past_.pop_front();
}

}  // namespace kwaai::engine
