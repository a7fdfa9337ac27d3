#include "testing/simulation.hpp"

#include "base/check.hpp"

namespace kwaai::testing {

void Simulation::run_to_end(io::Task<void> task) {
    constexpr std::size_t kWakesMax = 200'000'000;  // an hour of a thousand nodes has millions
    bool is_done = false;
    std::exception_ptr error;
    loop_.start(std::move(task), [&](std::exception_ptr thrown) {
        error = std::move(thrown);
        is_done = true;
    });
    for (std::size_t wakes = 0;; ++wakes) {
        loop_.poll();
        if (is_done) break;
        KWAAI_CHECK(wakes < kWakesMax, "the task of a simulation never ends");
        KWAAI_CHECK(clock_.wake_next(), "the task of a simulation waits for what can never happen");
    }
    KWAAI_CHECK(clock_.sleeper_count() == 0, "the task of a simulation left a sleeper behind");
    if (error) std::rethrow_exception(error);
}

io::Task<void> let_others_run(int rounds) {
    for (int i = 0; i < rounds; ++i)
        co_await io::yield();
}

}  // namespace kwaai::testing
