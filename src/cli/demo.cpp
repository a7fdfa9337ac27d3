// kwaai demo: four nodes on this machine write a story together, and one of them dies.
#include "cli/demo.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/child_node.hpp"
#include "cli/conversation.hpp"
#include "cli/exit_status.hpp"
#include "cli/generate.hpp"
#include "cli/model_locator.hpp"
#include "cli/report.hpp"
#include "cli/swarm_flags.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "engine/engine.hpp"
#include "engine/machine.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStartTimeout{30000};
constexpr std::size_t kShortId = 6;
constexpr std::string_view kChatPrompt =
    "Write a story in three sentences about a small robot who finds a friend in the forest.";
constexpr std::string_view kRawPrompt = "Once upon a time";

struct DemoFlags {
    std::string model;
    std::optional<std::string> prompt;
    std::uint32_t max_tokens = 120;
    std::uint64_t seed = 9;
    bool is_json = false;
};

/// A folder for keys and logs, for as long as it lives.
class TemporaryFolder {
public:
    static Result<std::unique_ptr<TemporaryFolder>> make() {
        std::error_code error;
        std::string name = (std::filesystem::temp_directory_path(error) / "kwaai-XXXXXX").string();
        if (error || ::mkdtemp(name.data()) == nullptr)
            return fail(Errc::io, "cannot make a temporary folder " + name);
        return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(std::move(name)));
    }

    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

std::string short_id(std::string_view peer) {
    return std::string(peer.substr(peer.size() - std::min(peer.size(), kShortId)));
}

/// The nodes, and the blow that one of them gets.
class Stage {
public:
    /// Starts all and waits for their addresses; their blocks are loaded meanwhile. The first
    /// begins a network, which the others join.
    static Result<std::unique_ptr<Stage>> set(const std::string& model,
                                              const std::vector<inference::BlockRange>& split,
                                              unsigned threads) {
        auto stage = std::make_unique<Stage>();
        // The nodes have read their keys when they tell their addresses: nothing stays behind.
        KWAAI_TRY(const auto folder, TemporaryFolder::make());
        for (const inference::BlockRange range : split) {
            const std::string name = "node" + std::to_string(stage->actors_.size());
            std::vector<std::string> arguments = {model,
                                                  "--blocks",
                                                  fmt::format("{}:{}", range.begin, range.end),
                                                  "--identity",
                                                  folder->file(name + ".key"),
                                                  "--threads",
                                                  std::to_string(threads)};
            if (!stage->actors_.empty()) {
                KWAAI_TRY(const std::string first, stage->first_address());
                arguments.insert(arguments.end(), {"--bootstrap", first});
            }
            KWAAI_TRY(auto child, ChildNode::start(arguments, folder->file(name + ".log")));
            stage->actors_.push_back({.child = std::move(child), .range = range, .address = {}});
        }
        for (Actor& actor : stage->actors_)
            KWAAI_CHECKED(actor.await_address());
        return stage;
    }

    /// Of the node that nobody kills: it has the first blocks.
    [[nodiscard]] Result<std::string> first_address() {
        KWAAI_CHECKED(actors_.front().await_address());
        return actors_.front().address;
    }

    [[nodiscard]] std::size_t size() const { return actors_.size(); }

    [[nodiscard]] std::string for_people() const {
        std::string text;
        for (const Actor& actor : actors_)
            text += fmt::format("  process {}, blocks {}:{}, {}\n",
                                actor.child->pid(),
                                actor.range.begin,
                                actor.range.end,
                                actor.address);
        return text;
    }

    /// Kills the node of that peer id; its process, or nothing where there is no such node.
    [[nodiscard]] std::optional<pid_t> kill(const std::string& peer) const {
        for (const Actor& actor : actors_) {
            if (!actor.address.ends_with("/" + peer)) continue;
            actor.child->kill();
            return actor.child->pid();
        }
        return std::nullopt;
    }

private:
    struct Actor {
        std::unique_ptr<ChildNode> child;
        inference::BlockRange range;
        std::string address;  // empty until it has told

        Result<> await_address() {
            if (!address.empty()) return {};
            KWAAI_TRY(address, child->read_line(kStartTimeout));
            return {};
        }
    };

    std::vector<Actor> actors_;
};

/// Kills the node in the middle of the route after some tokens, and takes the time until the text
/// goes on. Told of steps on the client's thread, asked when that has ended.
class Blow {
public:
    Blow(const Stage& stage, std::size_t steps) : stage_(stage), steps_left_(steps) {}

    void step(const RouteReport::Hops& hops) {
        if (struck_at_ && !took_) took_ = Clock::now() - *struck_at_;
        if (steps_left_ == 0) return;
        --steps_left_;
        if (steps_left_ > 0) return;
        const auto& victim = hops[hops.size() / 2].hop;
        peer_ = victim.server.peer.to_text();
        const auto process = stage_.kill(peer_);
        struck_at_ = Clock::now();
        write_note(faint(fmt::format("\n[killed {}: process {} with blocks {}:{}, half way]",
                                     short_id(peer_),
                                     process.value_or(0),
                                     victim.range.begin,
                                     victim.range.end)) +
                   "\n");
    }

