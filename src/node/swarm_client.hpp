// A client of a swarm for programs that have no loop of their own.
#pragma once
#include <memory>

#include "base/result.hpp"
#include "engine/text_model.hpp"
#include "node/client_node.hpp"

namespace kwaai::node {

/// A ClientNode on a thread of its own; events are called on that thread.
class SwarmClient {
public:
    /// Blocks until every block of the model has a server. Errors of ClientNode::run.
    static Result<std::unique_ptr<SwarmClient>> start(ClientNodeOptions options);

    SwarmClient(const SwarmClient&) = delete;
    SwarmClient& operator=(const SwarmClient&) = delete;
    /// Cancels what is under way, says goodbye to the servers, joins.
    ~SwarmClient();

    [[nodiscard]] engine::TextModel& model();

private:
    struct Parts;
    explicit SwarmClient(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace kwaai::node
