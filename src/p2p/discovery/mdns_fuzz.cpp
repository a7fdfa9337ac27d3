// Arbitrary bytes as a DNS message: what is taken keeps to the limits and survives being written
// again, as far as our form of it can say it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "p2p/discovery/mdns_state.hpp"
#include "p2p/discovery/mdns_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

// Labels with dots inside are other names in our form.
bool is_plain(const std::string& name) {
    std::size_t label = 0;
    for (const char letter : name) {
        label = letter == '.' ? 0 : label + 1;
        if (label > 63) return false;
    }
    return name.find("..") == std::string::npos && !name.starts_with('.') && !name.ends_with('.');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    (void)mdns_peers(input);
    const auto message = decode_dns(input);
    if (!message) return 0;
    if (message->questions.size() > kDnsQuestionsMax || message->records.size() > kDnsRecordsMax)
        std::abort();
    for (const DnsQuestion& question : message->questions)
        if (!is_plain(question.name)) return 0;
    for (const DnsRecord& record : message->records)
        if (!is_plain(record.name) || !is_plain(record.target)) return 0;
    const auto again = decode_dns(encode_dns(*message));
    if (!again || again->records.size() != message->records.size() ||
        again->questions.size() != message->questions.size())
        std::abort();
    return 0;
}