    [[nodiscard]] bool has_struck() const { return struck_at_.has_value(); }

    [[nodiscard]] const std::string& peer() const { return peer_; }

    /// From the blow to the next token; 0 where there was none.
    [[nodiscard]] double milliseconds() const {
        const std::chrono::duration<double, std::milli> time = took_.value_or(Clock::duration{});
        return time.count();
    }

private:
    const Stage& stage_;
    std::size_t steps_left_;
    std::string peer_;
    std::optional<Clock::time_point> struck_at_;
    std::optional<Clock::duration> took_;
};

std::string prompt_of(const engine::TextModel& model, const DemoFlags& flags) {
    const bool can_chat = model.chat_template().has_value();
    return flags.prompt.value_or(std::string(can_chat ? kChatPrompt : kRawPrompt));
}

/// What is written, twice.
Result<engine::Request> make_request(const engine::TextModel& model, const DemoFlags& flags) {
    engine::Request request;
    const bool can_chat = model.chat_template().has_value();
    const std::string prompt = prompt_of(model, flags);
    if (can_chat) {
        KWAAI_TRY(request.prompt, Conversation("").prompt(model, prompt));
    } else {
        request.prompt = model.tokenizer().encode(prompt, {.parse_special = true, .add_bos = true});
    }
    request.sampling.temperature = 0.7F;
    request.sampling.repeat_penalty = 1.1F;
    request.sampling.seed = flags.seed;
    request.max_tokens = flags.max_tokens;
    request.continues_prompt = !can_chat;
    return request;
}

/// What the swarm wrote.
struct Performance {
    Answer answer;
    std::vector<std::vector<HopTimes>> routes;
    std::string model_name;
    std::uint32_t block_count = 0;
    std::string killed;  // peer id; empty where the text ended before
    double failover_ms = 0;
};

Result<Performance> perform(const std::string& path,
                            const DemoFlags& flags,
                            Interrupts& interrupts) {
    KWAAI_TRY(const engine::OpenedModel model, engine::open_model_files(path));
    KWAAI_TRY(const auto split, demo_split(model.config.block_count));
    const unsigned threads = std::max(1U, engine::usable_cores() / 4);
    KWAAI_TRY(const auto stage, Stage::set(path, split, threads));
    write_note("Four nodes on this machine, each with its own identity:\n" + stage->for_people());

    RouteReport report;
    Blow blow(*stage, flags.max_tokens / 2);
    SwarmFlags swarm;
    swarm.finds_servers = true;
    KWAAI_TRY(const std::string first, stage->first_address());
    swarm.bootstrap = {first};
    const EngineFlags engine{.model = path, .threads = threads};
    KWAAI_TRY(node::ClientNodeOptions options, client_options(engine, swarm, report));
    options.servers_min = stage->size();  // the twin of the one who dies, too
    options.events.on_step = [&](const RouteReport::Hops& hops) {
        report.step(hops);
        blow.step(hops);
    };
    KWAAI_TRY(auto client, node::SwarmClient::start(std::move(options)));
    write_note(
        "This process is their client: it has tokens, embedding and head, and none of the "
        "blocks. It knows the first node, and has found the others by the model's name.\n");
    KWAAI_TRY(engine::Request request, make_request(client->model(), flags));
    write_note("\n> " + printable(prompt_of(client->model(), flags)) + "\n\n");
    const auto show = [&flags](std::string_view piece) -> Result<void> {
        return flags.is_json ? Result<void>() : write_answer(piece);
    };
    Performance done;
    KWAAI_TRY(done.answer, generate(client->model(), std::move(request), interrupts, show));
    if (!flags.is_json) end_answer(done.answer.text);
    done.model_name = client->model().model_name();
    done.block_count = model.config.block_count;
    client.reset();
    done.routes = report.routes();
    if (blow.has_struck()) done.killed = blow.peer();
    done.failover_ms = blow.milliseconds();
    return done;
}

void describe(const Performance& done) {
    write_note("\n");
    for (std::size_t index = 0; index < done.routes.size(); ++index)
        write_note(fmt::format("Route{}: {}\n",
                               index == 0 ? "" : " afterwards",
                               route_for_people(done.routes[index])));
    const engine::RequestStats& stats = done.answer.stats;
    write_note(fmt::format("{} tokens at {:.1f}/s. ",
                           stats.completion_tokens,
                           per_second(stats.completion_tokens, stats.completion_seconds)));
    if (done.killed.empty())
        write_note("The text ended before a node could be killed: try a larger --max-tokens.\n");
    else
        write_note(
            fmt::format("The death of {} cost {:.0f} ms: another node with its blocks "
                        "computed the text so far again.\n",
                        short_id(done.killed),
                        done.failover_ms));
}

