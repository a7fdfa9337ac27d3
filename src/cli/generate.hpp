// One request from start to end on the calling thread.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/interrupts.hpp"
#include "engine/text_model.hpp"

namespace kwaai::cli {

struct Answer {
    std::string text;
    std::vector<inference::TokenId> tokens;
    engine::FinishReason finish = engine::FinishReason::stop;  // cancelled: by Ctrl-C
    engine::RequestStats stats;
};

/// Takes the text as it is written; an error ends the request and is returned.
using TextSink = std::function<Result<void>(std::string_view text)>;

/// Runs `request` and waits for its end; `on_text` is called on this thread. The first Ctrl-C
/// cancels the request. Errors of TextModel::submit, of the model, and of `on_text`.
Result<Answer> generate(engine::TextModel& model,
                        engine::Request request,
                        Interrupts& interrupts,
                        const TextSink& on_text);

}  // namespace kwaai::cli
