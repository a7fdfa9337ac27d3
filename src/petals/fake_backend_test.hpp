// A block backend for tests whose blocks only add 1 to every value, when it is told to.
#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/block_backend.hpp"

namespace kwaai::petals {

class FakeBackend final : public engine::BlockBackend {
public:
    static constexpr std::uint32_t kHidden = 4;
    static constexpr inference::BlockRange kRange{2, 6};

    explicit FakeBackend(std::uint64_t tokens_max = 1024) : tokens_max_(tokens_max) {
        config_.hidden = kHidden;
        config_.block_count = 8;
    }

    [[nodiscard]] inference::BlockRange range() const override { return kRange; }

    [[nodiscard]] const inference::ModelConfig& config() const override { return config_; }

    [[nodiscard]] const std::string& model_name() const override { return name_; }

    [[nodiscard]] engine::BlockBackendStats stats() const override {
        engine::BlockBackendStats stats;
        stats.kv_bytes_max = tokens_max_ * 16;
        stats.kv_tokens_max = tokens_max_;
        stats.kv_tokens_free = tokens_max_ - tokens_used_;
        stats.sessions = static_cast<std::uint32_t>(sessions_.size());
        stats.arithmetic_id = 7;
        return stats;
    }

    Result<engine::SessionId> open(const engine::SessionOptions& options) override {
        const std::uint64_t tokens =
            options.batch *
            ((std::max<std::uint64_t>(options.max_length, 1) + 63) / 64 * std::uint64_t{64});
        if (tokens_used_ + tokens > tokens_max_)
            return fail(Errc::limit_exceeded, "the cache is full");
        tokens_used_ += tokens;
        const inference::BlockRange range = options.range.value_or(kRange);
        sessions_[next_] = {.tokens = tokens, .blocks = range.count()};
        return next_++;
    }

    void submit(engine::BlockStep step, engine::StepHandler done) override {
        const auto session = sessions_.find(step.session);
        if (session == sessions_.end()) return done(fail(Errc::not_found, "no such session"));
        for (float& value : step.rows)
            value += static_cast<float>(session->second.blocks);
        steps.push_back(step);
        waiting_.emplace_back(std::move(step), std::move(done));
        if (!is_holding) release();
    }

    void close(engine::SessionId id) override {
        const auto session = sessions_.find(id);
        if (session == sessions_.end()) return;
        tokens_used_ -= session->second.tokens;
        sessions_.erase(session);
    }

    /// Answers what waits; steps of closed sessions are answered as the contract says.
    void release() {
        while (!waiting_.empty()) {
            auto [step, done] = std::move(waiting_.front());
            waiting_.pop_front();
            if (sessions_.contains(step.session)) {
                done(std::move(step.rows));
            } else {
                done(fail(Errc::cancelled, "the session was closed"));
            }
        }
    }

    /// Somebody else takes or gives back room.
    void take_elsewhere(std::uint64_t tokens) { tokens_used_ += tokens; }

    void free_elsewhere(std::uint64_t tokens) { tokens_used_ -= tokens; }

    [[nodiscard]] std::size_t session_count() const { return sessions_.size(); }

    [[nodiscard]] std::size_t waiting_count() const { return waiting_.size(); }

    bool is_holding = false;               // until release()
    std::vector<engine::BlockStep> steps;  // with their answers

private:
    struct Session {
        std::uint64_t tokens = 0;
        std::uint32_t blocks = 0;
    };

    inference::ModelConfig config_;
    std::string name_ = "fake";
    std::uint64_t tokens_max_;
    std::uint64_t tokens_used_ = 0;
    std::map<engine::SessionId, Session> sessions_;
    engine::SessionId next_ = 1;
    std::deque<std::pair<engine::BlockStep, engine::StepHandler>> waiting_;
};

}  // namespace kwaai::petals
