#include "engine/compute_pool.hpp"

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace kwaai::engine {
namespace {

TEST_CASE("every index runs exactly once, for any number of threads") {
    for (const unsigned threads : {1U, 2U, 3U, 7U}) {
        ComputePool pool(threads);
        CHECK(pool.worker_count() == threads);
        for (const std::size_t count : {0UL, 1UL, 2UL, 5UL, 1000UL}) {
            std::vector<std::atomic<int>> runs(count);
            std::atomic<unsigned> largest_worker{0};
            pool.run(count, [&](std::size_t index, unsigned worker) {
                ++runs[index];
                if (worker > largest_worker) largest_worker = worker;
            });
            for (const auto& n : runs)
                CHECK(n == 1);
            CHECK(largest_worker < threads);
        }
    }
}

TEST_CASE("what a loop writes is visible after run returns, loop after loop") {
    ComputePool pool(4);
    std::vector<std::uint64_t> cells(64, 0);
    for (std::uint64_t round = 1; round <= 20000; ++round) {
        pool.run(cells.size(), [&](std::size_t index, unsigned) { cells[index] += round; });
        if (round % 1000 == 0) {
            const std::uint64_t sum = std::accumulate(cells.begin(), cells.end(), std::uint64_t{0});
            CHECK(sum == cells.size() * round * (round + 1) / 2);
        }
    }
}

TEST_CASE("a worker index is used by one thread at a time") {
    ComputePool pool(3);
    std::vector<std::atomic<int>> inside(pool.worker_count());
    std::atomic<int> collisions{0};
    for (int round = 0; round < 2000; ++round)
        pool.run(6, [&](std::size_t, unsigned worker) {
            if (inside[worker].fetch_add(1) != 0) ++collisions;
            inside[worker].fetch_sub(1);
        });
    CHECK(collisions == 0);
}

TEST_CASE("loops of several callers follow one another") {
    ComputePool pool(2);
    std::atomic<int> inside{0};
    std::atomic<std::size_t> total{0};
    const auto caller = [&] {
        for (int round = 0; round < 500; ++round) {
            int mine = 0;
            pool.run(1, [&](std::size_t, unsigned) { mine = inside.fetch_add(1) + 1; });
            CHECK(mine == 1);
            inside.fetch_sub(1);
            pool.run(8, [&](std::size_t, unsigned) { ++total; });
        }
    };
    std::atomic<bool> is_done{false};
    std::thread other([&] {
        for (int round = 0; round < 500; ++round)
            pool.run(8, [&](std::size_t, unsigned) { ++total; });
        is_done = true;
    });
    for (int round = 0; round < 500; ++round)
        pool.run(8, [&](std::size_t, unsigned) { ++total; });
    other.join();
    CHECK(is_done);
    CHECK(total == 8000);
    caller();
    CHECK(total == 12000);
}

}  // namespace
}  // namespace kwaai::engine
