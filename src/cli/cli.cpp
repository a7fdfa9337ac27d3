#include "cli/cli.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <sstream>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace kwaai::cli {
namespace {

struct Verb {
    std::string_view name;
    std::string_view purpose;
    Action (*add)(CLI::App&);
};

constexpr std::array kVerbs = {
    Verb{"run", "Write text, or chat, on this machine or through others", add_run},
    Verb{"serve", "Serve blocks of a model to other nodes, or the model over HTTP", add_serve},
    Verb{"demo", "Four nodes on this machine write a story, and one of them dies", add_demo},
    Verb{"id", "Show this node's peer id", add_id},
    Verb{"ping", "Ask a node who it is and how far away", add_ping},
    Verb{"p2p", "Join the network of nodes: look around, store, find, measure", add_p2p},
    Verb{"inspect", "Show what a model file holds and what is wrong with it", add_inspect},
    Verb{"tokenize", "Turn text into token ids and back", add_tokenize},
    Verb{"bench", "Measure how fast a model reads and writes", add_bench},
};

constexpr auto kVerbNames = [] {
    std::array<std::string_view, kVerbs.size()> names;
    std::ranges::transform(kVerbs, names.begin(), &Verb::name);
    return names;
}();

/// Levenshtein's distance.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row.back();
}

int unknown_verb(std::string_view typed) {
    const std::string_view near = nearest_word(typed, kVerbNames);
    write_note(fmt::format("kwaai: there is no verb '{}'{} (`kwaai --help` lists them)\n",
                           typed,
                           near.empty() ? "" : fmt::format(", did you mean '{}'?", near)));
    return kUsage;
}

/// Prints what CLI11 has to say (help and version on stdout, mistakes on stderr).
int explain(const CLI::App& app, const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream note;
    const int code = app.exit(error, out, note);
    write_note(note.str());
    const auto written = write_out(out.str());
    if (!written) return report(written.error());
    return code == 0 ? kOk : kUsage;
}

int parse_and_run(int argc, const char* const* argv) {
    CLI::App app("kwaai: language models on the machines people have.", "kwaai");
    app.set_version_flag("--version", std::string("kwaai ") + KWAAI_VERSION);
    app.require_subcommand(0, 1);
    app.footer("`kwaai VERB --help` shows a verb's flags and an example. Start with: kwaai run");
    std::vector<std::pair<const CLI::App*, Action>> actions;
    for (const Verb& verb : kVerbs) {
        CLI::App* added = app.add_subcommand(std::string(verb.name), std::string(verb.purpose));
        actions.emplace_back(added, verb.add(*added));
    }
    if (argc > 1 && argv[1][0] != '-' && std::ranges::count(kVerbNames, argv[1]) == 0)
        return unknown_verb(argv[1]);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return explain(app, error);
    }
    for (const auto& [verb, action] : actions) {
        if (verb->parsed()) return action();
    }
    const auto written = write_out(app.help());
    return written ? kOk : report(written.error());
}

}  // namespace

std::string_view nearest_word(std::string_view typed, std::span<const std::string_view> words) {
    if (words.empty()) return {};
    const auto distance = [typed](std::string_view word) {
        return edits(typed, word);
    };
    const auto nearest = std::ranges::min_element(words, {}, distance);
    const std::size_t tolerance = std::max<std::size_t>(2, typed.size() / 3);
    const bool is_near = distance(*nearest) <= tolerance && distance(*nearest) < typed.size();
    return is_near ? *nearest : std::string_view();
}

int run_program(int argc, const char* const* argv) {
    try {
        return parse_and_run(argc, argv);
    } catch (const std::bad_alloc&) {
        write_note("kwaai: this machine has not enough free memory for that\n");
    } catch (const std::exception& error) {
        write_note(fmt::format("kwaai: {}\n", error.what()));
    }
    return kFailure;
}

}  // namespace kwaai::cli
