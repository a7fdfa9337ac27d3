#include "testing/stream_conformance.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"

using namespace std::chrono_literals;

namespace kwaai::testing {
namespace {

using io::Stream;
using io::Task;
using io::TaskGroup;

// Bytes that differ wherever one is lost, doubled or moved.
std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(random_bits(seed, i));
    return bytes;
}

Task<void> write_all(Stream& stream, std::vector<std::byte> bytes) {
    const Bytes part(bytes);
    const Result<> written = co_await stream.write(part);
    REQUIRE(written);
}

// Reads until `size` bytes have come, at most `piece` at a time.
Task<std::vector<std::byte>> read_all(Stream& stream, std::size_t size, std::size_t piece) {
    std::vector<std::byte> bytes(size);
    std::size_t done = 0;
    while (done < size) {
        const MutableBytes rest = MutableBytes(bytes).subspan(done, std::min(piece, size - done));
        const Result<std::size_t> count = co_await stream.read_some(rest);
        REQUIRE(count);
        REQUIRE(*count > 0);
        REQUIRE(*count <= rest.size());
        done += *count;
    }
    co_return bytes;
}

Task<void> expect(Stream& stream, std::vector<std::byte> expected, std::size_t piece) {
    const std::vector<std::byte> got = co_await read_all(stream, expected.size(), piece);
    const bool is_equal = got == expected;
    REQUIRE(is_equal);
}

Task<void> expect_end(Stream& stream) {
    std::array<std::byte, 16> buffer{};
    const MutableBytes into(buffer);
    const Result<std::size_t> count = co_await stream.read_some(into);
    REQUIRE(count);
    CHECK(*count == 0);
}

Task<void> expect_closed_read(Stream& stream, bool& is_done) {
    std::array<std::byte, 16> buffer{};
    const MutableBytes into(buffer);
    const Result<std::size_t> count = co_await stream.read_some(into);
    REQUIRE(!count);
    CHECK(count.error().code == Errc::closed);
    is_done = true;
}

Task<void> expect_closed_write(Stream& stream, std::size_t size, bool& is_done) {
    const std::vector<std::byte> bytes(size);
    const Bytes part(bytes);
    const Result<> written = co_await stream.write(part);
    REQUIRE(!written);
    CHECK(written.error().code == Errc::closed);
    is_done = true;
}

Task<void> spawn_transfer(
    TaskGroup& group, Stream& from, Stream& to, std::size_t size, std::size_t piece) {
    group.spawn(write_all, std::ref(from), pattern(size, size));
    group.spawn(expect, std::ref(to), pattern(size, size), piece);
    co_return;
}

Task<void> transfer(Stream& from, Stream& to, std::size_t size, std::size_t piece) {
    co_await io::with_group(spawn_transfer, std::ref(from), std::ref(to), size, piece);
}

Task<void> sizes(io::Clock&, Stream& a, Stream& b) {
    for (const std::size_t size : {1, 2, 11, 12, 13, 1000, 16384, 65519, 65536, 300000}) {
        co_await transfer(a, b, size, 1 << 20);
        co_await transfer(b, a, size, 1 << 20);
    }
}

Task<void> spawn_both_ways(TaskGroup& group, Stream& a, Stream& b) {
    co_await spawn_transfer(group, a, b, 3'000'001, 50'000);
    co_await spawn_transfer(group, b, a, 2'500'003, 1 << 20);
}

Task<void> both_ways(io::Clock&, Stream& a, Stream& b) {
    co_await io::with_group(spawn_both_ways, std::ref(a), std::ref(b));
}

Task<void> short_reads(io::Clock&, Stream& a, Stream& b) {
    co_await transfer(a, b, 5000, 1);
    co_await transfer(a, b, 50000, 7);
}

Task<void> many_small_writes(io::Clock&, Stream& a, Stream& b) {
    const std::vector<std::byte> all = pattern(3000, 5);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Bytes part = Bytes(all).subspan(i, 1);
        const Result<> written = co_await a.write(part);
        REQUIRE(written);
    }
    co_await expect(b, all, 4096);
}

Task<void> parts(io::Clock&, Stream& a, Stream& b) {
    const std::vector<std::byte> all = pattern(9000, 6);
    const Bytes bytes(all);
    const std::array<Bytes, 6> some = {
        Bytes(), bytes.first(1), Bytes(), bytes.subspan(1, 4999), bytes.subspan(5000), Bytes()};
    const std::span<const Bytes> list(some);
    const Result<> written = co_await a.write(list);
    REQUIRE(written);
    co_await expect(b, all, 4096);
}

Task<void> empty_writes(io::Clock&, Stream& a, Stream& b) {
    const std::array<Bytes, 2> nothing{};
    const std::span<const Bytes> list(nothing);
    const Result<> empty_parts = co_await a.write(list);
    CHECK(empty_parts);
    const std::span<const Bytes> none;
    const Result<> no_parts = co_await a.write(none);
    CHECK(no_parts);
    co_await transfer(a, b, 100, 100);
}

Task<void> half_close(io::Clock&, Stream& a, Stream& b) {
    co_await write_all(a, pattern(1000, 7));
    const Result<> shut = co_await a.shutdown_write();
    REQUIRE(shut);
    co_await expect(b, pattern(1000, 7), 333);
    co_await expect_end(b);
    co_await expect_end(b);
    co_await transfer(b, a, 400'000, 10'000);
    const Result<> shut_too = co_await b.shutdown_write();
    REQUIRE(shut_too);
    co_await expect_end(a);
    co_await expect_end(b);
}

Task<void> shut_while_reading(TaskGroup& group, Stream& writer, Stream& reader) {
    group.spawn(expect_end, std::ref(reader));
    co_await let_others_run();
    const Result<> shut = co_await writer.shutdown_write();
    CHECK(shut);
}

Task<void> end_wakes_read(io::Clock&, Stream& a, Stream& b) {
    co_await io::with_group(shut_while_reading, std::ref(a), std::ref(b));
}

Task<void> close_while_reading(TaskGroup& group, Stream& stream, bool& is_done) {
    group.spawn(expect_closed_read, std::ref(stream), std::ref(is_done));
    co_await let_others_run();
    CHECK(!is_done);
    stream.close();
}

Task<void> close_wakes_read(io::Clock&, Stream& a, Stream&) {
    bool is_done = false;
    co_await io::with_group(close_while_reading, std::ref(a), std::ref(is_done));
    CHECK(is_done);
}

Task<void> close_while_writing(TaskGroup& group, Stream& stream, bool& is_done) {
    group.spawn(expect_closed_write, std::ref(stream), std::size_t{64} << 20, std::ref(is_done));
    co_await let_others_run();
    CHECK(!is_done);
    stream.close();
}

Task<void> close_wakes_write(io::Clock&, Stream& a, Stream&) {
    bool is_done = false;
    co_await io::with_group(close_while_writing, std::ref(a), std::ref(is_done));
    CHECK(is_done);
}

Task<void> nothing_after_close(io::Clock&, Stream& a, Stream&) {
    a.close();
    a.close();
    bool is_read = false;
    bool is_written = false;
    co_await expect_closed_read(a, is_read);
    co_await expect_closed_write(a, 1, is_written);
    const Result<> shut = co_await a.shutdown_write();
    CHECK(!shut);
}

Task<void> written_before_close(io::Clock&, Stream& a, Stream& b) {
    co_await write_all(a, pattern(30'000, 8));
    co_await let_others_run();
    a.close();
    co_await expect(b, pattern(30'000, 8), 777);
}

Task<void> write_to_closed(io::Clock&, Stream& a, Stream& b) {
    b.close();
    co_await let_others_run();
    const std::vector<std::byte> bytes(100'000);
    const Bytes part(bytes);
    for (int i = 0; i < 100; ++i) {
        const Result<> written = co_await a.write(part);
        if (!written) {
            CHECK(written.error().code == Errc::closed);
            co_return;
        }
        co_await let_others_run();
    }
    FAIL("10 MB were written to a peer that has closed the stream");
}

Task<void> write_in_pieces(io::Clock& clock, Stream& stream, std::vector<std::byte> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const std::size_t count = std::min<std::size_t>(1 + done % 97, bytes.size() - done);
        const Bytes part = Bytes(bytes).subspan(done, count);
        const Result<> written = co_await stream.write(part);
        REQUIRE(written);
        done += count;
        co_await clock.sleep_for(7ms);
    }
}

Task<void> read_with_interruptions(io::Clock& clock, Stream& stream, std::size_t size) {
    const std::vector<std::byte> expected = pattern(size, 9);
    std::vector<std::byte> got;
    std::array<std::byte, 40> buffer{};
    int interruptions = 0;
    while (got.size() < expected.size()) {
        const MutableBytes into(buffer);
        Task<Result<std::size_t>> reading = stream.read_some(into);
        const Result<std::size_t> count = co_await io::with_timeout(clock, 2ms, std::move(reading));
        if (count) {
            got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<int>(*count));
        } else {
            REQUIRE(count.error().code == Errc::timed_out);
            ++interruptions;
        }
    }
    const bool is_equal = got == expected;
    CHECK(is_equal);
    CHECK(interruptions > 10);
}

Task<void> spawn_interrupted(TaskGroup& group, io::Clock& clock, Stream& a, Stream& b) {
    group.spawn(write_in_pieces, std::ref(clock), std::ref(a), pattern(4000, 9));
    group.spawn(read_with_interruptions, std::ref(clock), std::ref(b), std::size_t{4000});
    co_return;
}

Task<void> cancelled_reads(io::Clock& clock, Stream& a, Stream& b) {
    co_await io::with_group(spawn_interrupted, std::ref(clock), std::ref(a), std::ref(b));
}

struct StreamCase {
    const char* name;
    StreamCaseBody::Run body;
};

constexpr std::array kCases = {
    StreamCase{"bytes of any size arrive in order", sizes},
    StreamCase{"megabytes pass both ways at once", both_ways},
    StreamCase{"reads may be short", short_reads},
    StreamCase{"many small writes arrive in order", many_small_writes},
    StreamCase{"the parts of a write, empty ones too, arrive in order", parts},
    StreamCase{"writing nothing does nothing", empty_writes},
    StreamCase{"a half-closed stream reads to its end and writes on", half_close},
    StreamCase{"the end of what comes wakes a read", end_wakes_read},
    StreamCase{"close wakes a read", close_wakes_read},
    StreamCase{"close wakes a write", close_wakes_write},
    StreamCase{"nothing works after close", nothing_after_close},
    StreamCase{"what was written before close arrives", written_before_close},
    StreamCase{"a write fails soon after the peer has closed", write_to_closed},
    StreamCase{"a cancelled read loses no byte", cancelled_reads},
};

// The world is a Simulation, or a Loop.
template <class World, class WithThem>
Task<void> run_case(World& world, const WithThem& with_streams, StreamCaseBody body) {
    Task<void> task = with_streams(world, body);
    co_await std::move(task);
}

template <class World, class WithThem>
void check_all(const WithThem& with_streams) {
    for (const StreamCase& stream_case : kCases) {
        INFO(stream_case.name);
        World world;
        const StreamCaseBody body(stream_case.body);
        world.run(run_case(world, with_streams, body));
    }
}

}  // namespace

void check_stream_conformance(const WithStreams& with_streams) {
    check_all<Simulation>(with_streams);
}

void check_system_stream_conformance(const WithSystemStreams& with_streams) {
    check_all<io::Loop>(with_streams);
}

}  // namespace kwaai::testing
