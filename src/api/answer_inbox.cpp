#include "api/answer_inbox.hpp"

#include <utility>

namespace kwaai::api {

void AnswerInbox::put(const engine::Event& event) {
    if (event.text.empty() && !event.finish) return;
    {
        const std::scoped_lock lock(mutex_);
        piece_.text += event.text;
        piece_.finish = event.finish;
        piece_.stats = event.stats;
        piece_.error = event.error;
        // One wake-up is on its way already.
        if (std::exchange(has_news_, true)) return;
    }
    loop_.post([self = shared_from_this()] { self->arrived_.notify_all(); });
}

std::optional<AnswerPiece> AnswerInbox::try_take() {
    const std::scoped_lock lock(mutex_);
    if (!std::exchange(has_news_, false)) return std::nullopt;
    return std::exchange(piece_, AnswerPiece{});
}

io::Task<AnswerPiece> AnswerInbox::take() {
    // No wake-up is lost: notify_all runs on this thread, so not between the look and the wait.
    std::optional<AnswerPiece> piece = try_take();
    while (!piece) {
        co_await arrived_.wait();
        piece = try_take();
    }
    co_return std::move(*piece);
}

}  // namespace kwaai::api
