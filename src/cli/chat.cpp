#include "cli/chat.hpp"

#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/generate.hpp"
#include "cli/line_editor.hpp"
#include "cli/report.hpp"
#include "cli/terminal.hpp"

namespace kwaai::cli {
namespace {

constexpr std::string_view kHelp =
    "/help    this list\n"
    "/reset   forget the conversation\n"
    "/stats   how fast the last answer was\n"
    "/exit    end (also Ctrl-D)\n"
    "Ctrl-C stops an answer; at the prompt it ends the program.\n";

class Chat {
public:
    Chat(OpenedModel& opened, const ChatOptions& options, Interrupts& interrupts)
        : opened_(opened),
          model_(opened.model()),
          options_(options),
          interrupts_(interrupts),
          conversation_(options.system) {}

    /// Asks and answers until the end. Fails only where nothing can be written any more.
    Result<void> run() {
        LineEditor editor("> ");
        while (const auto line = editor.read()) {
            if (line->find_first_not_of(" \t") == std::string::npos) continue;
            if (*line == "/exit" || *line == "/quit" || *line == "/bye") return {};
            if (line->starts_with('/')) {
                command(*line);
                continue;
            }
            const auto answered = answer(*line);
            if (answered) continue;
            if (answered.error().code == Errc::closed || answered.error().code == Errc::io)
                return std::unexpected(answered.error());
            show(answered.error());
        }
        write_note("\n");
        return {};
    }

private:
    void command(std::string_view line) {
        if (line == "/help") {
            write_note(kHelp);
        } else if (line == "/reset") {
            conversation_.reset();
            write_note(faint("The conversation is forgotten.") + "\n");
        } else if (line == "/stats") {
            write_note(stats_.empty() ? "There was no answer yet.\n" : stats_);
        } else {
            write_note(fmt::format("There is no command {}; /help lists them.\n", printable(line)));
        }
    }

    Result<void> answer(const std::string& question) {
        engine::Request request;
        KWAAI_TRY(request.prompt, conversation_.prompt(model_, question));
        request.sampling = seeded(options_.sampling);
        request.max_tokens = options_.max_tokens;
        const std::uint64_t seed = request.sampling.seed;
        opened_.begin_answer();
        KWAAI_TRY(Answer answer, generate(model_, std::move(request), interrupts_, write_answer));
        end_answer(answer.text);
        write_note("\n");
        if (answer.finish == engine::FinishReason::cancelled) write_note(faint("(stopped)") + "\n");
        stats_ = stats_for_people(model_, answer, seed) + opened_.route();
        conversation_.add_turn(question, std::move(answer.text));
        return {};
    }

    static void show(const Error& error) {
        const bool is_too_long = error.code == Errc::limit_exceeded;
        write_note(fmt::format(
            "{}{}\n", error.context, is_too_long ? "; /reset forgets the conversation" : ""));
    }

    OpenedModel& opened_;
    engine::TextModel& model_;
    const ChatOptions& options_;
    Interrupts& interrupts_;
    Conversation conversation_;
    std::string stats_;
};

}  // namespace

Result<int> chat(const ChatOptions& options, Interrupts& interrupts) {
    KWAAI_TRY(OpenedModel opened, OpenedModel::open(options.engine, options.swarm));
    const engine::TextModel& model = opened.model();
    if (!model.chat_template()) return std::unexpected(model.chat_template().error());
    write_note(fmt::format("{} ({} positions, {} threads, {}). /help lists commands.\n",
                           bold(model.model_name()),
                           model.context(),
                           model.stats().threads,
                           model.stats().isa));
    KWAAI_CHECKED(Chat(opened, options, interrupts).run());
    return kOk;
}

}  // namespace kwaai::cli
