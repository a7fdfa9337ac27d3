#include "petals/swarm_model.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "engine/continuation.hpp"
#include "io/event.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"

namespace kwaai::petals {

// Confined to the loop's thread once it has got there.
struct SwarmModel::Job {
    Job(engine::RequestId job_id,
        const engine::Request& request,
        std::uint32_t tokens_max,
        const inference::Tokenizer& tokenizer,
        std::function<void(const engine::Event&)> handler)
        : id(job_id), continuation(request, tokens_max, tokenizer), on_event(std::move(handler)) {}

    void tell() {
        if (untold) on_event(*std::exchange(untold, std::nullopt));
    }

    engine::RequestId id;
    engine::Continuation continuation;
    std::function<void(const engine::Event&)> on_event;
    // Waits until the next step is under way: whoever takes it works while the servers do.
    std::optional<engine::Event> untold;
    io::Event cancelled;
    bool is_cancelled = false;
    bool is_over = false;  // the last event has been sent
};

// What posts may still refer to when the model has gone.
struct SwarmModel::Shared {
    std::atomic<std::uint32_t> present{0};
    std::atomic<engine::RequestId> next_id{1};
    // On the loop's thread:
    std::map<engine::RequestId, std::shared_ptr<Job>> jobs;
    std::deque<std::shared_ptr<Job>> waiting;
    io::Event arrived;
};

SwarmModel::SwarmModel(io::Loop& loop,
                       io::Clock& clock,
                       p2p::Host& host,
                       io::WorkQueue& work,
                       Swarm& swarm,
                       engine::ModelEnds& ends,
                       SwarmModelOptions options)
    : loop_(loop),
      clock_(clock),
      host_(host),
      work_(work),
      swarm_(swarm),
      ends_(ends),
      options_(std::move(options)),
      shared_(std::make_shared<Shared>()) {}

SwarmModel::~SwarmModel() = default;

engine::EngineStats SwarmModel::stats() const {
    engine::EngineStats stats = ends_.stats();
    stats.running = shared_->present;
    return stats;
}

Result<engine::RequestId> SwarmModel::submit(engine::Request request,
                                             std::function<void(const engine::Event&)> on_event) {
    KWAAI_TRY(const std::uint32_t tokens_max,
              engine::check_request(request, ends_.context(), ends_.config().vocabulary));
    if (++shared_->present > options_.requests_max) {
        --shared_->present;
        return fail(Errc::unavailable,
                    "all " + std::to_string(options_.requests_max) +
                        " places for requests are taken: try again later");
    }
    const engine::RequestId id = shared_->next_id++;
    auto job =
        std::make_shared<Job>(id, request, tokens_max, ends_.tokenizer(), std::move(on_event));
    loop_.post([shared = shared_, job = std::move(job)] {
        shared->jobs.emplace(job->id, job);
        shared->waiting.push_back(job);
        shared->arrived.notify_all();
    });
    return id;
}

void SwarmModel::cancel(engine::RequestId id) {
    loop_.post([shared = shared_, id] {
        const auto found = shared->jobs.find(id);
        if (found == shared->jobs.end()) return;
        found->second->is_cancelled = true;
        found->second->cancelled.notify_all();
    });
}

void SwarmModel::end(Job& job, engine::FinishReason reason, std::optional<Error> error) {
    if (job.is_over) return;
    job.is_over = true;
    job.tell();
    job.on_event(job.continuation.end(reason, std::move(error)));
}

namespace {

// Whatever ends run(): nobody waits for ever for a last event.
template <class Shared, class Finish>
class EndsAll {
public:
    EndsAll(Shared& shared, Finish finish) : shared_(shared), finish_(std::move(finish)) {}

    EndsAll(const EndsAll&) = delete;
    EndsAll& operator=(const EndsAll&) = delete;

