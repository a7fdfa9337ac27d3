#include "io/clock.hpp"

#include <vector>

#include <doctest/doctest.h>

#include "io/loop.hpp"

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
