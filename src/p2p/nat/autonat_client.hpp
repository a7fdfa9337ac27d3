// Asks other peers whether this node can be reached: AutoNAT v1 and v2.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_manager.hpp"
#include "p2p/nat/autonat_state.hpp"

namespace kwaai::p2p {

struct AutonatClientOptions {
    AutonatLimits limits;
    /// Random bytes for nonces; the system's where empty.
    std::function<void(MutableBytes)> random;
};

/// Asks connected peers that speak either protocol, now and then, and gives the verdicts to
/// `addresses`. What a peer claims counts only where a connection to us was opened meanwhile
/// (v1), over which the nonce came that only we and it know (v2). Confined to the loop's thread.
class AutonatClient {
public:
    /// `host`, `clock` and `addresses` outlive it, and the host's run() has ended before.
    AutonatClient(Host& host,
                  io::Clock& clock,
                  AddressManager& addresses,
                  AutonatClientOptions options);
    AutonatClient(const AutonatClient&) = delete;
    AutonatClient& operator=(const AutonatClient&) = delete;
    ~AutonatClient();

    /// Asks until cancelled.
    io::Task<void> run();

    /// Asks `server` once. `Errc::unavailable` where it refuses, errors of Host::open and of the
    /// protocol. Unknown: it could not tell, or claimed what did not happen.
    io::Task<Result<Reachability>> ask_v1(PeerId server, std::vector<Multiaddr> addresses);
    io::Task<Result<Reachability>> ask_v2(PeerId server, Multiaddr address);

private:
    class Question;
    io::Task<void> run_v1();
    io::Task<void> run_v2();
    static io::Task<void> run_both(io::TaskGroup& group, AutonatClient& self);
    [[nodiscard]] std::vector<PeerId> servers(const std::string& protocol) const;
    [[nodiscard]] std::vector<Multiaddr> asked_of_v1() const;
    io::Task<Result<Reachability>> exchange_v1(PeerId server, std::vector<Multiaddr> addresses);
    io::Task<Result<Reachability>> exchange_v2(PeerId server,
                                               Multiaddr address,
                                               std::uint64_t nonce);
    io::Task<Result<autonat_v2::DialResponse>> converse_v2(Stream& stream,
                                                           Multiaddr address,
                                                           std::uint64_t nonce);
    io::Task<Result<>> pay(Stream& stream, std::uint64_t bytes);
    io::Task<void> wait_for_connection();
    io::Task<void> wait_for_nonce(std::uint64_t nonce);
    io::Task<void> serve_dial_back(std::unique_ptr<Stream> stream);
    io::Task<Result<>> take_nonce(Stream& stream);
    [[nodiscard]] bool is_fresh(const Multiaddr& connection) const;

    Host& host_;
    io::Clock& clock_;
    AddressManager& addresses_;
    AutonatClientOptions options_;
    AskedServers asked_v1_;
    AskedServers asked_v2_;
    V1Verdict v1_;
    V2Verdicts v2_;
    std::size_t questions_ = 0;             // open ones
    std::vector<Multiaddr> fresh_;          // opened by peers since the first of them
    std::map<std::uint64_t, bool> nonces_;  // of open questions; whether it came back
    io::Event came_;                        // a fresh connection, a nonce
    std::shared_ptr<void> observing_;
};

}  // namespace kwaai::p2p