    ~EndsAll() {
        for (auto& [id, job] : shared_.jobs)
            finish_(*job);
        shared_.jobs.clear();
        shared_.waiting.clear();
        shared_.present = 0;
    }

private:
    Shared& shared_;
    Finish finish_;
};

}  // namespace

io::Task<void> SwarmModel::run() {
    const auto finish = [this](Job& job) {
        end(job, engine::FinishReason::cancelled, std::nullopt);
    };
    const EndsAll ends_all(*shared_, finish);
    co_await io::with_group(&SwarmModel::serve, std::ref(*this));
}

io::Task<void> SwarmModel::serve(io::TaskGroup& group, SwarmModel& model) {
    Shared& shared = *model.shared_;
    while (true) {
        while (shared.waiting.empty())
            co_await shared.arrived.wait();
        std::shared_ptr<Job> job = std::move(shared.waiting.front());
        shared.waiting.pop_front();
        group.spawn(&SwarmModel::run_job, std::ref(model), std::move(job));
    }
}

io::Task<void> SwarmModel::run_job(std::shared_ptr<Job> job) {
    if (!job->is_cancelled)
        co_await io::with_group(&SwarmModel::run_until_cancelled, std::ref(*this), job);
    end(*job, engine::FinishReason::cancelled, std::nullopt);
    if (shared_->jobs.erase(job->id) > 0) --shared_->present;
}

io::Task<void> SwarmModel::run_until_cancelled(io::TaskGroup& group,
                                               SwarmModel& model,
                                               std::shared_ptr<Job> job) {
    group.spawn(&SwarmModel::watch_cancel, std::ref(group), job);
    group.spawn(&SwarmModel::write_and_end, std::ref(group), std::ref(model), job);
    co_return;
}

io::Task<void> SwarmModel::watch_cancel(io::TaskGroup& group, std::shared_ptr<Job> job) {
    while (!job->is_cancelled)
        co_await job->cancelled.wait();
    group.cancel();
}

io::Task<void> SwarmModel::write_and_end(io::TaskGroup& group,
                                         SwarmModel& model,
                                         std::shared_ptr<Job> job) {
    Result<> written = co_await model.write(job);
    if (!written) model.end(*job, engine::FinishReason::failed, std::move(written).error());
    group.cancel();
}

namespace {

constexpr std::chrono::milliseconds kGoodbye{200};  // for servers to be told that a text has ended

// What a token's worth of work at both ends of the model gives.
struct Written {
    engine::Event event;
    std::vector<float> rows;  // of the token that was written; empty after the last
};

}  // namespace

io::Task<Result<>> SwarmModel::write(std::shared_ptr<Job> job) {
    InferenceSession session({.host = host_,
                              .clock = clock_,
                              .routes = swarm_.routes(),
                              .block_count = ends_.config().block_count,
                              .hidden = ends_.config().hidden,
                              .max_length = job->continuation.tokens_max(),
                              .limits = options_.limits,
                              .on_event = options_.on_session_event,
                              .on_sent = [job] {
                                  job->tell();
                              }});
    job->continuation.start(clock_.now());
    KWAAI_CO_TRY(std::vector<float> out, co_await read_prompt(job, session));
    while (true) {
        if (options_.on_step) options_.on_step(session.route());
        const auto choose = [this, job, &out] {
            Written written;
            const std::size_t hidden = ends_.config().hidden;
            const auto last = std::span<const float>(out).last(hidden);
            written.event = job->continuation.take(ends_.head(last), clock_.now());
            if (!written.event.finish)
                written.rows = ends_.embed(std::span(job->continuation.tokens()).last(1));
            return written;
        };
        KWAAI_CO_TRY(Written written, co_await io::offload(work_, choose));
        if (written.event.finish) {
            // Before the last event: whoever waits for that may end the program with it.
            io::Task<void> finishing = session.finish();
            const bool is_told =
                co_await io::finishes_within(clock_, kGoodbye, std::move(finishing));
            static_cast<void>(is_told);
            job->is_over = true;
            job->on_event(written.event);
            co_return Result<>();
        }
        job->untold = std::move(written.event);
        auto next = co_await session.step(std::move(written.rows));
        job->tell();  // where nothing could be sent
        if (!next) co_return forward_error(next);
        out = std::move(*next);
    }
}

io::Task<Result<std::vector<float>>> SwarmModel::read_prompt(std::shared_ptr<Job> job,
                                                             InferenceSession& session) {
    const std::vector<inference::TokenId> prompt = job->continuation.tokens();
    std::vector<float> out;
    for (std::size_t begin = 0; begin < prompt.size();) {
        const std::size_t count =
            std::min<std::size_t>(options_.limits.chunk_rows, prompt.size() - begin);
        const auto tokens = std::span(prompt).subspan(begin, count);
        const auto embed = [this, tokens] {
            return ends_.embed(tokens);
        };
        KWAAI_CO_TRY(std::vector<float> rows, co_await io::offload(work_, embed));
        auto computed = co_await session.step(std::move(rows));
        if (!computed) co_return forward_error(computed);
        out = std::move(*computed);
        begin += count;
    }
    co_return out;
}

}  // namespace kwaai::petals
