#include "p2p/protocol/perf.hpp"

#include <array>

#include <doctest/doctest.h>

#include "io/read_exactly.hpp"
#include "p2p/host_world_test.hpp"

namespace kwaai::p2p {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMib = 1 << 20;

std::array<std::byte, 8> head_of(std::uint64_t wanted) {
    std::array<std::byte, 8> head{};
    for (std::size_t i = 0; i < head.size(); ++i)
        head[i] = static_cast<std::byte>(wanted >> (56 - 8 * i));
    return head;
}

/// A stream to host 1 on which the head was sent, for `wanted` bytes.
io::Task<std::unique_ptr<Stream>> ask(HostWorld& world,
                                      std::uint64_t wanted,
                                      std::size_t from = 0) {
    const auto peer = co_await world.host(from).connect(world.address(1));
    REQUIRE(peer.has_value());
    auto stream = co_await world.host(from).open(*peer, kPerfProtocol);
    REQUIRE(stream.has_value());
    const std::array<std::byte, 8> head = head_of(wanted);
    const Bytes bytes(head);
    const Result<> written = co_await (*stream)->write(bytes);
    REQUIRE(written.has_value());
    co_return std::move(*stream);
}

io::Task<Result<std::size_t>> read_one(Stream& stream) {
    std::array<std::byte, 1> one{};
    const MutableBytes into(one);
    auto count = co_await stream.read_some(into);
    co_return count;
}

TEST_CASE("what is sent is counted, what is asked for comes, and the time is that of the wire") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const PerfServer server(world.host(1), world.clock(), PerfLimits());
        world.set_latency(50ms);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        std::uint64_t moved = 0;
        PerfRequest request{.upload_bytes = 3 * kMib + 1,
                            .download_bytes = 2 * kMib + 7,
                            .on_progress = [&moved](std::uint64_t count) {
                                moved = count;
                            }};
        const auto took = co_await measure_perf(
            world.host(0), world.clock(), PerfLimits(), *peer, std::move(request));
        REQUIRE(took.has_value());
        CHECK(moved == 5 * kMib + 8);
        CHECK(*took >= 100ms);  // one round trip at least
        CHECK(*took < 10s);

        PerfRequest nothing;
        const auto empty = co_await measure_perf(
            world.host(0), world.clock(), PerfLimits(), *peer, std::move(nothing));
        CHECK(empty.has_value());
    });
}

TEST_CASE("a peer that does not speak it is told apart") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        // More than a window: the refusal comes amid the upload of whoever does not wait for it.
        PerfRequest request{.upload_bytes = 4 * kMib, .download_bytes = 10, .on_progress = nullptr};
        const auto took = co_await measure_perf(
            world.host(0), world.clock(), PerfLimits(), *peer, std::move(request));
        REQUIRE_FALSE(took.has_value());
        CHECK(took.error().code == Errc::unsupported);
    });
}

TEST_CASE("more than the limit is not sent") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const PerfServer server(world.host(1), world.clock(), {.answer_bytes_max = 100});
        const auto stream = co_await ask(world, 101);
        const auto refused = co_await read_one(*stream);
        CHECK_FALSE(refused.has_value());

        const auto within = co_await ask(world, 100);
        const Result<> ended = co_await within->shutdown_write();
        REQUIRE(ended.has_value());
        std::array<std::byte, 100> zeros{};
        const MutableBytes into(zeros);
        const Result<> is_read = co_await io::read_exactly(*within, into);
        CHECK(is_read.has_value());
        const auto end = co_await read_one(*within);
        CHECK(end == 0);
    });
}

TEST_CASE("streams beyond a peer's share, and beyond all, are reset") {
    run_hosts(3, [](HostWorld& world) -> io::Task<void> {
        const PerfServer server(
            world.host(1), world.clock(), {.streams_max = 3, .streams_per_peer_max = 2});
        const auto first = co_await ask(world, 1);
        auto second = co_await ask(world, 1);
        const auto third = co_await ask(world, 1);
        const auto refused = co_await read_one(*third);
        CHECK_FALSE(refused.has_value());

        // The place of one that ended is free again.
        second.reset();
        co_await world.clock().sleep_for(1s);
        const auto fourth = co_await ask(world, 1);
        const auto fifth = co_await ask(world, 1, 2);
        const auto sixth = co_await ask(world, 1, 2);
        const auto beyond_all = co_await read_one(*sixth);
        CHECK_FALSE(beyond_all.has_value());
        const Result<> ended = co_await fourth->shutdown_write();
        REQUIRE(ended.has_value());
        const auto count = co_await read_one(*fourth);
        CHECK(count == 1);
    });
}

TEST_CASE("a peer that neither sends nor reads is given up") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        const PerfServer server(world.host(1), world.clock(), {.silence_max = 2s});
        const auto silent = co_await ask(world, 1);
        const io::TimePoint begin = world.clock().now();
        const auto cut = co_await read_one(*silent);
        CHECK_FALSE(cut.has_value());
        CHECK(world.clock().now() - begin < 3s);

        // It wants more than the window holds, and takes nothing.
        const auto greedy = co_await ask(world, 100 * kMib);
        const Result<> ended = co_await greedy->shutdown_write();
        REQUIRE(ended.has_value());
        co_await world.clock().sleep_for(5s);
        std::vector<std::byte> space(64 << 10);
        const MutableBytes into(space);
        std::uint64_t received = 0;
        while (true) {
            const auto count = co_await greedy->read_some(into);
            if (!count) break;
            REQUIRE(*count > 0);
            received += *count;
        }
        CHECK(received < 100 * kMib);
    });
}

io::Task<void> send_too_much(std::unique_ptr<Stream> stream) {
    std::array<std::byte, 64> bytes{};
    const MutableBytes head = MutableBytes(bytes).first(8);
    const Result<> is_read = co_await io::read_exactly(*stream, head);
    REQUIRE(is_read.has_value());
    const Bytes out(bytes);
    const Result<> written = co_await stream->write(out);
    REQUIRE(written.has_value());
    const Result<> ended = co_await stream->shutdown_write();
    REQUIRE(ended.has_value());
    stream->close();
}

TEST_CASE("a server that sends another number of bytes is found out") {
    run_hosts(2, [](HostWorld& world) -> io::Task<void> {
        world.host(1).handle(kPerfProtocol, send_too_much);
        const auto peer = co_await world.host(0).connect(world.address(1));
        REQUIRE(peer.has_value());
        for (const std::uint64_t wanted : {63, 65}) {
            PerfRequest request{.download_bytes = wanted, .on_progress = nullptr};
            const auto took = co_await measure_perf(
                world.host(0), world.clock(), PerfLimits(), *peer, std::move(request));
            REQUIRE_FALSE(took.has_value());
            CHECK(took.error().code == Errc::malformed);
        }
    });
}

}  // namespace
}  // namespace kwaai::p2p
