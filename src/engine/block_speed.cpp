#include "engine/block_speed.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

namespace kwaai::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kSteps = 8;
constexpr std::chrono::duration<double> kEnough{0.5};

Result<std::chrono::duration<double>> time_step(BlockBackend& backend, BlockStep step) {
    std::promise<Result<std::vector<float>>> answer;
    std::future<Result<std::vector<float>>> answered = answer.get_future();
    const Clock::time_point begin = Clock::now();
    backend.submit(std::move(step), [&answer](Result<std::vector<float>> rows) {
        answer.set_value(std::move(rows));
    });
    KWAAI_CHECKED(answered.get());
    return Clock::now() - begin;
}

Result<double> measure(BlockBackend& backend, SessionId session) {
    const std::vector<float> row(backend.config().hidden, 1);
    std::chrono::duration<double> spent{0};
    std::chrono::duration<double> best{0};
    for (std::uint32_t position = 0; position < kSteps && spent < kEnough; ++position) {
        KWAAI_TRY(const std::chrono::duration<double> taken,
                  time_step(backend,
                            {.session = session,
                             .start_position = position,
                             .token_count = 1,
                             .rows = row,
                             .hypo_ids = {}}));
        spent += taken;
        best = position == 0 ? taken : std::min(best, taken);
    }
    return 1 / std::max(best.count(), 1e-9);
}

}  // namespace

Result<double> measure_rows_per_second(BlockBackend& backend) {
    KWAAI_TRY(const SessionId session,
              backend.open({.batch = 1, .max_length = kSteps, .range = {}}));
    Result<double> speed = measure(backend, session);
    backend.close(session);
    return speed;
}

}  // namespace kwaai::engine
