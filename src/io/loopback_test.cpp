// What needs the operating system: real sockets on loopback, real threads, a real signal. No test
// here depends on how long something takes.
#include <atomic>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "io/datagram.hpp"
#include "io/event.hpp"
#include "io/interfaces.hpp"
#include "io/loop.hpp"
#include "io/offload.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "io/timeout.hpp"
#include "testing/stream_conformance.hpp"

using namespace kwaai;
using namespace std::chrono_literals;
using io::Loop;
using io::Task;
using io::TaskGroup;

namespace {

const io::Address kLoopback{.host = "127.0.0.1", .port = 0};

template <bool kIsDialled>
Task<void> with_tcp_pair(Loop& loop, testing::StreamCaseBody body) {
    const auto listener = io::listen_tcp(loop, kLoopback);
    REQUIRE(listener.has_value());
    const Result<io::Address> address = io::parse_address((*listener)->local_address());
    REQUIRE(address.has_value());
    const auto dialled = co_await io::connect_tcp(loop, *address);
    REQUIRE(dialled.has_value());
    const auto accepted = co_await (*listener)->accept();
    REQUIRE(accepted.has_value());
    io::Stream& one = kIsDialled ? **dialled : **accepted;
    io::Stream& other = kIsDialled ? **accepted : **dialled;
    co_await body(loop, one, other);
}

}  // namespace

TEST_CASE("loopback: a TCP connection is a stream at both of its ends") {
    testing::check_system_stream_conformance(with_tcp_pair<true>);
    testing::check_system_stream_conformance(with_tcp_pair<false>);
}

TEST_CASE("loopback: a port in use, a foreign address and a refused connection are named") {
    Loop loop;
    const auto listener = io::listen_tcp(loop, kLoopback);
    REQUIRE(listener.has_value());
    const std::string address = (*listener)->local_address();
    const auto second = io::listen_tcp(loop, *io::parse_address(address));
    REQUIRE(!second.has_value());
    CHECK(second.error().code == Errc::unavailable);
    CHECK(second.error().context == "cannot listen on " + address + ": address already in use");

    const auto foreign = io::listen_tcp(loop, io::Address{.host = "192.0.2.1", .port = 0});
    REQUIRE(!foreign.has_value());
    CHECK(foreign.error().code == Errc::invalid_argument);
    const auto named = io::listen_tcp(loop, io::Address{.host = "example.org", .port = 0});
    REQUIRE(!named.has_value());
    CHECK(named.error().code == Errc::invalid_argument);
    CHECK(named.error().context.contains("\"example.org\" is no IP address"));

    (*listener)->close();
    const auto refused = loop.run(io::connect_tcp(loop, *io::parse_address(address)));
    REQUIRE(!refused.has_value());
    CHECK(refused.error().code == Errc::unavailable);
    CHECK(refused.error().context == "cannot connect to " + address + ": connection refused");
}

TEST_CASE("loopback: closing ends a waiting accept with `closed`") {
    static const auto waiting_accept = [](io::Listener& listener) -> Task<void> {
        const auto accepted = co_await listener.accept();
        REQUIRE(!accepted.has_value());
        CHECK(accepted.error().code == Errc::closed);
    };
    static const auto body = [](TaskGroup& group, io::Listener& listener) -> Task<void> {
        group.spawn(waiting_accept, std::ref(listener));
        listener.close();
        co_return;
    };
    Loop loop;
    const auto listener = io::listen_tcp(loop, kLoopback);
    REQUIRE(listener.has_value());
    loop.run(io::with_group(body, std::ref(**listener)));
}

// Two members on this machine's first interface that takes multicast.
Task<void> hear_each_other(Loop& loop) {
    const std::vector<std::string> interfaces = io::interface_addresses(io::IpFamily::v4);
    const io::Address group{.host = "239.255.71.3", .port = 45353};  // of this site alone
    auto one = io::open_multicast(loop, group, interfaces);
    auto other = io::open_multicast(loop, group, interfaces);
    if (!one || !other) {
        MESSAGE("skipped: this machine has no multicast");
        co_return;
    }
    (*one)->send(as_bytes("here"));
    auto receiving = (*other)->receive();
    const auto heard =
        co_await io::with_timeout(loop.clock(), std::chrono::seconds(10), std::move(receiving));
    REQUIRE(heard.has_value());
    CHECK(as_text(heard->bytes) == "here");
    CHECK(heard->from.port == 45353);
    (*other)->close();
    const auto closed = co_await (*other)->receive();
    REQUIRE_FALSE(closed.has_value());
}

TEST_CASE("loopback: members of a multicast group hear each other") {
    Loop loop;
    loop.run(hear_each_other(loop));
    const auto named = io::open_multicast(loop, {.host = "no address", .port = 1}, {"127.0.0.1"});
    CHECK_FALSE(named.has_value());
    const auto nowhere = io::open_multicast(loop, {.host = "239.255.71.3", .port = 45353}, {});
    REQUIRE_FALSE(nowhere.has_value());
    CHECK(nowhere.error().code == Errc::unavailable);
}

