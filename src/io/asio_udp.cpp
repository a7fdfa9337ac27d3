#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "io/asio_errors.hpp"
#include "io/loop.hpp"
#include "io/udp.hpp"

namespace kwaai::io {
namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

namespace {

constexpr std::size_t kReceiveBytes = 65'536;  // many packets of one sender, where the kernel joins
constexpr int kSocketBufferBytes = 4 << 20;    // asked for; the system may give less

asio::ip::address to_ip(const Endpoint& endpoint) {
    if (endpoint.is_v6) {
        asio::ip::address_v6::bytes_type bytes{};
        std::memcpy(bytes.data(), endpoint.ip.data(), bytes.size());
        return asio::ip::address_v6(bytes);
    }
    asio::ip::address_v4::bytes_type bytes{};
    std::memcpy(bytes.data(), endpoint.ip.data(), bytes.size());
    return asio::ip::address_v4(bytes);
}

Endpoint from_asio(const udp::endpoint& endpoint) {
    Endpoint made{.ip = {}, .port = endpoint.port(), .is_v6 = endpoint.address().is_v6()};
    if (made.is_v6) {
        const auto bytes = endpoint.address().to_v6().to_bytes();
        std::memcpy(made.ip.data(), bytes.data(), bytes.size());
    } else {
        const auto bytes = endpoint.address().to_v4().to_bytes();
        std::memcpy(made.ip.data(), bytes.data(), bytes.size());
    }
    return made;
}

// How large the packets are that the kernel has joined into one; 0 where it is one.
std::size_t joined_packet_bytes(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != IPPROTO_UDP || part->cmsg_type != UDP_GRO) continue;
        int size = 0;
        std::memcpy(&size, CMSG_DATA(part), sizeof size);
        return size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    return 0;
}

class AsioUdp final : public UdpSocket {
public:
    explicit AsioUdp(udp::socket socket) : socket_(std::move(socket)), buffer_(kReceiveBytes) {
        error_code ignored;
        local_ = from_asio(socket_.local_endpoint(ignored));
    }

    bool send(const Endpoint& to, Bytes bytes, std::size_t packet_bytes) override {
        udp::endpoint target(to_ip(to), to.port);
        if (bytes.size() <= packet_bytes) return send_as(target, bytes, 0);
        if (is_splitting_) {
            const bool is_sent = send_as(target, bytes, static_cast<std::uint16_t>(packet_bytes));
            if (is_splitting_) return is_sent;
        }
        while (!bytes.empty()) {
            const Bytes packet = bytes.first(std::min(packet_bytes, bytes.size()));
            // Those before it are on their way: what comes behind is lost, as packets are.
            if (!send_as(target, packet, 0)) break;
            bytes = bytes.subspan(packet.size());
        }
        return true;
    }

    Task<void> wait_writable() override {
        error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        co_await socket_.async_wait(udp::socket::wait_write, token);
        if (error == asio::error::operation_aborted && !is_closed_) throw_cancelled();
    }

    Task<Result<std::span<const Packet>>> receive() override {
        for (;;) {
            if (is_closed_) co_return fail(Errc::closed, "receiving packets: closed");
            if (take()) co_return std::span<const Packet>(packets_);
            error_code error;
            auto token = asio::redirect_error(asio::use_awaitable, error);
            co_await socket_.async_wait(udp::socket::wait_read, token);
            if (error == asio::error::operation_aborted && !is_closed_) throw_cancelled();
            if (error) co_return std::unexpected<Error>(to_error(error, "receiving packets"));
        }
    }

    void close() override {
        is_closed_ = true;
        error_code ignored;
        socket_.close(ignored);
    }

    [[nodiscard]] Endpoint local() const override { return local_; }

private:
    // False where there is no room now. What fails otherwise is lost.
    bool send_as(udp::endpoint& target, Bytes bytes, std::uint16_t packet_bytes) {
        iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> control{};
        msghdr message{};
        message.msg_name = target.data();
        message.msg_namelen = static_cast<socklen_t>(target.size());
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (packet_bytes != 0) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            cmsghdr* const header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = IPPROTO_UDP;
            header->cmsg_type = UDP_SEGMENT;
            header->cmsg_len = CMSG_LEN(sizeof packet_bytes);
            std::memcpy(CMSG_DATA(header), &packet_bytes, sizeof packet_bytes);
        }
        if (::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL) >= 0) return true;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return false;
        // A system or a device that does not split packets: they are sent one by one from now on.
        const bool is_refused = errno == EIO || errno == EINVAL || errno == EOPNOTSUPP;
        if (packet_bytes != 0 && is_refused) is_splitting_ = false;
        return true;
    }

    bool take() {
        udp::endpoint from;
        iovec part{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_name = from.data();
        message.msg_namelen = static_cast<socklen_t>(from.capacity());
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t count = ::recvmsg(socket_.native_handle(), &message, 0);
        if (count < 0)
            return false;  // also what an ICMP message left: it concerns one peer of many
        from.resize(message.msg_namelen);
        const std::size_t joined = joined_packet_bytes(message);
        const Endpoint sender = from_asio(from);
        Bytes rest = Bytes(buffer_).first(static_cast<std::size_t>(count));
        packets_.clear();
        do {
            const Bytes packet = joined == 0 ? rest : rest.first(std::min(joined, rest.size()));
            packets_.push_back({.from = sender, .bytes = packet});
            rest = rest.subspan(packet.size());
        } while (!rest.empty());
        return true;
    }

    udp::socket socket_;
    std::vector<std::byte> buffer_;
    std::vector<Packet> packets_;
    Endpoint local_;
    bool is_splitting_ = true;  // the kernel cuts what send() is given into packets
    bool is_closed_ = false;
};

void set(udp::socket& socket, int level, int name, int value) {
    // What is missing costs speed, or the detection of larger packets, not function.
    static_cast<void>(::setsockopt(socket.native_handle(), level, name, &value, sizeof value));
}

}  // namespace

Result<Endpoint> to_endpoint(const Address& address) {
    error_code error;
    const std::string& host = address.host == "localhost" ? std::string("127.0.0.1") : address.host;
    const asio::ip::address ip = asio::ip::make_address(host, error);
    if (error) return fail(Errc::invalid_argument, "\"" + address.host + "\" is no IP address");
    return from_asio(udp::endpoint(ip, address.port));
}

Address to_address(const Endpoint& endpoint) {
    return {.host = to_ip(endpoint).to_string(), .port = endpoint.port};
}

Result<std::unique_ptr<UdpSocket>> open_udp(Loop& loop, const Address& address) {
    const std::string doing = "cannot open UDP on " + io::to_string(address);
    KWAAI_TRY(const Endpoint wanted, to_endpoint(address));
    const udp::endpoint endpoint(to_ip(wanted), wanted.port);
    udp::socket socket(loop.context());
    error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error && wanted.is_v6) socket.set_option(asio::ip::v6_only(true), error);
    if (!error) socket.bind(endpoint, error);
    if (!error) socket.non_blocking(true, error);
    if (error) return std::unexpected<Error>(to_error(error, doing));
    set(socket, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
    set(socket, SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes);
    set(socket, IPPROTO_UDP, UDP_GRO, 1);
    if (wanted.is_v6)
        set(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    else
        set(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    return std::make_unique<AsioUdp>(std::move(socket));
}

}  // namespace kwaai::io
