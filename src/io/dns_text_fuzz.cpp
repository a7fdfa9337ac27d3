// Arbitrary bytes as a name server's answer: what is read from it keeps to the limits.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "io/dns_text.hpp"
#include "io/network.hpp"

using namespace kwaai;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto records = io::read_text_records(std::as_bytes(std::span(data, size)));
    if (!records) return 0;
    std::size_t total = 0;
    for (const std::string& record : *records)
        total += record.size();
    if (records->size() > io::kTextRecordsMax || total > size) std::abort();
    return 0;
}
