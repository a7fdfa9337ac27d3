#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "io/asio_errors.hpp"
#include "io/datagram.hpp"

namespace kwaai::io {
namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

namespace {

constexpr std::size_t kDatagramBytesMax = 9000;  // of an Ethernet with jumbo frames

class UdpGroup final : public MulticastSocket {
public:
    UdpGroup(udp::socket socket, udp::endpoint group, std::vector<asio::ip::address_v4> interfaces)
        : socket_(std::move(socket)),
          group_(std::move(group)),
          interfaces_(std::move(interfaces)) {}

    void send(Bytes bytes) override {
        for (const asio::ip::address_v4& interface : interfaces_) {
            error_code ignored;
            socket_.set_option(asio::ip::multicast::outbound_interface(interface), ignored);
            socket_.send_to(asio::buffer(bytes.data(), bytes.size()), group_, 0, ignored);
        }
    }

    Task<Result<Datagram>> receive() override {
        Datagram datagram;
        datagram.bytes.resize(kDatagramBytesMax);
        udp::endpoint from;
        error_code error;
        const auto buffer = asio::buffer(datagram.bytes);
        auto token = asio::redirect_error(asio::use_awaitable, error);
        const std::size_t count = co_await socket_.async_receive_from(buffer, from, token);
        if (error == asio::error::operation_aborted && !is_closed_) throw_cancelled();
        if (error) co_return std::unexpected<Error>(to_error(error, "receiving packets"));
        datagram.bytes.resize(count);
        datagram.from = {.host = from.address().to_string(), .port = from.port()};
        co_return datagram;
    }

    void close() override {
        is_closed_ = true;
        error_code ignored;
        socket_.close(ignored);
    }

private:
    udp::socket socket_;
    udp::endpoint group_;
    std::vector<asio::ip::address_v4> interfaces_;
    bool is_closed_ = false;
};

}  // namespace

Result<std::unique_ptr<MulticastSocket>> open_multicast(
    Loop& loop, const Address& group, const std::vector<std::string>& interfaces) {
    const std::string doing = "cannot join " + io::to_string(group);
    error_code error;
    const auto group_ip = asio::ip::make_address_v4(group.host, error);
    if (error) return std::unexpected<Error>(to_error(error, doing));
    udp::socket socket(loop.context());
    socket.open(udp::v4(), error);
    // Other programs of this machine are members, too.
    if (!error) socket.set_option(udp::socket::reuse_address(true), error);
    if (!error) socket.bind(udp::endpoint(group_ip, group.port), error);
    if (!error) socket.set_option(asio::ip::multicast::enable_loopback(true), error);
    if (!error) socket.non_blocking(true, error);
    if (error) return std::unexpected<Error>(to_error(error, doing));
    std::vector<asio::ip::address_v4> joined;
    for (const std::string& ip : interfaces) {
        error_code refused;
        const auto interface = asio::ip::make_address_v4(ip, refused);
        if (!refused)
            socket.set_option(asio::ip::multicast::join_group(group_ip, interface), refused);
        if (!refused) joined.push_back(interface);
    }
    if (joined.empty())
        return fail(Errc::unavailable, doing + ": no interface of this machine takes multicast");
    return std::make_unique<UdpGroup>(
        std::move(socket), udp::endpoint(group_ip, group.port), std::move(joined));
}

}  // namespace kwaai::io
