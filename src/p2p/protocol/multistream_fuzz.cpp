// Scripts of chunks into a dialer and a listener: they end or wait, and what they say is in lines.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "p2p/protocol/multistream_state.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

// Each chunk has a byte of length in front.
Bytes next_chunk(Bytes& script) {
    const std::size_t wanted = std::to_integer<std::size_t>(script.front());
    script = script.subspan(1);
    const Bytes chunk = script.first(std::min(wanted, script.size()));
    script = script.subspan(chunk.size());
    return chunk;
}

void check_lines(Bytes output) {
    while (!output.empty()) {
        const auto line = read_multistream_line(output);
        require(line.has_value() && line->has_value());
        output = output.subspan((*line)->size);
    }
}

void converse(auto& state, Bytes script) {
    std::size_t said = state.take_output().size();
    while (!script.empty() && state.agreed() == nullptr) {
        const Bytes chunk = next_chunk(script);
        const Result<std::size_t> used = state.receive(chunk);
        const codec::Buffer output = state.take_output();
        check_lines(output);
        said += output.size();
        if (!used) break;
        require(*used == chunk.size() || state.agreed() != nullptr);
        require(*used <= chunk.size());
    }
    require(said <= 4096);
    if (state.agreed() != nullptr) require(is_protocol_id(*state.agreed()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Bytes script = std::as_bytes(std::span(data, size)).subspan(1);
    if (data[0] % 2 == 0) {
        MultistreamDialer dialer({"/a/1", "Class.method", std::string(1023, 'x')});
        converse(dialer, script);
    } else {
        const auto knows = [](std::string_view protocol) {
            return protocol.size() > 3;
        };
        MultistreamListener listener(knows, 32);
        converse(listener, script);
    }
    return 0;
}
