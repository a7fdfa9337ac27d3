// The servers that a client knows: asks each who it is, and keeps asking those that do not answer.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "petals/route.hpp"
#include "petals/server_info.hpp"

namespace kwaai::petals {

/// Where a server is, and for a stock one which blocks it has.
struct PeerAddress {
    p2p::Multiaddr address;  // with /p2p
    std::optional<inference::BlockRange> blocks;
};

/// Reads "MULTIADDR" or "MULTIADDR=A:B". `Errc::invalid_argument` says what is missing.
[[nodiscard]] Result<PeerAddress> parse_peer_address(std::string_view text);

struct SwarmOptions {
    std::vector<PeerAddress> peers;
    /// Finds servers that nobody named; asked by connect(), and from then on after each find_pause.
    /// May be empty.
    std::function<io::Task<std::vector<PeerAddress>>()> find;
    std::string prefix;             // of stock servers' blocks
    std::uint32_t block_count = 0;  // of the model
    /// Of the client's own model file: servers of another one are refused. Nothing: not checked.
    std::optional<ModelDigest> digest;
    std::uint32_t arithmetic_id = 0;
    std::chrono::milliseconds answer_timeout{8000};
    std::chrono::milliseconds retry_pause{5000};
    std::chrono::milliseconds find_pause{15000};
    /// How long connect() goes on asking peers that are there but not ready: they load their
    /// blocks.
    std::chrono::milliseconds ready_timeout{60000};
    std::chrono::milliseconds ready_pause{200};
    std::chrono::milliseconds find_again_pause{1000};  // while servers are missing
    /// So many servers connect() would like, though every block has one already.
    std::size_t servers_min = 1;
    std::size_t found_max = 256;  // servers found and remembered
};

/// Confined to the loop's thread.
class Swarm {
public:
    /// @param on_note sentences for people: who joined, who was refused and why; may be empty
    Swarm(p2p::Host& host,
          io::Clock& clock,
          SwarmOptions options,
          std::function<void(const std::string&)> on_note);

    /// Asks all peers at once, those that are not ready again and again, and looks for further ones
    /// while blocks lack a server or there are fewer than servers_min. Succeeds when every block
    /// has a server and nobody's answer is outstanding; `Errc::unavailable` names the blocks
    /// without one and what each peer said.
    io::Task<Result<>> connect();

    /// Asks those that have not answered again and finds new ones, until cancelled.
    io::Task<void> run();

    [[nodiscard]] RouteTable& routes() { return routes_; }

private:
    struct Peer {
        PeerAddress address;
        bool is_known = false;
        bool is_refused = false;  // another model, or no server: not asked again
        bool is_loading = false;  // it is there, and says that it is not ready
        bool is_found = false;    // nobody named it
        std::string last_error;
    };

    static io::Task<void> ask_all(io::TaskGroup& group, Swarm& swarm);
    static io::Task<void> ask_loading(io::TaskGroup& group, Swarm& swarm);
    [[nodiscard]] bool has_enough(bool has_way) const;
    [[nodiscard]] bool is_to_wait(bool has_way) const;
    io::Task<void> find_peers();
    void take_found(std::vector<PeerAddress> found);
    io::Task<void> ask_and_note(std::size_t index);
    io::Task<Result<KnownServer>> ask(PeerAddress address);
    io::Task<Result<ServerInfo>> request_info(p2p::PeerId peer, std::string uid);
    [[nodiscard]] Result<KnownServer> judge(const p2p::PeerId& peer,
                                            const PeerAddress& address,
                                            const ServerInfo& info);

    p2p::Host& host_;
    io::Clock& clock_;
    SwarmOptions options_;
    std::function<void(const std::string&)> on_note_;
    RouteTable routes_;
    std::vector<Peer> peers_;
};

}  // namespace kwaai::petals
