// Any bytes as frames, in pieces of any size: the same frames come out as in one piece, and memory
// stays near what has arrived. The first byte of the input says how large the pieces are.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "hivemind/rpc_wire.hpp"

namespace {

using namespace kwaai;

constexpr std::size_t kPayloadMax = std::size_t{1} << 20;

struct Outcome {
    std::vector<hivemind::Frame> frames;
    bool is_broken = false;
    bool is_between_frames = false;
};

Outcome read_all(Bytes bytes, std::size_t step) {
    hivemind::FrameReader reader(kPayloadMax);
    Outcome outcome;
    std::size_t arrived = 0;
    while (!bytes.empty() && !outcome.is_broken) {
        const MutableBytes space = reader.space();
        if (space.empty() || reader.memory() > std::max(std::size_t{64} << 10, 2 * arrived))
            std::abort();
        const std::size_t count = std::min({step, space.size(), bytes.size()});
        std::copy_n(bytes.begin(), count, space.begin());
        bytes = bytes.subspan(count);
        arrived += count;
        const Result<bool> is_whole = reader.advance(count);
        outcome.is_broken = !is_whole;
        if (is_whole && *is_whole) outcome.frames.push_back(reader.take());
    }
    outcome.is_between_frames = !outcome.is_broken && reader.is_between_frames();
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Bytes bytes = std::as_bytes(std::span(data, size)).subspan(1);
    const Outcome whole = read_all(bytes, bytes.size());
    const Outcome pieces = read_all(bytes, std::size_t{data[0]} + 1);
    if (whole.is_broken != pieces.is_broken || whole.frames.size() != pieces.frames.size() ||
        whole.is_between_frames != pieces.is_between_frames)
        std::abort();
    codec::Buffer again;
    for (std::size_t i = 0; i < whole.frames.size(); ++i) {
        const hivemind::Frame& frame = whole.frames[i];
        if (frame.kind != pieces.frames[i].kind || frame.payload != pieces.frames[i].payload)
            std::abort();
        codec::append(again, hivemind::encode_frame_header(frame.kind, frame.payload.size()));
        codec::append(again, frame.payload);
        const Result<std::string> text = hivemind::decode_error_text(frame.payload);
        if (text && text->size() > 4096) std::abort();
    }
    if (!std::ranges::equal(again, bytes.first(again.size()))) std::abort();
    return 0;
}
