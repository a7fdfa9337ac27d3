#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "io/asio_errors.hpp"
#include "io/tcp.hpp"

namespace kwaai::io {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

std::string to_text(const tcp::endpoint& endpoint) {
    return io::to_string(Address{.host = endpoint.address().to_string(), .port = endpoint.port()});
}

Result<tcp::endpoint> to_endpoint(const Address& address, std::string_view doing) {
    error_code error;
    const std::string& host = address.host == "localhost" ? std::string("127.0.0.1") : address.host;
    const asio::ip::address ip = asio::ip::make_address(host, error);
    if (error)
        return fail(Errc::invalid_argument,
                    std::string(doing) + ": \"" + address.host +
                        "\" is no IP address; write for example 127.0.0.1, 0.0.0.0 or localhost");
    return tcp::endpoint(ip, address.port);
}

class TcpStream final : public Stream {
public:
    explicit TcpStream(tcp::socket socket) : socket_(std::move(socket)) {
        error_code ignored;
        const tcp::endpoint remote = socket_.remote_endpoint(ignored);
        peer_ = ignored ? "a peer that is gone" : to_text(remote);
        // Tokens are small and urgent: Nagle's algorithm would hold each back for a round trip.
        socket_.set_option(tcp::no_delay(true), ignored);
        socket_.set_option(tcp::socket::keep_alive(true), ignored);
    }

    Task<Result<std::size_t>> read_some(MutableBytes into) override {
        // Behind an end Asio would wait for more.
        if (is_at_end_ && !is_closed_) co_return std::size_t{0};
        error_code error;
        const asio::mutable_buffer buffer(into.data(), into.size());
        auto token = asio::redirect_error(asio::use_awaitable, error);
        const std::size_t count = co_await socket_.async_read_some(buffer, token);
        is_at_end_ = error == asio::error::eof;
        if (is_at_end_) co_return std::size_t{0};
        if (error) co_return failed(error, "reading from ");
        co_return count;
    }

    Task<Result<>> write(std::span<const Bytes> parts) override {
        error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        if (parts.size() == 1) {
            // What secures and muxes writes so, again and again: without a list on the heap.
            const asio::const_buffer buffer(parts.front().data(), parts.front().size());
            co_await asio::async_write(socket_, buffer, token);
        } else {
            std::vector<asio::const_buffer> buffers;
            buffers.reserve(parts.size());
            for (const Bytes part : parts)
                buffers.emplace_back(part.data(), part.size());
            co_await asio::async_write(socket_, buffers, token);
        }
        if (error) co_return failed(error, "writing to ");
        co_return Result<>();
    }

    Task<Result<>> shutdown_write() override {
        error_code error;
        socket_.shutdown(tcp::socket::shutdown_send, error);
        if (error) co_return failed(error, "closing the write side to ");
        co_return Result<>();
    }

    void close() override {
        is_closed_ = true;
        error_code ignored;
        socket_.close(ignored);
    }

    [[nodiscard]] std::string peer() const override { return peer_; }

private:
    // Asio reports our close() and our cancellation alike.
    std::unexpected<Error> failed(const error_code& error, const char* doing) const {
        if (error == asio::error::operation_aborted && !is_closed_) throw_cancelled();
        return std::unexpected<Error>(to_error(error, doing + peer_));
    }

    tcp::socket socket_;
    std::string peer_;
    bool is_at_end_ = false;  // the peer will send no more
    bool is_closed_ = false;
};

class TcpListener final : public Listener {
public:
    explicit TcpListener(tcp::acceptor acceptor) : acceptor_(std::move(acceptor)) {
        error_code ignored;
        local_address_ = to_text(acceptor_.local_endpoint(ignored));
    }

    Task<Result<std::unique_ptr<Stream>>> accept() override {
        error_code error;
        auto token = asio::redirect_error(asio::use_awaitable, error);
        tcp::socket socket = co_await acceptor_.async_accept(token);
        if (error == asio::error::operation_aborted && !is_closed_) throw_cancelled();
        if (error)
            co_return std::unexpected<Error>(
                to_error(error, "accepting a connection on " + local_address_));
        co_return std::make_unique<TcpStream>(std::move(socket));
    }

    void close() override {
        is_closed_ = true;
        error_code ignored;
        acceptor_.close(ignored);
    }

    [[nodiscard]] std::string local_address() const override { return local_address_; }

private:
    tcp::acceptor acceptor_;
    std::string local_address_;
    bool is_closed_ = false;
};

error_code open_acceptor(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (error) return error;
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (error) return error;
    // [::] means IPv6 only, everywhere: what 0.0.0.0 and [::] mean does not depend on the machine.
    if (endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    if (error) return error;
    acceptor.bind(endpoint, error);
    if (error) return error;
    acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return error;
    // Only now, for connections from this port: set earlier it would let two programs listen here.
    acceptor.set_option(ReusePort(true), error);
    return error;
}

error_code bind_beside_listener(tcp::socket& socket, const tcp::endpoint& local) {
    error_code error;
    socket.open(local.protocol(), error);
    if (!error) socket.set_option(tcp::socket::reuse_address(true), error);
    if (!error) socket.set_option(ReusePort(true), error);
    if (!error && local.address().is_v6()) socket.set_option(asio::ip::v6_only(true), error);
    if (!error) socket.bind(local, error);
    return error;
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const Address& address) {
    const std::string doing = "cannot listen on " + io::to_string(address);
    KWAAI_TRY(const tcp::endpoint endpoint, to_endpoint(address, doing));
    tcp::acceptor acceptor(loop.context());
    const error_code error = open_acceptor(acceptor, endpoint);
    if (error) return std::unexpected<Error>(to_error(error, doing));
    return std::make_unique<TcpListener>(std::move(acceptor));
}

Task<Result<std::unique_ptr<Stream>>> connect_tcp(Loop& loop, Address address) {
    const std::string doing = "cannot connect to " + io::to_string(address);
    KWAAI_CO_TRY(const tcp::endpoint endpoint, to_endpoint(address, doing));
    tcp::socket socket(loop.context());
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket.async_connect(endpoint, token);
    if (error == asio::error::operation_aborted) throw_cancelled();
    if (error) co_return std::unexpected<Error>(to_error(error, doing));
    co_return std::make_unique<TcpStream>(std::move(socket));
}

Task<Result<std::unique_ptr<Stream>>> connect_tcp_from(Loop& loop, Address local, Address address) {
    const std::string doing =
        "cannot connect from " + io::to_string(local) + " to " + io::to_string(address);
    KWAAI_CO_TRY(const tcp::endpoint from, to_endpoint(local, doing));
    KWAAI_CO_TRY(const tcp::endpoint endpoint, to_endpoint(address, doing));
    tcp::socket socket(loop.context());
    const error_code unbound = bind_beside_listener(socket, from);
    if (unbound) co_return fail(Errc::invalid_argument, doing + ": " + unbound.message());
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket.async_connect(endpoint, token);
    if (error == asio::error::operation_aborted) throw_cancelled();
    if (error == boost::system::errc::address_not_available ||
        error == boost::system::errc::address_in_use)
        co_return fail(Errc::invalid_argument, doing + ": " + error.message());
    if (error) co_return std::unexpected<Error>(to_error(error, doing));
    co_return std::make_unique<TcpStream>(std::move(socket));
}

}  // namespace kwaai::io
