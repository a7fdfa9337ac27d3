#include "p2p/bounds/connection_manager.hpp"

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

using Keys = std::vector<ConnectionManager::Key>;

Limits small_limits() {
    Limits limits;
    limits.connections_low = 3;
    limits.connections_high = 5;
    limits.connections_max = 10;
    return limits;
}

/// Connections to ten peers, opened one a second, the last at `now`.
struct Crowd {
    explicit Crowd(const Limits& limits = small_limits()) : manager(limits) {}

    void open(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            manager.opened(&things[i], peer(i), now += 1s);
    }

    static PeerId peer(std::size_t index) {
        return make_identity(static_cast<unsigned char>(index));
    }

    ConnectionManager manager;
    std::array<int, 10> things{};
    io::TimePoint now{1h};
};

TEST_CASE("above the high mark the connections unused for longest go, down to the low mark") {
    Crowd crowd;
    crowd.open(5);
    crowd.now += 1h;
    CHECK(crowd.manager.to_close(crowd.now).empty());  // not above it
    crowd.manager.opened(&crowd.things[5], Crowd::peer(5), crowd.now);
    const Keys expected{&crowd.things[0], &crowd.things[1], &crowd.things[2]};
    CHECK(crowd.manager.to_close(crowd.now) == expected);
}

TEST_CASE("of those unused for less than the grace period only what is above the high mark goes") {
    const Limits limits = small_limits();
    Crowd crowd;
    crowd.open(6);
    const Keys first{&crowd.things[0]};
    CHECK(crowd.manager.to_close(crowd.now) == first);
    const io::TimePoint opened_second = crowd.now - 4s;
    const Keys both{&crowd.things[0], &crowd.things[1]};
    CHECK(crowd.manager.to_close(opened_second + limits.connection_grace) == both);
}

TEST_CASE("a connection with a stream stays, and is the last to go afterwards") {
    const Limits limits = small_limits();
    Crowd crowd;
    crowd.open(6);
    crowd.manager.stream_opened(&crowd.things[0], Direction::outbound);
    crowd.manager.stream_opened(&crowd.things[1], Direction::inbound);
    crowd.now += 1h;
    const Keys others{&crowd.things[2], &crowd.things[3], &crowd.things[4]};
    CHECK(crowd.manager.to_close(crowd.now) == others);
    crowd.manager.stream_closed(&crowd.things[0], Direction::outbound);
    CHECK(crowd.manager.to_close(crowd.now) == others);  // notices that it is unused now
    crowd.now += limits.connection_grace;
    CHECK(crowd.manager.to_close(crowd.now) == others);
    crowd.manager.closed(&crowd.things[2]);
    crowd.manager.opened(&crowd.things[2], Crowd::peer(2), crowd.now);
    const Keys with_it{&crowd.things[3], &crowd.things[4], &crowd.things[5]};
    CHECK(crowd.manager.to_close(crowd.now) == with_it);
}

TEST_CASE("a protected peer's connection stays while it has any tag") {
    Crowd crowd;
    crowd.open(6);
    crowd.now += 1h;
    crowd.manager.protect(Crowd::peer(0), "session");
    crowd.manager.protect(Crowd::peer(0), "kad");
    const Keys others{&crowd.things[1], &crowd.things[2], &crowd.things[3]};
    CHECK(crowd.manager.to_close(crowd.now) == others);
    CHECK(crowd.manager.unprotect(Crowd::peer(0), "kad"));
    CHECK(crowd.manager.to_close(crowd.now) == others);
    CHECK_FALSE(crowd.manager.unprotect(Crowd::peer(0), "session"));
    CHECK_FALSE(crowd.manager.is_protected(Crowd::peer(0)));
    CHECK(crowd.manager.to_close(crowd.now).front() == &crowd.things[0]);
}

TEST_CASE("where all places are taken, connections go on which only the peer has streams") {
    Crowd crowd;
    crowd.open(10);
    for (int& thing : crowd.things)
        crowd.manager.stream_opened(&thing, Direction::inbound);
    crowd.manager.stream_opened(&crowd.things[0], Direction::outbound);
    crowd.manager.protect(Crowd::peer(1), "relay");
    const Keys expected{&crowd.things[2]};
    CHECK(crowd.manager.to_close(crowd.now) == expected);
    crowd.manager.closed(&crowd.things[9]);
    CHECK(crowd.manager.to_close(crowd.now).empty());
}

TEST_CASE("expendable connections are the first to go, used or not a moment ago") {
    Crowd crowd;
    crowd.open(6);
    crowd.manager.set_expendable(&crowd.things[5], true);
    const Keys newest{&crowd.things[5]};
    CHECK(crowd.manager.to_close(crowd.now) == newest);
    crowd.now += 1h;
    crowd.manager.set_expendable(&crowd.things[3], true);
    const Keys before_others{&crowd.things[3], &crowd.things[5], &crowd.things[0]};
    CHECK(crowd.manager.to_close(crowd.now) == before_others);
    crowd.manager.protect(Crowd::peer(3), "session");
    crowd.manager.set_expendable(&crowd.things[5], false);
    const Keys as_others{&crowd.things[0], &crowd.things[1], &crowd.things[2]};
    CHECK(crowd.manager.to_close(crowd.now) == as_others);
}

TEST_CASE("so are those on which only the peer has streams, where all places are taken") {
    Crowd crowd;
    crowd.open(10);
    for (int& thing : crowd.things)
        crowd.manager.stream_opened(&thing, Direction::inbound);
    crowd.manager.set_expendable(&crowd.things[7], true);
    const Keys expected{&crowd.things[7]};
    CHECK(crowd.manager.to_close(crowd.now) == expected);
}

}  // namespace
}  // namespace kwaai::p2p
