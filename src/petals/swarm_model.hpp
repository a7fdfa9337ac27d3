// A model whose blocks are elsewhere: embedding, head and sampling here, the rest through a swarm.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/result.hpp"
#include "engine/model_ends.hpp"
#include "engine/text_model.hpp"
#include "io/clock.hpp"
#include "io/loop.hpp"
#include "io/offload.hpp"
#include "p2p/host.hpp"
#include "petals/session.hpp"
#include "petals/swarm.hpp"

namespace kwaai::petals {

struct SwarmModelOptions {
    SessionLimits limits;
    std::uint32_t requests_max = 64;  // under way and waiting
    /// What happens on the way of a text, on the loop's thread; may be empty.
    std::function<void(const SessionEvent&)> on_session_event;
    /// The route after each step, with what every hop took, on the loop's thread; may be empty.
    std::function<void(const std::vector<InferenceSession::HopReport>&)> on_step;
};

/// Texts of equal requests equal those of an `engine::Engine` with the whole model, whatever the
/// split and whichever servers fail on the way (f32 rows, equal arithmetic). submit() and cancel()
/// from any thread; events come on the loop's.
class SwarmModel final : public engine::TextModel {
public:
    /// All outlive the model. `work` runs embedding, head and sampling.
    SwarmModel(io::Loop& loop,
               io::Clock& clock,
               p2p::Host& host,
               io::WorkQueue& work,
               Swarm& swarm,
               engine::ModelEnds& ends,
               SwarmModelOptions options);
    /// run() has ended.
    ~SwarmModel() override;

    /// Serves requests until cancelled; then every request gets its last event.
    io::Task<void> run();

    [[nodiscard]] const inference::ModelConfig& config() const override { return ends_.config(); }

    [[nodiscard]] const inference::Tokenizer& tokenizer() const override {
        return ends_.tokenizer();
    }

    [[nodiscard]] const Result<inference::ChatTemplate>& chat_template() const override {
        return ends_.chat_template();
    }

    [[nodiscard]] const std::string& model_name() const override { return ends_.model_name(); }

    [[nodiscard]] std::uint32_t context() const override { return ends_.context(); }

    [[nodiscard]] engine::EngineStats stats() const override;

    Result<engine::RequestId> submit(engine::Request request,
                                     std::function<void(const engine::Event&)> on_event) override;
    void cancel(engine::RequestId id) override;

private:
    struct Job;
    struct Shared;

    static io::Task<void> serve(io::TaskGroup& group, SwarmModel& model);
    io::Task<void> run_job(std::shared_ptr<Job> job);
    static io::Task<void> run_until_cancelled(io::TaskGroup& group,
                                              SwarmModel& model,
                                              std::shared_ptr<Job> job);
    static io::Task<void> watch_cancel(io::TaskGroup& group, std::shared_ptr<Job> job);
    static io::Task<void> write_and_end(io::TaskGroup& group,
                                        SwarmModel& model,
                                        std::shared_ptr<Job> job);
    io::Task<Result<>> write(std::shared_ptr<Job> job);
    io::Task<Result<std::vector<float>>> read_prompt(std::shared_ptr<Job> job,
                                                     InferenceSession& session);
    void end(Job& job, engine::FinishReason reason, std::optional<Error> error);

    io::Loop& loop_;
    io::Clock& clock_;
    p2p::Host& host_;
    io::WorkQueue& work_;
    Swarm& swarm_;
    engine::ModelEnds& ends_;
    SwarmModelOptions options_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace kwaai::petals
