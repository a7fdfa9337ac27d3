// The inside of SimNetwork: a host's UDP socket.
#pragma once
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "io/event.hpp"
#include "io/udp.hpp"
#include "testing/sim_host.hpp"

namespace kwaai::testing {

/// Packets travel as the link says, beside each other: jitter changes their order. Those that are
/// lost, meet a cut or find the receiver's queue full are gone. A packet takes as long as its size
/// says where the link has a limit, whose queue holds what leaves in 100 ms.
class SimUdp final : public io::UdpSocket {
public:
    SimUdp(std::shared_ptr<SimWorld> world, HostIndex host, const io::Endpoint& address);

    ~SimUdp() override { SimUdp::close(); }

    bool send(const io::Endpoint& to, Bytes bytes, std::size_t packet_bytes) override;
    io::Task<void> wait_writable() override;
    io::Task<Result<std::span<const io::Packet>>> receive() override;
    void close() override;

    [[nodiscard]] io::Endpoint local() const override { return address_; }

private:
    struct Arrived {
        io::Endpoint from;
        std::vector<std::byte> bytes;
    };

    void send_packet(const io::Endpoint& to, Bytes bytes);
    void arrive(const io::Endpoint& from, std::vector<std::byte> bytes);

    std::shared_ptr<SimWorld> world_;
    HostIndex host_;
    io::Endpoint address_;
    CounterRandom random_;
    std::deque<Arrived> queue_;
    std::vector<Arrived> taken_;
    std::vector<io::Packet> packets_;
    io::Event changed_;
    bool is_closed_ = false;
};

}  // namespace kwaai::testing
