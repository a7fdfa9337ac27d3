#include "petals/route.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace kwaai::petals {
namespace {

using namespace std::chrono_literals;

constexpr io::Duration kUnknownAnswer = 50ms;
constexpr io::Duration kAvoidFirst = 15s;
constexpr io::Duration kAvoidMax = 1h;
constexpr unsigned kDoublingsMax = 8;
// Avoided servers cost more than any number of others.
constexpr io::Duration kAvoidedExtra = 1h;

std::string to_text(inference::BlockRange range) {
    return std::to_string(range.begin) + ":" + std::to_string(range.end);
}

}  // namespace

std::size_t RouteTable::place_of(const p2p::PeerId& peer) const {
    const auto same = [&](const Entry& entry) {
        return entry.server.peer == peer;
    };
    return static_cast<std::size_t>(std::ranges::find_if(entries_, same) - entries_.begin());
}

RouteTable::Entry* RouteTable::find(const p2p::PeerId& peer) {
    const std::size_t place = place_of(peer);
    return place == entries_.size() ? nullptr : &entries_[place];
}

void RouteTable::set(const KnownServer& server) {
    if (Entry* const entry = find(server.peer); entry != nullptr) {
        entry->server = server;
        return;
    }
    if (entries_.size() < kServersMax) entries_.push_back({.server = server});
}

void RouteTable::remove(const p2p::PeerId& peer) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.server.peer == peer; });
}

void RouteTable::failed(const p2p::PeerId& peer, std::string why, io::TimePoint now) {
    Entry* const entry = find(peer);
    if (entry == nullptr) return;
    const io::Duration wait = kAvoidFirst * (1U << std::min(entry->failures, kDoublingsMax));
    entry->avoided_until = now + std::min(wait, kAvoidMax);
    entry->last_failure = std::move(why);
    ++entry->failures;
}

void RouteTable::answered(const p2p::PeerId& peer, std::optional<io::Duration> time) {
    Entry* const entry = find(peer);
    if (entry == nullptr) return;
    entry->failures = 0;
    entry->avoided_until = {};
    if (time) entry->answer = entry->answer ? (*entry->answer * 7 + *time) / 8 : *time;
}

std::optional<io::Duration> RouteTable::answer_time(const p2p::PeerId& peer) const {
    const std::size_t place = place_of(peer);
    return place == entries_.size() ? std::nullopt : entries_[place].answer;
}

std::optional<io::TimePoint> RouteTable::avoided_until(const p2p::PeerId& peer) const {
    const std::size_t place = place_of(peer);
    if (place == entries_.size() || entries_[place].failures == 0) return std::nullopt;
    return entries_[place].avoided_until;
}

std::vector<KnownServer> RouteTable::servers() const {
    std::vector<KnownServer> all;
    for (const Entry& entry : entries_)
        all.push_back(entry.server);
    return all;
}

bool RouteTable::has_alternative(const p2p::PeerId& peer,
                                 inference::BlockRange range,
                                 io::TimePoint now) const {
    return shortest(range, now, false, &peer).has_value();
}

// Blocks are a line, so the cheapest way to block b ends with some server's stretch [a, b): the
// least over all of them. A server is entered anywhere inside its blocks and left at their end or
// at the range's.
std::optional<std::vector<Hop>> RouteTable::shortest(inference::BlockRange range,
                                                     io::TimePoint now,
                                                     bool takes_avoided,
                                                     const p2p::PeerId* without) const {
    struct Way {
        io::Duration cost = io::Duration::max();
        const Entry* by = nullptr;
        std::uint32_t from = 0;
    };

    std::vector<Way> ways(range.count() + 1);
    ways[0].cost = io::Duration::zero();
    for (std::uint32_t begin = range.begin; begin < range.end; ++begin) {
        const io::Duration so_far = ways[begin - range.begin].cost;
        if (so_far == io::Duration::max()) continue;
        for (const Entry& entry : entries_) {
            const bool is_avoided = entry.failures > 0 && entry.avoided_until > now;
            if (is_avoided && !takes_avoided) continue;
            if (without != nullptr && entry.server.peer == *without) continue;
            if (entry.server.range.begin > begin || entry.server.range.end <= begin) continue;
            const std::uint32_t end = std::min(entry.server.range.end, range.end);
            const io::Duration cost = so_far + entry.answer.value_or(kUnknownAnswer) +
                                      (is_avoided ? kAvoidedExtra : io::Duration::zero());
            Way& way = ways[end - range.begin];
            if (cost < way.cost) way = {.cost = cost, .by = &entry, .from = begin};
        }
    }
    if (ways.back().cost == io::Duration::max()) return std::nullopt;
    std::vector<Hop> hops;
    for (std::uint32_t end = range.end; end > range.begin;) {
        const Way& way = ways[end - range.begin];
        hops.push_back({.server = way.by->server, .range = {way.from, end}});
        end = way.from;
    }
    std::ranges::reverse(hops);
    return hops;
}

Result<std::vector<Hop>> RouteTable::choose(inference::BlockRange range,
                                            io::TimePoint now,
                                            bool takes_avoided) const {
    auto hops = shortest(range, now, false, nullptr);
    if (!hops && takes_avoided) hops = shortest(range, now, true, nullptr);
    if (hops) return std::move(*hops);
    return fail(Errc::unavailable, describe_gap(range, now));
}

std::string RouteTable::describe_gap(inference::BlockRange range, io::TimePoint now) const {
    std::string missing;
    std::string served;
    std::uint32_t begin = range.begin;
    while (begin < range.end) {
        const auto serves = [&](std::uint32_t block) {
            return std::ranges::any_of(entries_, [&](const Entry& entry) {
                const bool is_avoided = entry.failures > 0 && entry.avoided_until > now;
                return !is_avoided && entry.server.range.begin <= block &&
                       block < entry.server.range.end;
            });
        };
        if (serves(begin)) {
            ++begin;
            continue;
        }
        std::uint32_t end = begin + 1;
        while (end < range.end && !serves(end))
            ++end;
        missing += (missing.empty() ? "" : ", ") + to_text({begin, end});
        begin = end;
    }
    for (const Entry& entry : entries_) {
        served += (served.empty() ? "" : "; ") + entry.server.peer.short_text() + " serves " +
                  to_text(entry.server.range);
        if (entry.failures > 0 && entry.avoided_until > now)
            served += " but failed: " + entry.last_failure;
    }
    return "nobody serves blocks " + missing + " of " + to_text(range) + " (" +
           (served.empty() ? "no server is known" : served) + ")";
}

}  // namespace kwaai::petals
