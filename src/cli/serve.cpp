// kwaai serve: a model behind OpenAI's routes.
#include "cli/serve.hpp"

#include <chrono>
#include <csignal>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/flags.hpp"
#include "cli/model_locator.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "node/node.hpp"

namespace kwaai::cli {
namespace {

/// What requests under way may still take after the first Ctrl-C.
constexpr std::chrono::seconds kGrace{5};

struct ServeFlags {
    EngineFlags engine;
    std::string http = "127.0.0.1:8080";
};

io::Task<void> stop_on_signals(io::Signals& signals, node::Node& node) {
    const int first = co_await signals.next();
    static_cast<void>(first);
    write_note("\nStopping; answers under way have 5 seconds. Ctrl-C again ends them at once.\n");
    node.stop(kGrace);
    const int second = co_await signals.next();
    static_cast<void>(second);
    node.stop({});
}

io::Task<void> serve_beside(io::TaskGroup& group,
                            io::Signals& signals,
                            node::Node& node,
                            Result<>& ended) {
    group.spawn(stop_on_signals, std::ref(signals), std::ref(node));
    ended = co_await node.run();
    group.cancel();
}

void introduce(const node::Node& node, const io::Address& address) {
    const engine::TextModel& model = node.model();
    const bool can_chat = model.chat_template().has_value();
    write_note(fmt::format("{} ({} positions, {} threads, {}) answers there. Ctrl-C stops. Try:\n",
                           model.model_name(),
                           model.context(),
                           model.stats().threads,
                           model.stats().isa));
    write_note(fmt::format("  curl {}/v1/{} -d '{}'\n",
                           node.url(),
                           can_chat ? "chat/completions" : "completions",
                           can_chat
                               ? R"({"messages":[{"role":"user","content":"Hello"}],"stream":true})"
                               : R"({"prompt":"Once upon a time","max_tokens":64,"stream":true})"));
    if (!is_loopback(address)) {
        write_note(
            "Warning: other machines can reach this address, and whoever does may use the model: "
            "there are no passwords.\n");
    }
}

/// The error of a start, with what to do about a port that cannot be had.
Error advised(Error error) {
    if (error.code == Errc::unavailable)
        error.context += "; choose another port with --http HOST:PORT (0 lets the system choose)";
    return error;
}

Result<int> serve(const ServeFlags& flags) {
    // A client that closes its connection must not end the server.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    KWAAI_TRY(const io::Address address, io::parse_address(flags.http));
    KWAAI_TRY(const std::string path, find_model(flags.engine.model));
    io::Loop loop;
    node::NodeOptions options;
    options.model_path = path;
    options.http = address;
    options.version = KWAAI_VERSION;
    ProgressLine progress("loading");
    options.engine = engine_options(flags.engine, progress);
    auto started = node::Node::start(loop, options);
    progress.end();
    if (!started) return std::unexpected(advised(std::move(started).error()));
    const std::unique_ptr<node::Node> node = std::move(*started);
    // From here on: until now a signal simply ended the program.
    io::Signals signals(loop);
    KWAAI_CHECKED(write_out(node->url() + "\n"));
    introduce(*node, address);
    Result<> ended;
    loop.run(io::with_group(serve_beside, std::ref(signals), std::ref(*node), std::ref(ended)));
    if (!ended) return forward_error(ended);
    write_note("Stopped.\n");
    return kOk;
}

}  // namespace

bool is_loopback(const io::Address& address) {
    return address.host == "localhost" || address.host == "::1" || address.host.starts_with("127.");
}

Action add_serve(CLI::App& verb) {
    const auto flags = std::make_shared<ServeFlags>();
    add_engine_flags(verb, flags->engine);
    verb.add_option("--http", flags->http, "HOST:PORT to listen on; port 0 lets the system choose")
        ->capture_default_str();
    verb.footer(
        "Routes: POST /v1/chat/completions, POST /v1/completions, GET /v1/models, GET /health.\n"
        "The URL goes to stdout as soon as it answers, everything else to stderr.\n\n"
        "Examples:\n"
        "  kwaai serve\n"
        "  kwaai serve model.gguf --http [::1]:8081 --threads 4");
    return [flags] {
        const auto status = serve(*flags);
        return status ? *status : report(status.error());
    };
}

}  // namespace kwaai::cli