/// The same request on one node, with all blocks.
Result<Answer> perform_alone(const std::string& path,
                             const DemoFlags& flags,
                             Interrupts& interrupts) {
    KWAAI_TRY(const auto engine, load_engine({.model = path, .threads = 0, .context = 0}));
    write_note("Now one node alone, with all blocks, the same prompt and the same seed. ");
    KWAAI_TRY(engine::Request request, make_request(*engine, flags));
    const auto ignore = [](std::string_view) -> Result<void> {
        return {};
    };
    return generate(*engine, std::move(request), interrupts, ignore);
}

std::string to_json(const Performance& done, const Answer& alone, const DemoFlags& flags) {
    json::Writer out;
    out.begin_object().member("model", done.model_name).member("seed", flags.seed);
    out.member("text", done.answer.text).member("one_node_text", alone.text);
    out.member("is_equal", done.answer.text == alone.text);
    out.member("finish_reason", engine::to_string(done.answer.finish));
    out.member("killed", done.killed).member("failover_ms", done.failover_ms);
    out.key("routes").begin_array();
    for (const auto& route : done.routes)
        write_route(out, route);
    out.end();
    write_stats(out, done.answer.stats);
    return out.end().take() + "\n";
}

int judge(const Performance& done, const Answer& alone) {
    const std::string& text = done.answer.text;
    if (text == alone.text) {
        write_note(
            fmt::format("{} {} characters, none differs.\n", bold("The same text:"), text.size()));
        return kOk;
    }
    const auto [mine, other] = std::ranges::mismatch(text, alone.text);
    write_note(fmt::format("The texts differ from character {} on. One node wrote:\n{}\n",
                           mine - text.begin(),
                           printable(alone.text)));
    return kFailure;
}

void suggest(std::uint32_t block_count, const std::string& path) {
    const auto usual = find_model("");
    const std::string named = usual && *usual == path ? "" : " " + path;
    write_note(fmt::format(
        "\nTry by hand\n"
        "  1. Two terminals with half of the blocks each, and a chat through both:\n"
        "       kwaai serve{0} --blocks 0:{1}\n"
        "       kwaai serve{0} --blocks {1}:{2} --bootstrap ADDRESS     (that the first prints)\n"
        "       kwaai run{0} --swarm --bootstrap ADDRESS\n"
        "  2. Two machines: docs/two-machines.md\n"
        "  3. OpenAI's API in front of them:\n"
        "       kwaai serve{0} --swarm --bootstrap ADDRESS --http 127.0.0.1:8080\n",
        named,
        block_count / 2,
        block_count));
}

Result<int> demo(const DemoFlags& flags, Interrupts& interrupts) {
    KWAAI_TRY(const std::string path, find_model(flags.model));
    KWAAI_TRY(const Performance done, perform(path, flags, interrupts));
    if (done.answer.finish == engine::FinishReason::cancelled) return kInterrupted;
    describe(done);
    KWAAI_TRY(const Answer alone, perform_alone(path, flags, interrupts));
    if (alone.finish == engine::FinishReason::cancelled) return kInterrupted;
    if (flags.is_json) {
        KWAAI_CHECKED(write_out(to_json(done, alone, flags)));
    }
    const int status = judge(done, alone);
    if (status == kOk) suggest(done.block_count, path);
    return status;
}

}  // namespace

Result<std::vector<inference::BlockRange>> demo_split(std::uint32_t block_count) {
    if (block_count < 3)
        return fail(Errc::invalid_argument,
                    fmt::format("the demo cuts a model in three, and this one has {} {}",
                                block_count,
                                block_count == 1 ? "block" : "blocks"));
    const auto first = static_cast<std::uint32_t>(std::uint64_t{block_count} / 3);
    const auto second = static_cast<std::uint32_t>(std::uint64_t{block_count} * 2 / 3);
    const inference::BlockRange middle{first, second};
    return std::vector<inference::BlockRange>{{0, first}, middle, middle, {second, block_count}};
}

Action add_demo(CLI::App& verb) {
    const auto flags = std::make_shared<DemoFlags>();
    verb.add_option(
        "MODEL", flags->model, "As for `kwaai run` (default: " + std::string(kDefaultModel) + ")");
    verb.add_option("-p,--prompt", flags->prompt, "What the text answers, or goes on from");
    verb.add_option("-n,--max-tokens", flags->max_tokens, "Longest text; half way a node dies")
        ->check(CLI::Range(4U, 4096U))
        ->capture_default_str();
    verb.add_option("--seed", flags->seed, "Of the text")->capture_default_str();
    verb.add_flag(
        "--json", flags->is_json, "Print one JSON object; exit status 1 where texts differ");
    verb.footer(
        "Starts four `kwaai serve` processes on loopback, writes a text through three of them,\n"
        "kills one half way, and compares the text with that of one node.\n\n"
        "Example:\n"
        "  kwaai demo --seed 7 --prompt \"Write a poem about the sea.\"");
    return [flags] {
        Interrupts interrupts;
        const auto status = demo(*flags, interrupts);
        return status ? *status : report(status.error());
    };
}

}  // namespace kwaai::cli
