// A chat in the terminal.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "cli/conversation.hpp"
#include "cli/flags.hpp"
#include "cli/interrupts.hpp"
#include "cli/swarm_flags.hpp"

namespace kwaai::cli {

struct ChatOptions {
    EngineFlags engine;
    SwarmFlags swarm;
    SamplingFlags sampling;
    std::string system;
    std::uint32_t max_tokens = 0;  // of one answer
};

/// Loads the model, then asks and answers until /exit or Ctrl-D; returns the exit status. Mistakes
/// of one turn (too long a conversation) are shown and the chat goes on.
Result<int> chat(const ChatOptions& options, Interrupts& interrupts);

}  // namespace kwaai::cli