TEST_CASE("threads: posts of other threads run on the loop's thread, in the order of each thread") {
    static const auto wait_for =
        [](io::Event& changed, const std::vector<int>& got, std::size_t count) -> Task<void> {
        while (got.size() < count)
            co_await changed.wait();
    };
    Loop loop;
    io::Event changed;
    std::vector<int> got;  // touched by the loop's thread alone
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 250; ++i)
                loop.post([&, t, i] {
                    got.push_back(t * 1000 + i);
                    changed.notify_all();
                });
        });
    loop.run(wait_for(changed, got, 1000));
    for (std::thread& thread : threads)
        thread.join();
    std::vector<int> next(4, 0);
    for (const int value : got) {
        const auto thread = static_cast<std::size_t>(value / 1000);
        CHECK(value % 1000 == next[thread]);
        ++next[thread];
    }
}

TEST_CASE("threads: offload computes elsewhere and goes on here") {
    static const auto body = [](io::WorkQueue& queue, std::thread::id here) -> Task<void> {
        for (int i = 0; i < 200; ++i) {
            std::thread::id there;
            auto work = [&there, i] {
                there = std::this_thread::get_id();
                return 2 * i;
            };
            const Result<int> doubled = co_await io::offload(queue, std::ref(work));
            REQUIRE(doubled.has_value());
            CHECK(*doubled == 2 * i);
            CHECK(there != here);
            CHECK(std::this_thread::get_id() == here);
        }
    };
    Loop loop;
    io::WorkerThreads workers(2);
    loop.run(body(workers, std::this_thread::get_id()));
}

namespace {

// Work that tells the loop when it has begun and ends when it may; what becomes of its caller.
struct Offloading {
    Loop loop;
    io::WorkerThreads workers{1};
    io::Event changed;
    bool has_begun = false;             // of the loop's thread
    std::atomic<bool> may_end = false;  // of the worker's
    std::string log;

    void let_end() {
        may_end = true;
        may_end.notify_all();
    }
};

Task<void> offload_and_log(Offloading& all) {
    struct Note {
        std::string& log;

        ~Note() { log += "unwound"; }
    };

    const Note note{all.log};
    std::string local = "worked, ";  // what the work refers to
    auto work = [&all, &local] {
        all.loop.post([&all] {
            all.has_begun = true;
            all.changed.notify_all();
        });
        all.may_end.wait(false);
        all.log += local;
    };
    (void)co_await io::offload(all.workers, std::ref(work));
    all.log += "not cancelled, ";
}

}  // namespace

TEST_CASE("threads: an offload whose caller is cancelled has ended before the caller unwinds") {
    static const auto body = [](TaskGroup& group, Offloading& all) -> Task<void> {
        group.spawn(offload_and_log, std::ref(all));
        while (!all.has_begun)
            co_await all.changed.wait();
        group.cancel();
        co_await all.loop.clock().sleep_for(1ms);
        CHECK(group.size() == 1);
        all.let_end();
    };
    Offloading all;
    all.loop.run(io::with_group(body, std::ref(all)));
    CHECK(all.log == "worked, unwound");
}

TEST_CASE("threads: work that has not begun when its caller is cancelled is skipped") {
    static const auto body = [](TaskGroup& group, Offloading& all) -> Task<void> {
        group.spawn(offload_and_log, std::ref(all));
        group.cancel();
        co_await all.loop.clock().sleep_for(1ms);
        all.let_end();
    };
    Offloading all;
    CHECK(all.workers.submit([&all] { all.may_end.wait(false); }));  // keeps the only thread
    all.loop.run(io::with_group(body, std::ref(all)));
    CHECK(all.log == "unwound");
    CHECK(!all.has_begun);
}

TEST_CASE("threads: a full queue refuses work, and what was accepted is done before the end") {
    const auto refused = [](io::WorkQueue& queue) -> Task<Errc> {
        auto work = [] {
            return 1;
        };
        const Result<int> result = co_await io::offload(queue, work);
        co_return result ? Errc::io : result.error().code;
    };
    std::atomic<bool> has_begun = false;
    std::atomic<bool> may_end = false;
    std::atomic<int> done = 0;
    {
        Loop loop;
        io::WorkerThreads workers(1, 2);
        CHECK(workers.submit([&] {
            has_begun = true;
            has_begun.notify_all();
            may_end.wait(false);
            ++done;
        }));
        has_begun.wait(false);
        CHECK(workers.submit([&] { ++done; }));
        CHECK(workers.submit([&] { ++done; }));
        CHECK(!workers.submit([&] { ++done; }));
        CHECK(loop.run(refused(workers)) == Errc::unavailable);
        may_end = true;
        may_end.notify_all();
    }
    CHECK(done == 3);
}

TEST_CASE("signals: an interrupt wakes the task that waits for it, and does not end the process") {
    static const auto body = [](io::Signals& signals) -> Task<int> {
        std::raise(SIGINT);
        const int number = co_await signals.next();
        co_return number;
    };
    Loop loop;
    io::Signals signals(loop);
    CHECK(loop.run(body(signals)) == SIGINT);
}
