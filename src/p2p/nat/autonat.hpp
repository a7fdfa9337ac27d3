// AutoNAT whole: both versions, asking and answering.
#pragma once
#include <functional>

#include "io/network.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/nat/autonat_client.hpp"
#include "p2p/nat/autonat_server.hpp"
#include "p2p/nat/dial_back.hpp"

namespace kwaai::p2p {

struct AutonatOptions {
    HostOptions dialler;  // of the second host, with an identity of its own
    AutonatLimits limits;
    DialBackLimits dial_back;
};

/// What a node runs. Confined to the loop's thread.
class Autonat {
public:
    /// All outlive it, and the host's run() has ended before.
    Autonat(io::Network& network,
            io::Clock& clock,
            Host& host,
            AddressManager& addresses,
            const AutonatOptions& options);

    /// Asks and answers until cancelled.
    io::Task<void> run();

    /// To ask by hand.
    [[nodiscard]] AutonatClient& client() { return client_; }

private:
    static io::Task<void> run_parts(io::TaskGroup& group, Autonat& self);

    DialBack dial_back_;
    AutonatServer server_;
    AutonatClient client_;
};

}  // namespace kwaai::p2p
