// Finding peers on the local network, and being found there.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/clock.hpp"
#include "io/datagram.hpp"
#include "io/event.hpp"
#include "io/task.hpp"
#include "io/task_group.hpp"
#include "p2p/discovery/mdns_state.hpp"
#include "p2p/host.hpp"

namespace kwaai::p2p {

/// Where libp2p's mDNS speaks: IPv4 alone.
inline constexpr const char* kMdnsGroup = "224.0.0.251";
inline constexpr std::uint16_t kMdnsPort = 5353;

struct MdnsOptions {
    MdnsLimits limits;
    /// Random bytes for the name of this node; the system's where empty.
    std::function<void(MutableBytes)> random;
    /// A peer that says to be there, with its addresses (with /p2p); it was not reached. The host
    /// knows the addresses already.
    std::function<void(const PeerId& peer, const std::vector<Multiaddr>& addresses)> on_found;
};

/// Asks at first and now and then, and answers others with what the host tells. Confined to the
/// loop's thread.
class Mdns {
public:
    /// `host` and `clock` outlive it.
    Mdns(Host& host,
         io::Clock& clock,
         std::unique_ptr<io::MulticastSocket> socket,
         MdnsOptions options);

    /// Until cancelled, or until the socket fails.
    io::Task<void> run();

private:
    static io::Task<void> run_both(io::TaskGroup& group, Mdns& self);
    io::Task<void> ask();
    io::Task<void> answer_asked();
    void take(Bytes packet);
    [[nodiscard]] codec::Buffer answer() const;

    Host& host_;
    io::Clock& clock_;
    std::unique_ptr<io::MulticastSocket> socket_;
    MdnsOptions options_;
    MdnsState state_;
    std::string name_;
    bool is_asked_ = false;
    io::Event asked_;
};

}  // namespace kwaai::p2p
