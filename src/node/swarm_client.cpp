#include "node/swarm_client.hpp"

#include <future>
#include <thread>
#include <utility>

namespace kwaai::node {

struct SwarmClient::Parts {
    ~Parts() {
        if (!thread.joinable()) return;
        loop.post([this] { node->stop(); });
        thread.join();
    }

    // On the thread: until stop(), or until it is known that it cannot begin.
    void run(std::promise<Result<>> started);

    io::Loop loop;
    std::unique_ptr<ClientNode> node;
    std::thread thread;
};

void SwarmClient::Parts::run(std::promise<Result<>> started) {
    bool is_ready = false;
    const auto on_ready = [&] {
        is_ready = true;
        started.set_value({});
    };
    Result<> ended = loop.run(node->run(on_ready));
    if (!is_ready) started.set_value(std::move(ended));
}

Result<std::unique_ptr<SwarmClient>> SwarmClient::start(ClientNodeOptions options) {
    auto parts = std::make_unique<Parts>();
    KWAAI_TRY(parts->node, ClientNode::make(parts->loop, std::move(options)));
    std::promise<Result<>> started;
    std::future<Result<>> outcome = started.get_future();
    parts->thread = std::thread([all = parts.get(), promise = std::move(started)]() mutable {
        all->run(std::move(promise));
    });
    KWAAI_CHECKED(outcome.get());
    return std::unique_ptr<SwarmClient>(new SwarmClient(std::move(parts)));
}

SwarmClient::SwarmClient(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

SwarmClient::~SwarmClient() = default;

engine::TextModel& SwarmClient::model() {
    return parts_->node->model();
}

}  // namespace kwaai::node
