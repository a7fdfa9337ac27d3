// kwaai run: writes one answer, or chats.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/chat.hpp"
#include "cli/exit_status.hpp"
#include "cli/flags.hpp"
#include "cli/generate.hpp"
#include "cli/report.hpp"
#include "cli/swarm_flags.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {
namespace {

constexpr std::size_t kPromptBytesMax = std::size_t{64} << 20;

struct RunFlags {
    EngineFlags engine;
    SwarmFlags swarm;
    SamplingFlags sampling;
    std::optional<std::string> prompt;
    std::string system;
    std::uint32_t max_tokens = 512;
    bool is_raw = false;
    bool ignores_end = false;
    bool is_json = false;
};

/// What to continue: --prompt, or else stdin.
Result<std::string> read_prompt(const RunFlags& flags) {
    if (flags.prompt) return *flags.prompt;
    if (stdin_is_terminal()) {
        return fail(Errc::invalid_argument,
                    fmt::format("{} needs a prompt: give --prompt TEXT or write it to stdin",
                                flags.is_raw ? "--raw" : "--json"));
    }
    KWAAI_TRY(std::string text, read_stdin(kPromptBytesMax));
    if (text.empty()) {
        return fail(Errc::invalid_argument,
                    "stdin is empty: give --prompt TEXT or write the prompt to stdin");
    }
    return text;
}

/// The prompt's tokens: as it is with --raw, else through the chat template.
Result<std::vector<inference::TokenId>> encode(const engine::TextModel& model,
                                               const RunFlags& flags,
                                               const std::string& text) {
    if (!flags.is_raw) return Conversation(flags.system).prompt(model, text);
    auto tokens = model.tokenizer().encode(text, {.parse_special = true, .add_bos = true});
    if (tokens.empty()) return fail(Errc::invalid_argument, "the prompt is empty; give some text");
    return tokens;
}

std::string to_json(OpenedModel& opened, const Answer& answer, std::uint64_t seed) {
    json::Writer out;
    out.begin_object();
    out.member("model", opened.model().model_name());
    out.member("text", answer.text);
    out.key("tokens").begin_array();
    for (const inference::TokenId token : answer.tokens)
        out.value(token);
    out.end();
    out.member("finish_reason", engine::to_string(answer.finish));
    out.member("seed", seed);
    write_stats(out, answer.stats);
    opened.write_route(out);
    out.end();
    return out.take() + "\n";
}

/// One answer to one prompt.
Result<int> answer_once(const RunFlags& flags, Interrupts& interrupts) {
    KWAAI_TRY(const std::string text, read_prompt(flags));
    KWAAI_TRY(OpenedModel opened, OpenedModel::open(flags.engine, flags.swarm));
    engine::TextModel& model = opened.model();
    engine::Request request;
    KWAAI_TRY(request.prompt, encode(model, flags, text));
    request.sampling = seeded(flags.sampling);
    request.max_tokens = flags.max_tokens;
    request.continues_prompt = flags.is_raw;
    request.ignore_end = flags.ignores_end;
    const std::uint64_t seed = request.sampling.seed;

    const auto show = [&flags](std::string_view piece) -> Result<void> {
        return flags.is_json ? Result<void>() : write_answer(piece);
    };
    KWAAI_TRY(const Answer answer, generate(model, std::move(request), interrupts, show));
    if (flags.is_json) {
        KWAAI_CHECKED(write_out(to_json(opened, answer, seed)));
    } else {
        end_answer(answer.text);
        write_note(stats_for_people(model, answer, seed) + opened.route());
    }
    return answer.finish == engine::FinishReason::cancelled ? kInterrupted : kOk;
}

int run(const RunFlags& flags) {
    if (const auto valid = flags.sampling.options.validate(); !valid) return report(valid.error());
    Interrupts interrupts;
    const bool is_chat = !flags.prompt && !flags.is_raw && !flags.is_json && stdin_is_terminal();
    Result<int> status = kOk;
    if (is_chat) {
        status = chat({.engine = flags.engine,
                       .swarm = flags.swarm,
                       .sampling = flags.sampling,
                       .system = flags.system,
                       .max_tokens = flags.max_tokens},
                      interrupts);
    } else {
        status = answer_once(flags, interrupts);
    }
    return status ? *status : report(status.error());
}

}  // namespace

Action add_run(CLI::App& verb) {
    const auto flags = std::make_shared<RunFlags>();
    add_engine_flags(verb, flags->engine);
    add_swarm_flags(verb, flags->swarm);
    verb.add_flag("--mdns",
                  flags->swarm.finds_neighbours,
                  "With --swarm: begin with the nodes of the local network (multicast DNS)");
    verb.add_option("-p,--prompt",
                    flags->prompt,
                    "Answer this and end (default: chat on a terminal, else read stdin)");
    verb.add_option("--system", flags->system, "What the model is told to be");
    verb.add_flag("--raw", flags->is_raw, "Continue the prompt as it is, without chat template");
    verb.add_flag("--ignore-end", flags->ignores_end, "Write on after the model's end token");
    verb.add_option("-n,--max-tokens", flags->max_tokens, "Longest answer; 0 = the whole context")
        ->capture_default_str();
    add_sampling_flags(verb, flags->sampling);
    verb.add_flag("--json", flags->is_json, "Print one JSON object with the text and the numbers");
    verb.footer(
        "The text alone goes to stdout, everything else to stderr. Ctrl-C stops the answer,\n"
        "a second one the program.\n\n"
        "Examples:\n"
        "  kwaai run\n"
        "  kwaai run --prompt \"Why is the sky blue?\" --seed 7\n"
        "  git diff | kwaai run --system \"Write a commit message for this diff.\"\n"
        "  kwaai run --peer /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW...\n"
        "  kwaai run --swarm --bootstrap /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW...");
    return [flags] {
        return run(*flags);
    };
}

}  // namespace kwaai::cli
