#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "io/asio_errors.hpp"
#include "io/dns_text.hpp"
#include "io/event.hpp"
#include "io/offload.hpp"
#include "io/tcp.hpp"

namespace kwaai::io {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kNameBytesMax = 253;  // of a DNS name
constexpr std::size_t kLookupsMax = 64;
constexpr std::size_t kAddressesMax = 16;
constexpr unsigned kTextThreads = 4;

// One look-up. Asio cannot interrupt the system's resolver: whoever waits may leave, what Asio
// holds of it stays until the system has answered.
struct Lookup {
    Event answered;
    bool is_answered = false;
    error_code error;
    std::vector<std::string> addresses;
};

// The same for TXT records, of which the system's answer blocks a thread. `records` and `answered`
// belong to the loop's thread.
struct TextLookup {
    Event answered;
    std::optional<Result<std::vector<std::string>>> records;
    std::atomic<bool> is_unwanted{false};
};

// Whoever waits for a look-up: when he leaves, one that has not begun does not begin.
class TextWaiter {
public:
    explicit TextWaiter(TextLookup& lookup) : lookup_(lookup) {}

    TextWaiter(const TextWaiter&) = delete;
    TextWaiter& operator=(const TextWaiter&) = delete;

    ~TextWaiter() { lookup_.is_unwanted = true; }

private:
    TextLookup& lookup_;
};

bool is_host_name(const std::string& name) {
    return !name.empty() && name.size() <= kNameBytesMax && name.find('\0') == std::string::npos;
}

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
    Resolver(Loop& loop, std::optional<Address> name_server)
        : loop_(loop), name_server_(std::move(name_server)), resolver_(loop.context()) {}

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

    /// Null where too many wait.
    std::shared_ptr<TextLookup> start_text(const std::string& name) {
        auto lookup = std::make_shared<TextLookup>();
        // It dies on the loop's thread, with its Event: the work keeps nothing of it.
        auto work = [&loop = loop_, lookup, name, server = name_server_]() mutable {
            Result<std::vector<std::string>> records = fail(Errc::cancelled, "nobody waits for it");
            if (!lookup->is_unwanted) records = look_up_text(name, server);
            loop.post([lookup = std::move(lookup), records = std::move(records)]() mutable {
                lookup->records = std::move(records);
                lookup->answered.notify_all();
            });
        };
        if (!text_threads_) text_threads_.emplace(kTextThreads, kLookupsMax);
        return text_threads_->submit(std::move(work)) ? lookup : nullptr;
    }

private:
    Loop& loop_;
    std::optional<Address> name_server_;
    tcp::resolver resolver_;
    std::shared_ptr<std::size_t> under_way_ = std::make_shared<std::size_t>(0);
    std::optional<WorkerThreads> text_threads_;  // from the first look-up on
};

TcpNetwork::TcpNetwork(Loop& loop, std::optional<Address> name_server)
    : loop_(loop), resolver_(std::make_unique<Resolver>(loop, std::move(name_server))) {}

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
    if (!is_host_name(name))
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

Task<Result<std::vector<std::string>>> TcpNetwork::resolve_text(std::string name) {
    if (!is_host_name(name))
        co_return fail(Errc::invalid_argument, "cannot look up a name that is no host name");
    const std::string doing = "cannot look up the TXT records of \"" + name + "\"";
    const std::shared_ptr<TextLookup> lookup = resolver_->start_text(name);
    if (lookup == nullptr)
        co_return fail(Errc::unavailable, doing + ": too many look-ups are under way");
    const TextWaiter waiter(*lookup);
    while (!lookup->records)
        co_await lookup->answered.wait();
    if (!*lookup->records) co_return forward_error(*lookup->records, doing);
    co_return std::move(**lookup->records);
}

}  // namespace kwaai::io
