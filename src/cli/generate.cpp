#include "cli/generate.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace kwaai::cli {
namespace {

/// Carries events from the model's thread to ours. Bounded by the tokens of the request.
class Mailbox {
public:
    void put(engine::Event event) {
        {
            const std::scoped_lock lock(mutex_);
            events_.push_back(std::move(event));
        }
        arrived_.notify_one();
    }

    engine::Event take() {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [this] { return !events_.empty(); });
        engine::Event event = std::move(events_.front());
        events_.pop_front();
        return event;
    }

private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<engine::Event> events_;
};

}  // namespace

Result<Answer> generate(engine::TextModel& model,
                        engine::Request request,
                        Interrupts& interrupts,
                        const TextSink& on_text) {
    // Shared with the callback: the model may still hold it when the last event has been taken.
    const auto mailbox = std::make_shared<Mailbox>();
    const auto on_event = [mailbox](const engine::Event& event) {
        mailbox->put(event);
    };
    KWAAI_TRY(const engine::RequestId id, model.submit(std::move(request), on_event));
    const Interrupts::Scope scope(interrupts, [&model, id] { model.cancel(id); });

    Answer answer;
    std::optional<Error> failure;
    for (;;) {
        const engine::Event event = mailbox->take();
        answer.text += event.text;
        answer.tokens.insert(answer.tokens.end(), event.tokens.begin(), event.tokens.end());
        if (!failure && !event.text.empty()) {
            if (auto taken = on_text(event.text); !taken) {
                failure = std::move(taken).error();
                model.cancel(id);
            }
        }
        if (!event.finish) continue;
        if (failure) return std::unexpected(*std::move(failure));
        if (event.error) return std::unexpected(*event.error);
        answer.finish = *event.finish;
        answer.stats = event.stats;
        return answer;
    }
}

}  // namespace kwaai::cli
