// Any text: what parses must read back the same after it was written.
#include <cstdlib>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "json/document.hpp"
#include "json/writer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kwaai;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto document = json::parse(text);
    if (!document) {
        if (document.error().context.empty() || !is_utf8(document.error().context)) std::abort();
        return 0;
    }
    json::Writer writer;
    writer.value(document->root());
    const std::string first = writer.take();
    if (!is_utf8(first)) std::abort();
    const auto again = json::parse(first);
    if (!again) std::abort();
    writer.value(again->root());
    if (writer.take() != first) std::abort();
    return 0;
}
