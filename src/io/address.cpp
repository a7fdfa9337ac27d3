#include "io/address.hpp"

#include <charconv>
#include <utility>

namespace kwaai::io {
namespace {

std::unexpected<Error> not_an_address(std::string_view text, std::string_view problem) {
    std::string message = "\"";
    message.append(text).append("\" is no address: ").append(problem);
    message += "; write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080";
    return fail(Errc::invalid_argument, std::move(message));
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return not_an_address(text, "it has no port");
    std::string_view host = text.substr(0, colon);
    const std::string_view port_text = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return not_an_address(text, "an IPv6 host needs brackets");
    }
    if (host.empty()) return not_an_address(text, "it has no host");

    std::uint16_t port = 0;
    const char* const end = port_text.data() + port_text.size();
    const auto [stop, error] = std::from_chars(port_text.data(), end, port);
    if (error != std::errc() || stop != end)
        return not_an_address(text, "its port is no number from 0 to 65535");
    return Address{.host = std::string(host), .port = port};
}

std::string to_string(const Address& address) {
    const bool is_v6 = address.host.find(':') != std::string::npos;
    const std::string host = is_v6 ? "[" + address.host + "]" : address.host;
    return host + ":" + std::to_string(address.port);
}

}  // namespace kwaai::io
