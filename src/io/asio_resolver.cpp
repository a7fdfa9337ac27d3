#include <algorithm>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "io/asio_errors.hpp"
#include "io/event.hpp"
#include "io/tcp.hpp"

namespace kwaai::io {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kNameBytesMax = 253;  // of a DNS name
constexpr std::size_t kLookupsMax = 64;
constexpr std::size_t kAddressesMax = 16;

// One look-up. Asio cannot interrupt the system's resolver: whoever waits may leave, what Asio
// holds of it stays until the system has answered.
struct Lookup {
    Event answered;
    bool is_answered = false;
    error_code error;
    std::vector<std::string> addresses;
};

std::vector<std::string> to_addresses(const tcp::resolver::results_type& results) {
    std::vector<std::string> addresses;
    for (const auto& entry : results) {
        std::string address = entry.endpoint().address().to_string();
        if (std::ranges::find(addresses, address) != addresses.end()) continue;
        addresses.push_back(std::move(address));
        if (addresses.size() == kAddressesMax) break;
    }
    return addresses;
}

Error lookup_error(const error_code& code, std::string doing) {
    Error error = to_error(code, std::move(doing));
    const bool has_no_address = code == asio::error::host_not_found ||
                                code == asio::error::no_data ||
                                code == asio::error::address_family_not_supported;
    error.code = has_no_address ? Errc::not_found : Errc::unavailable;
    return error;
}

}  // namespace

class TcpNetwork::Resolver {
public:
    explicit Resolver(Loop& loop) : resolver_(loop.context()) {}

    [[nodiscard]] bool is_full() const { return *under_way_ >= kLookupsMax; }

    std::shared_ptr<Lookup> start(const std::string& name, IpFamily family) {
        auto lookup = std::make_shared<Lookup>();
        ++*under_way_;
        auto done = [lookup, under_way = under_way_](const error_code& error,
                                                     const tcp::resolver::results_type& results) {
            --*under_way;
            lookup->error = error;
            lookup->addresses = to_addresses(results);
            lookup->is_answered = true;
            lookup->answered.notify_all();
        };
        // Not only the families that this machine has: that is for the caller to try.
        const tcp::resolver::flags flags{};
        if (family == IpFamily::any)
            resolver_.async_resolve(name, std::string(), flags, std::move(done));
        else
            resolver_.async_resolve(family == IpFamily::v4 ? tcp::v4() : tcp::v6(),
                                    name,
                                    std::string(),
                                    flags,
                                    std::move(done));
        return lookup;
    }

private:
    tcp::resolver resolver_;
    std::shared_ptr<std::size_t> under_way_ = std::make_shared<std::size_t>(0);
};

TcpNetwork::TcpNetwork(Loop& loop) : loop_(loop), resolver_(std::make_unique<Resolver>(loop)) {}

TcpNetwork::~TcpNetwork() = default;

Task<Result<std::unique_ptr<Stream>>> TcpNetwork::connect(Address address) {
    return connect_tcp(loop_, std::move(address));
}

Task<Result<std::unique_ptr<Stream>>> TcpNetwork::connect_from(Address local, Address address) {
    return connect_tcp_from(loop_, std::move(local), std::move(address));
}

Result<std::unique_ptr<UdpSocket>> TcpNetwork::open_udp(const Address& address) {
    return io::open_udp(loop_, address);
}

Result<std::unique_ptr<Listener>> TcpNetwork::listen(const Address& address) {
    return listen_tcp(loop_, address);
}

Task<Result<std::vector<std::string>>> TcpNetwork::resolve(std::string name, IpFamily family) {
    if (name.empty() || name.size() > kNameBytesMax || name.find('\0') != std::string::npos)
        co_return fail(Errc::invalid_argument, "cannot look up a name that is no host name");
    const std::string doing = "cannot look up \"" + name + "\"";
    if (resolver_->is_full())
        co_return fail(Errc::unavailable, doing + ": too many look-ups are under way");
    const std::shared_ptr<Lookup> lookup = resolver_->start(name, family);
    while (!lookup->is_answered)
        co_await lookup->answered.wait();
    if (lookup->error) co_return std::unexpected<Error>(lookup_error(lookup->error, doing));
    if (lookup->addresses.empty()) co_return fail(Errc::not_found, doing + ": it has no address");
    co_return std::move(lookup->addresses);
}

}  // namespace kwaai::io
