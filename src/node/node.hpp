// A node: a model at work and the ports it is asked on. The composition root.
#pragma once
#include <memory>
#include <string>

#include "base/result.hpp"
#include "engine/engine.hpp"
#include "http/server.hpp"
#include "io/address.hpp"
#include "io/loop.hpp"

namespace kwaai::node {

/// All that can be set.
struct NodeOptions {
    std::string model_path;  // a GGUF file or a Hugging Face directory
    engine::EngineOptions engine;
    io::Address http{.host = "127.0.0.1", .port = 8080};  // port 0: the system chooses
    http::Limits http_limits;
    std::string version;  // of the program; part of "system_fingerprint"
};

/// Confined to the loop's thread; `loop` outlives it.
class Node {
public:
    /// Takes the port, so that a taken one is told before anything is loaded, then loads the model
    /// (blocks; connections wait meanwhile). Errors of io::listen_tcp and Engine::load.
    static Result<std::unique_ptr<Node>> start(io::Loop& loop, const NodeOptions& options);

    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    /// Nothing may be under way: run() has ended.
    ~Node();

    [[nodiscard]] const engine::TextModel& model() const;
    /// "http://127.0.0.1:8080", with the port that the system chose.
    [[nodiscard]] std::string url() const;

    /// Serves until stop() was called and all connections have ended. `Errc::io` when the listener
    /// fails. Cancellation ends it at once.
    io::Task<Result<>> run();
    /// Takes no more requests; those under way may go on for `grace`. Repeatable, the shorter grace
    /// counts.
    void stop(io::Duration grace);

private:
    struct Parts;
    explicit Node(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
