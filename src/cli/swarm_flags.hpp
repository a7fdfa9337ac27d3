// Flags about other nodes, and text through them or on this machine alone.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/flags.hpp"
#include "cli/route_report.hpp"
#include "engine/text_model.hpp"
#include "inference/model.hpp"
#include "node/swarm_client.hpp"
#include "p2p/kad/dht.hpp"
#include "petals/swarm.hpp"

namespace kwaai::cli {

/// Whose blocks are used, and how.
struct SwarmFlags {
    std::vector<std::string> peers;  // MULTIADDR or MULTIADDR=A:B
    bool finds_servers = false;
    std::vector<std::string> bootstrap;
    std::string kad_protocol = p2p::kad::kKadProtocol;
    bool finds_neighbours = false;  // by a flag of the verb's own
    std::string prefix;
    std::string rows = "f32";
    std::string tls_authorities;  // a file
};

/// `--peer --swarm --bootstrap --kad-protocol --prefix --rows --tls-authorities`. `flags` must
/// outlive the parse.
void add_swarm_flags(CLI::App& verb, SwarmFlags& flags);

/// `--tls-authorities`. `file` must outlive the parse.
void add_authorities_flag(CLI::App& verb, std::string& file);

/// `--kad-protocol`. `name` must outlive the parse.
void add_kad_protocol_flag(CLI::App& verb, std::string& name);

/// "A:B" with A below B. `Errc::invalid_argument` shows an example.
[[nodiscard]] Result<inference::BlockRange> parse_blocks(std::string_view text);

/// Errors of petals::parse_peer_address.
[[nodiscard]] Result<std::vector<petals::PeerAddress>> parse_peers(const SwarmFlags& flags);

/// Addresses of relays, with /p2p, that were given with `flag`. `Errc::invalid_argument`, also for
/// one that leads over another relay.
[[nodiscard]] Result<std::vector<p2p::Multiaddr>> parse_relays(
    const std::vector<std::string>& texts, const std::string& flag);

/// Addresses with /p2p. `Errc::invalid_argument` says what is wrong with one.
[[nodiscard]] Result<std::vector<p2p::Multiaddr>> parse_bootstrap(
    const std::vector<std::string>& texts);

/// What a client of a swarm is made of; what happens goes to `report`, which outlives it.
[[nodiscard]] Result<node::ClientNodeOptions> client_options(const EngineFlags& engine,
                                                             const SwarmFlags& swarm,
                                                             RouteReport& report);

/// A model at work: on this machine where no peers are named or to be found, else through them.
class OpenedModel {
public:
    /// Finds and loads the model, with a progress line on a terminal. Errors of find_model,
    /// Engine::load and SwarmClient::start.
    static Result<OpenedModel> open(const EngineFlags& engine, const SwarmFlags& swarm);

    [[nodiscard]] engine::TextModel& model() { return *model_; }

    /// To be called before each request: route() is about the one that follows.
    void begin_answer();
    /// Where the last answer came from, a line for stderr; empty where that is this machine.
    [[nodiscard]] std::string route() const;
    /// Member "route" of the object that `out` has open; nothing where that is this machine.
    void write_route(json::Writer& out) const;

private:
    OpenedModel() = default;

    // The client calls the report until it has ended.
    std::unique_ptr<RouteReport> report_;
    std::unique_ptr<node::SwarmClient> client_;
    std::unique_ptr<engine::TextModel> engine_;
    engine::TextModel* model_ = nullptr;
};

}  // namespace kwaai::cli
