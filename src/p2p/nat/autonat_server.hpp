// Dials back those who ask whether they can be reached: AutoNAT v1 and v2.
#pragma once
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/bounds/served_count.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/autonat_state.hpp"
#include "p2p/nat/autonat_v1_wire.hpp"
#include "p2p/nat/dial_back.hpp"

namespace kwaai::p2p {

struct AutonatServerOptions {
    AutonatLimits limits;
    /// Random bytes for what a dial elsewhere costs; the system's where empty.
    std::function<void(MutableBytes)> random;
    /// Whether an address is this node's own, which is not dialled. May be empty.
    std::function<bool(const Multiaddr&)> is_own;
};

/// Handles both protocols on `host` as long as it lives. Whoever asks cannot have us dial anybody
/// but himself for less than he pays: v1 dials the IP that he came from, v2 elsewhere only after
/// 30 to 100 kB from him. Confined to the loop's thread.
class AutonatServer {
public:
    /// `host`, `clock` and `dial_back` outlive it, and the host's run() has ended before.
    AutonatServer(Host& host, io::Clock& clock, DialBack& dial_back, AutonatServerOptions options);
    AutonatServer(const AutonatServer&) = delete;
    AutonatServer& operator=(const AutonatServer&) = delete;
    ~AutonatServer();

private:
    using Answer = io::Task<Result<>> (AutonatServer::*)(Stream& stream);

    io::Task<void> serve(std::unique_ptr<Stream> stream, Answer answer);
    io::Task<Result<>> answer_v1(Stream& stream);
    io::Task<autonat_v1::DialResponse> decide_v1(PeerId peer,
                                                 Multiaddr observed,
                                                 codec::Buffer request);
    io::Task<Result<>> answer_v2(Stream& stream);
    io::Task<Result<autonat_v2::DialResponse>> decide_v2(Stream& stream);
    io::Task<Result<>> take_payment(Stream& stream, std::uint32_t index);
    [[nodiscard]] bool has_room(const PeerId& peer, std::size_t per_peer_max) const;
    [[nodiscard]] bool is_own(const Multiaddr& address) const;
    [[nodiscard]] std::uint64_t random_below(std::uint64_t bound) const;

    Host& host_;
    io::Clock& clock_;
    DialBack& dial_back_;
    AutonatServerOptions options_;
    RequestLimiter v1_requests_;
    RequestLimiter v2_requests_;
    RequestLimiter v2_data_requests_;
    ServedCount under_way_;
};

}  // namespace kwaai::p2p
