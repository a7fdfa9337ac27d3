// What AutoNAT decides: whom to dial back, whom to ask next, and what answers amount to. Pure:
// `now` is passed in.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "io/clock.hpp"
#include "p2p/multiaddr.hpp"
#include "p2p/nat/address_state.hpp"
#include "p2p/nat/autonat_v2_wire.hpp"
#include "p2p/nat/request_limiter.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Sources: libp2p.md §1.17, go-libp2p's defaults.
struct AutonatLimits {
    // Server, v1
    RequestRate v1_rate{.total_max = 30, .per_peer_max = 3};
    std::size_t v1_dials_max = 8;  // addresses of one request
    // Server, v2
    RequestRate v2_rate{.total_max = 60, .per_peer_max = 12};
    RequestRate v2_data_rate{.total_max = 12, .per_peer_max = 12};  // that dial elsewhere
    std::size_t v2_per_peer_max = 2;                                // under way
    std::chrono::milliseconds v2_pause_max{3000};  // before a dial elsewhere, at random
    // Server, both
    std::size_t under_way_max = 16;
    std::chrono::milliseconds read_timeout{15000};  // the request and its data
    std::chrono::milliseconds serve_timeout{45000};
    /// Peers on private networks are dialled, too: for networks that reach nothing else.
    bool allows_private = false;

    // Client
    std::chrono::milliseconds ask_timeout{30000};
    std::chrono::milliseconds nonce_patience{5000};  // after the answer
    std::chrono::seconds first_probe{15};
    std::chrono::seconds probe_pause{5};     // between two requests
    std::chrono::seconds server_pause{60};   // before the same server is asked again
    std::chrono::minutes refused_pause{10};  // the same after it refused
    std::chrono::seconds retry{90};          // as long as nothing is certain
    std::chrono::minutes v1_refresh{15};     // once it is
    std::chrono::minutes v2_refresh{60};
    unsigned confidence_max = 3;             // v1: contrary answers that it takes to turn "no"
    unsigned v2_failures_needed = 3;         // in a row
    unsigned v2_servers_needed = 2;          // that they come from
    std::size_t servers_max = 256;           // remembered
    std::size_t fresh_connections_max = 64;  // opened by peers while a question is open
};

/// What a v1 server may dial for a peer at `observed`: the addresses that were asked for, at the
/// observed IP whatever IP they name, then the observed address itself. None where that peer came
/// over a relay or from where `allows_private` says no.
[[nodiscard]] std::vector<Multiaddr> v1_dialable(const Multiaddr& observed,
                                                 const std::vector<Multiaddr>& asked,
                                                 const AutonatLimits& limits);

struct V2Choice {
    std::size_t index = 0;
    Multiaddr address;
    bool costs_data = false;  // its IP is another than the observed one
};

/// The first address that a v2 server can dial for a peer at `observed`, if any: TCP, WebSocket or
/// QUIC at an IP address (what a name stands for may change between a check and the dial), no
/// relay, no private network.
[[nodiscard]] std::optional<V2Choice> v2_choice(const Multiaddr& observed,
                                                const std::vector<std::optional<Multiaddr>>& asked,
                                                const AutonatLimits& limits);

/// Who has been asked lately. Holds at most `servers_max`, the one asked longest ago makes room.
class AskedServers {
public:
    explicit AskedServers(const AutonatLimits& limits) : limits_(limits) {}

    /// The one of `servers` to ask now, that was asked longest ago or never; nothing where all have
    /// their pause.
    [[nodiscard]] std::optional<PeerId> choose(const std::vector<PeerId>& servers,
                                               io::TimePoint now) const;
    void asked(const PeerId& server, io::TimePoint now);
    void refused(const PeerId& server, io::TimePoint now);

    [[nodiscard]] std::size_t size() const { return not_before_.size(); }

private:
    void pause(const PeerId& server, io::TimePoint until);

    AutonatLimits limits_;
    std::map<PeerId, io::TimePoint> not_before_;
};

/// What v1's answers say about the node: "yes" is believed at once, since a dial that came through
/// proves it, "no" when it is said again and again.
class V1Verdict {
public:
    explicit V1Verdict(const AutonatLimits& limits) : limits_(limits) {}

    void answered(Reachability answer, io::TimePoint now);

    [[nodiscard]] Reachability verdict() const { return verdict_; }

    /// When to ask next.
    [[nodiscard]] io::TimePoint due() const { return due_; }

private:
    AutonatLimits limits_;
    Reachability verdict_ = Reachability::unknown;
    unsigned confidence_ = 0;
    io::TimePoint due_{};
};

/// What v2's answers say about each address: one nonce that came back proves it reachable;
/// unreachable it is after `v2_failures_needed` failures in a row, of `v2_servers_needed` servers.
class V2Verdicts {
public:
    explicit V2Verdicts(const AutonatLimits& limits) : limits_(limits) {}

    /// Which of `candidates` to ask about now: the first that is due. Forgets all that is no
    /// candidate any more.
    [[nodiscard]] std::optional<Multiaddr> next(const std::vector<Multiaddr>& candidates,
                                                io::TimePoint now);
    /// The verdict, where it is known now. `answer` unknown: the server could not tell.
    [[nodiscard]] Reachability answered(const Multiaddr& address,
                                        const PeerId& server,
                                        Reachability answer,
                                        io::TimePoint now);

private:
    struct Entry {
        unsigned failures = 0;
        std::set<PeerId> refuters;
        io::TimePoint due{};
    };

    AutonatLimits limits_;
    std::map<Multiaddr, Entry> entries_;
};

/// What a v2 server's answer amounts to, given whether the nonce came back over a connection that
/// was opened to us meanwhile.
[[nodiscard]] Reachability v2_outcome(const autonat_v2::DialResponse& response, bool is_nonce_back);

}  // namespace kwaai::p2p
