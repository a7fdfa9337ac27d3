// Callers who do anything, in any order, while blocks compute: the server neither crashes nor
// hangs, and what they held is free when they have gone.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "petals/server_world_test.hpp"
#include "testing/script.hpp"

using namespace kwaai;
using namespace kwaai::petals;
using io::Task;
using testing::Script;

namespace {

constexpr std::size_t kCallers = 3;

codec::Buffer make_step(Script& script) {
    const std::uint8_t shape = script.next();
    const std::uint8_t keys = script.next();
    AskedStep step;
    step.batch = 1 + shape % 3;
    step.tokens = shape / 3 % 9;
    if ((keys & 1) != 0) step = std::move(step).with("max_length", script.next());
    if ((keys & 2) != 0) step = std::move(step).with("start_from_position", script.next() % 16);
    if ((keys & 4) != 0) step = std::move(step).with("alloc_timeout", script.next());
    if ((keys & 8) != 0)
        step = std::move(step).with("step_id", std::string(1, static_cast<char>(script.next())));
    if ((keys & 16) != 0) step = std::move(step).with("session_id", std::string("s"));
    if ((keys & 32) != 0) step.uid = "m.3 m.4";
    if ((keys & 64) != 0) {
        const std::vector<float> values(4 * 4, 1.0F);
        step.more_tensors = {
            hivemind::make_tensor({4, 1, 1, 4}, values, hivemind::WireType::float32)};
    }
    if ((keys & 128) != 0) {
        const std::vector<std::int64_t> ids(step.batch, script.next() % 4);
        step.more_tensors.resize(1, hivemind::make_dummy(hivemind::WireType::float32));
        step.more_tensors.push_back(hivemind::make_int_tensor({step.batch}, ids));
    }
    return encode_request(std::move(step));
}

Task<void> send(p2p::Stream& stream, codec::Buffer bytes) {
    const Bytes view(bytes);
    auto writing = stream.write(std::span(&view, 1));
    (void)co_await std::move(writing);  // the server may have ended the call
}

Task<void> send_message(p2p::Stream& stream, codec::Buffer message) {
    const auto header = hivemind::encode_frame_header(hivemind::FrameKind::message, message.size());
    codec::Buffer frame = codec::to_buffer(header);
    codec::append(frame, message);
    co_await send(stream, std::move(frame));
}

Task<void> play(FakeWorld& world, Script script) {
    std::array<std::unique_ptr<p2p::Stream>, kCallers> callers;
    for (int deeds = 0; deeds < 64 && !script.is_empty(); ++deeds) {
        const std::uint8_t deed = script.next();
        const std::size_t who = deed / 16 % kCallers;
        if (!callers[who])
            callers[who] = world.connect(kInferenceMethod, static_cast<unsigned char>(who));
        p2p::Stream& stream = *callers[who];
        switch (deed % 8) {
            case 0:
            case 1: co_await send_message(stream, make_step(script)); break;
            case 2: co_await send_message(stream, {}); break;
            case 3: co_await send(stream, hivemind::encode_error_frame("")); break;
            case 4: {
                const std::size_t count = script.next();
                co_await send_message(stream, codec::to_buffer(script.take(count)));
                break;
            }
            case 5: co_await world.simulation.clock().sleep_for(std::chrono::seconds(20)); break;
            case 6: callers[who].reset(); break;
            default:
                world.backend->is_holding = !world.backend->is_holding;
                if (!world.backend->is_holding) world.backend->release();
        }
        co_await testing::let_others_run(2);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint64_t kTokens = 512;
    static Bytes input;
    input = std::as_bytes(std::span(data, size));
    FakeWorld world(std::make_unique<FakeBackend>(kTokens),
                    {.prefix = "m", .version = "0", .rows = {}, .limits = {}});
    world.run([](FakeWorld& own) -> Task<void> { return play(own, Script(input)); });
    world.backend->release();
    world.simulation.loop().poll();
    if (world.service.session_count() != 0 || world.backend->session_count() != 0 ||
        world.backend->stats().kv_tokens_free != kTokens)
        std::abort();
    return 0;
}
