#include "io/clock.hpp"

#include <functional>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "io/loop.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using namespace std::chrono_literals;

namespace {

// Every look at it finds a later time, as with the machine's.
class MovingClock final : public io::Clock {
public:
    [[nodiscard]] io::TimePoint now() const override { return now_ += 1us; }

    io::Task<void> sleep_until(io::TimePoint deadline) override {
        deadlines.push_back(deadline);
        co_return;
    }

    std::unique_ptr<io::Alarm> call_at(io::TimePoint deadline,
                                       std::move_only_function<void()> /*fn*/) override {
        deadlines.push_back(deadline);
        return nullptr;
    }

    std::vector<io::TimePoint> deadlines;

private:
    mutable io::TimePoint now_{1h};
};

io::Task<void> rest(io::Clock& clock, io::Duration amount) {
    co_await clock.sleep_for(amount);
}

}  // namespace

TEST_CASE("sleeping until the end of time survives that time goes on meanwhile") {
    MovingClock clock;
    io::Loop loop;
    const io::Duration left = io::TimePoint::max() - clock.now();
    loop.run(rest(clock, left));
    loop.run(rest(clock, io::Duration::max()));
    loop.run(rest(clock, 1s));
    REQUIRE(clock.deadlines.size() == 3);
    CHECK(clock.deadlines[0] == io::TimePoint::max());
    CHECK(clock.deadlines[1] == io::TimePoint::max());
    CHECK(clock.deadlines[2] == io::TimePoint(1h) + 1s + 4us);
}

TEST_CASE("an alarm is called once, not before its time, and never when it is gone") {
    static const auto wait = [](io::Clock& clock, std::vector<int>& called) -> io::Task<void> {
        const io::TimePoint begin = clock.now();
        bool was_early = false;
        const auto kept = clock.call_after(2ms, [&] {
            was_early = clock.now() < begin + 2ms;
            called.push_back(1);
        });
        auto dropped = clock.call_after(1ms, [&] { called.push_back(2); });
        std::unique_ptr<io::Alarm> own;
        own = clock.call_after(3ms, [&] {
            own.reset();
            called.push_back(3);
        });
        dropped.reset();
        co_await clock.sleep_for(10ms);
        CHECK_FALSE(was_early);
    };
    std::vector<int> called;
    io::Loop loop;
    loop.run(wait(loop.clock(), called));
    CHECK(called == std::vector{1, 3});
    called.clear();
    testing::Simulation simulation;
    simulation.run(wait(simulation.clock(), called));
    CHECK(called == std::vector{1, 3});
}

TEST_CASE("an alarm that is due with another one that takes it back is not called") {
    static const auto wait = [](io::Clock& clock, int& calls) -> io::Task<void> {
        const io::TimePoint deadline = clock.now();
        std::unique_ptr<io::Alarm> second;
        const auto first = clock.call_at(deadline, [&] {
            ++calls;
            second.reset();
        });
        second = clock.call_at(deadline, [&] { ++calls; });
        co_await clock.sleep_for(5ms);
    };
    int calls = 0;
    io::Loop loop;
    loop.run(wait(loop.clock(), calls));
    CHECK(calls == 1);
    testing::Simulation simulation;
    simulation.run(wait(simulation.clock(), calls));
    CHECK(calls == 2);
}
