#include "node/node.hpp"

#include <ctime>

#include <sys/random.h>

#include "api/openai_routes.hpp"
#include "base/check.hpp"
#include "io/offload.hpp"
#include "io/tcp.hpp"

namespace kwaai::node {
namespace {

std::uint64_t system_random() {
    std::uint64_t bits = 0;
    KWAAI_CHECK(::getentropy(&bits, sizeof(bits)) == 0, "the system has random numbers");
    return bits;
}

/// Texts replay between programs of equal fingerprints: the arithmetic is part of it.
std::string fingerprint(const std::string& version, const engine::TextModel& model) {
    return "kwaai-" + version + "-a" + std::to_string(model.stats().arithmetic_id);
}

api::OpenaiOptions openai_options(const std::string& version, const engine::TextModel& model) {
    return {.fingerprint = fingerprint(version, model),
            .random_seed = system_random(),
            .unix_seconds = [] {
                return static_cast<std::int64_t>(std::time(nullptr));
            }};
}

}  // namespace

/// In the order in which each needs those before it.
struct Node::Parts {
    Parts(io::Loop& loop,
          std::unique_ptr<io::Listener> the_listener,
          std::unique_ptr<engine::TextModel> the_model,
          const NodeOptions& options)
        : listener(std::move(the_listener)),
          model(std::move(the_model)),
          routes({.model = *model, .loop = loop, .work = tokenizing},
                 openai_options(options.version, *model)),
          server(loop.clock(), routes, options.http_limits) {}

    std::unique_ptr<io::Listener> listener;
    io::WorkerThreads tokenizing{1};
    std::unique_ptr<engine::TextModel> model;
    api::OpenaiRoutes routes;
    http::Server server;
};

Result<std::unique_ptr<Node>> Node::start(io::Loop& loop, const NodeOptions& options) {
    KWAAI_TRY(auto listener, io::listen_tcp(loop, options.http));
    KWAAI_TRY(auto engine, engine::Engine::load(options.model_path, options.engine));
    auto parts = std::make_unique<Parts>(loop, std::move(listener), std::move(engine), options);
    return std::unique_ptr<Node>(new Node(std::move(parts)));
}

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Node::~Node() = default;

const engine::TextModel& Node::model() const {
    return *parts_->model;
}

std::string Node::url() const {
    return "http://" + parts_->listener->local_address();
}

io::Task<Result<>> Node::run() {
    return parts_->server.serve(*parts_->listener);
}

void Node::stop(io::Duration grace) {
    parts_->server.stop(grace);
}

}  // namespace kwaai::node
