// Text as a /dnsaddr address in its first line and, below, the records of one name after another,
// an empty line behind each: it ends, keeps to the limits and finds nothing but what was asked for.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "p2p/dnsaddr.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

std::string_view take_line(std::string_view& text) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text = as_text(std::as_bytes(std::span(data, size)));
    const auto address = Multiaddr::parse(take_line(text));
    if (!address || !is_dnsaddr(*address)) return 0;
    const Limits limits;
    DnsaddrState state(*address, limits);
    for (std::size_t asked = 0; state.name(); ++asked) {
        if (asked > limits.dnsaddr_addresses_max) std::abort();
        std::vector<std::string> records;
        for (auto line = take_line(text); !line.empty(); line = take_line(text))
            records.emplace_back(line);
        state.answered(records);
    }
    if (state.found().size() > limits.dnsaddr_addresses_max) std::abort();
    for (const Multiaddr& found : state.found()) {
        if (is_dnsaddr(found)) std::abort();
        if (address->peer() && found.peer() != address->peer()) std::abort();
    }
    return 0;
}
