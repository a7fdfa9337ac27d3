// Where the model's thread leaves what it writes, and the io thread picks it up.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/text_model.hpp"
#include "io/event.hpp"
#include "io/loop.hpp"

namespace kwaai::api {

/// What has been written since the last look.
struct AnswerPiece {
    std::string text;
    std::optional<engine::FinishReason> finish;
    engine::RequestStats stats;  // complete with `finish`
    std::optional<Error> error;  // with FinishReason::failed
};

/// One answer under way. While nobody takes, text is joined: a slow client costs no more than the
/// text of its answer. Held by shared_ptr, since the model may still write when the client has
/// gone. `loop` outlives the model.
class AnswerInbox : public std::enable_shared_from_this<AnswerInbox> {
public:
    explicit AnswerInbox(io::Loop& loop) : loop_(loop) {}

    /// From the model's thread.
    void put(const engine::Event& event);

    /// On the io thread: waits until there is text or the end. One taker at a time. Cancellation
    /// unwinds it and loses nothing.
    io::Task<AnswerPiece> take();

private:
    /// What has come, if anything.
    std::optional<AnswerPiece> try_take();

    io::Loop& loop_;
    io::Event arrived_;  // io thread
    std::mutex mutex_;
    AnswerPiece piece_;      // guarded by mutex_
    bool has_news_ = false;  // guarded by mutex_: piece_ has text or the end
};

}  // namespace kwaai::api
