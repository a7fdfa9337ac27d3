#include "io/interfaces.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

namespace kwaai::io {
namespace {

constexpr std::size_t kInterfacesMax = 64;

std::optional<std::string> to_text(const ifaddrs& entry, IpFamily family) {
    if (entry.ifa_addr == nullptr || (entry.ifa_flags & IFF_UP) == 0) return std::nullopt;
    const int kind = entry.ifa_addr->sa_family;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* bytes = nullptr;
    if (kind == AF_INET && family != IpFamily::v6) {
        bytes = &reinterpret_cast<const sockaddr_in*>(entry.ifa_addr)->sin_addr;
    } else if (kind == AF_INET6 && family != IpFamily::v4) {
        const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&address)) return std::nullopt;
        bytes = &address;
    } else {
        return std::nullopt;
    }
    if (::inet_ntop(kind, bytes, text.data(), text.size()) == nullptr) return std::nullopt;
    return std::string(text.data());
}

}  // namespace

std::vector<std::string> interface_addresses(IpFamily family) {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return {};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(first, ::freeifaddrs);
    std::vector<std::string> loopback;
    std::vector<std::string> others;
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        const auto text = to_text(*entry, family);
        if (!text) continue;
        std::vector<std::string>& place =
            (entry->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : others;
        if (std::ranges::find(place, *text) == place.end()) place.push_back(*text);
    }
    loopback.insert(loopback.end(), others.begin(), others.end());
    loopback.resize(std::min(loopback.size(), kInterfacesMax));
    return loopback;
}

}  // namespace kwaai::io
