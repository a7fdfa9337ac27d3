// Which nodes computed an answer, and how long each took.
#pragma once
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "inference/model.hpp"
#include "json/writer.hpp"
#include "petals/session.hpp"

namespace kwaai::cli {

/// A hop of a text's way, over all steps of one row in which it was part of it.
struct HopTimes {
    std::string peer;
    inference::BlockRange range;
    std::vector<double> milliseconds;  // of its steps, there and back

    [[nodiscard]] double median() const;
};

/// Thread-safe: a client's thread tells, ours asks.
class RouteReport {
public:
    using Hops = std::vector<petals::InferenceSession::HopReport>;

    /// A step has ended. The first of a text reads its prompt: its times are not kept.
    void step(const Hops& hops);
    /// Forgets all: another text begins.
    void reset();

    [[nodiscard]] std::size_t steps() const;
    /// Every route that the text took, in order: the last one is today's.
    [[nodiscard]] std::vector<std::vector<HopTimes>> routes() const;

private:
    mutable std::mutex mutex_;
    std::size_t steps_ = 0;
    std::vector<std::vector<HopTimes>> routes_;
};

/// An array of {peer, begin, end, steps, median_ms}.
void write_route(json::Writer& out, const std::vector<HopTimes>& route);

/// "a1b2c3 0:10 1.21 ms > d4e5f6 10:20 1.18 ms"; times where there are any.
[[nodiscard]] std::string route_for_people(const std::vector<HopTimes>& route);

}  // namespace kwaai::cli
