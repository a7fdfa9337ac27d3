#include "cli/route_report.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace kwaai::cli {
namespace {

bool is_same_route(const std::vector<HopTimes>& route, const RouteReport::Hops& hops) {
    return std::ranges::equal(route, hops, [](const HopTimes& known, const auto& hop) {
        return known.peer == hop.hop.server.peer.to_text() &&
               known.range.begin == hop.hop.range.begin && known.range.end == hop.hop.range.end;
    });
}

std::vector<HopTimes> begin_route(const RouteReport::Hops& hops) {
    std::vector<HopTimes> route;
    for (const auto& hop : hops)
        route.push_back(
            {.peer = hop.hop.server.peer.to_text(), .range = hop.hop.range, .milliseconds = {}});
    return route;
}

}  // namespace

double HopTimes::median() const {
    if (milliseconds.empty()) return 0;
    std::vector<double> sorted = milliseconds;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
}

void RouteReport::step(const Hops& hops) {
    const std::scoped_lock lock(mutex_);
    ++steps_;
    // A new route's first step computes a whole prefix again, as the first one reads the prompt.
    if (routes_.empty() || !is_same_route(routes_.back(), hops)) {
        routes_.push_back(begin_route(hops));
        return;
    }
    for (std::size_t index = 0; index < hops.size(); ++index) {
        const std::chrono::duration<double, std::milli> time = hops[index].last_step;
        routes_.back()[index].milliseconds.push_back(time.count());
    }
}

void RouteReport::reset() {
    const std::scoped_lock lock(mutex_);
    steps_ = 0;
    routes_.clear();
}

std::size_t RouteReport::steps() const {
    const std::scoped_lock lock(mutex_);
    return steps_;
}

std::vector<std::vector<HopTimes>> RouteReport::routes() const {
    const std::scoped_lock lock(mutex_);
    return routes_;
}

void write_route(json::Writer& out, const std::vector<HopTimes>& route) {
    out.begin_array();
    for (const HopTimes& hop : route) {
        out.begin_object().member("peer", hop.peer);
        out.member("begin", hop.range.begin).member("end", hop.range.end);
        out.member("steps", hop.milliseconds.size()).member("median_ms", hop.median()).end();
    }
    out.end();
}

std::string route_for_people(const std::vector<HopTimes>& route) {
    std::string text;
    for (const HopTimes& hop : route) {
        if (!text.empty()) text += " > ";
        const std::string_view peer = hop.peer;
        text += fmt::format("{} {}:{}",
                            peer.substr(peer.size() - std::min<std::size_t>(peer.size(), 6)),
                            hop.range.begin,
                            hop.range.end);
        if (!hop.milliseconds.empty()) text += fmt::format(" {:.2f} ms", hop.median());
    }
    return text;
}

}  // namespace kwaai::cli
