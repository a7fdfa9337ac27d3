// The inside of SimNetwork: a host, what it listens on and what it is opening.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/event.hpp"
#include "io/network.hpp"
#include "testing/sim_flow.hpp"
#include "testing/sim_nat.hpp"

namespace kwaai::testing {

class SimUdp;

class SimListener final : public io::Listener {
public:
    SimListener(std::shared_ptr<SimWorld> world, HostIndex host, io::Address address);

    ~SimListener() override { SimListener::close(); }

    io::Task<Result<std::unique_ptr<io::Stream>>> accept() override {
        while (backlog_.empty() && !is_closed_)
            co_await changed_.wait();
        if (is_closed_)
            co_return fail(Errc::closed,
                           "accepting a connection on " + local_address() + ": closed");
        std::unique_ptr<io::Stream> next = std::move(backlog_.front());
        backlog_.pop_front();
        co_return next;
    }

    void close() override;

    [[nodiscard]] std::string local_address() const override { return io::to_string(address_); }

    /// Whether it takes what was sent to that address.
    [[nodiscard]] bool accepts(const std::string& host) const;

    [[nodiscard]] bool is_full() const;

    void push(std::unique_ptr<io::Stream> stream) {
        backlog_.push_back(std::move(stream));
        changed_.notify_all();
    }

private:
    std::shared_ptr<SimWorld> world_;
    HostIndex host_;
    io::Address address_;
    std::deque<std::unique_ptr<io::Stream>> backlog_;
    io::Event changed_;
    bool is_closed_ = false;
};

/// A connection that is being opened.
struct SimDial {
    io::Address local;
    io::Address remote;
    std::unique_ptr<io::Stream> stream;  // where the other end has opened the same one
    bool is_met = false;
    io::Event met;
};

class SimHost final : public io::Network {
public:
    SimHost(SimWorld& world, HostIndex index, std::string ip);

    io::Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address address) override;
    io::Task<Result<std::unique_ptr<io::Stream>>> connect_from(io::Address local,
                                                               io::Address address) override;
    Result<std::unique_ptr<io::Listener>> listen(const io::Address& address) override;
    Result<std::unique_ptr<io::UdpSocket>> open_udp(const io::Address& address) override;
    io::Task<Result<std::vector<std::string>>> resolve(std::string name,
                                                       io::IpFamily family) override;
    io::Task<Result<std::vector<std::string>>> resolve_text(std::string name) override;

    [[nodiscard]] const std::string& ip() const { return ip_; }

    /// Set by the SimNetwork; what it makes shares the world.
    std::weak_ptr<SimWorld> shared_world;
    std::map<std::uint16_t, SimListener*> listeners;
    std::map<std::uint16_t, SimUdp*> udp_sockets;
    SimNat* nat = nullptr;  // that it is behind

    /// Where a packet to an address goes, and as whom it comes there.
    struct Way {
        HostIndex target = 0;
        std::uint16_t port = 0;
        io::Address source;
        const SimNat* nat = nullptr;  // that it has to pass
    };

    /// Nothing where nobody is there.
    [[nodiscard]] std::optional<Way> way_to(const io::Address& local,
                                            const io::Address& to,
                                            bool is_udp);

private:
    class Dialling;

    io::Task<Result<std::unique_ptr<io::Stream>>> attempt(SimDial& dial);
    std::unique_ptr<io::Stream> arrive(SimDial& dial, const Way& way, bool& is_refused);
    [[nodiscard]] SimDial* dial_of(std::uint16_t port, const io::Address& remote) const;
    std::uint16_t choose_port();
    static io::Task<void> wait_until_met(SimDial& dial);

    SimWorld& world_;
    HostIndex index_;
    std::string ip_;
    std::vector<SimDial*> dials_;
    std::uint16_t next_port_;
};

}  // namespace kwaai::testing
