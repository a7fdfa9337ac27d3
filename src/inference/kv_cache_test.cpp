#include "inference/kv_cache.hpp"

#include <doctest/doctest.h>

namespace kwaai::inference {
namespace {

constexpr KvGeometry kGeometry{.blocks = 2, .kv_heads = 3, .head_dim = 20};

struct Fixture {
    tensor::HeapSource memory;
    KvPool pool{kGeometry, 4, memory};
};

std::uint16_t& cell(const KvSequence& sequence, std::uint32_t position) {
    return sequence.pool().v(
        sequence.pages()[position / 64], 1, 2)[position % 64 * kGeometry.padded_dim() + 7];
}

void write(KvSequence& sequence, std::uint32_t end, std::uint16_t value) {
    const std::uint32_t begin = sequence.length();
    REQUIRE(sequence.reserve(end));
    for (std::uint32_t i = begin; i < end; ++i)
        cell(sequence, i) = static_cast<std::uint16_t>(value + i);
    sequence.advance(end);
}

TEST_CASE("heads are padded to 16 lanes and pages hold 64 positions of all blocks") {
    CHECK(kGeometry.padded_dim() == 32);
    CHECK(kGeometry.page_bytes() == 2UL * 3 * 2 * 64 * 32 * 2);
}

TEST_CASE_FIXTURE(Fixture, "keys and values of heads and blocks do not overlap") {
    KvSequence sequence(pool);
    REQUIRE(sequence.reserve(1));
    const std::size_t halves = 64 * kGeometry.padded_dim();
    const KvPool::PageId page = sequence.pages()[0];
    CHECK(pool.v(page, 0, 0) == pool.k(page, 0, 0) + halves);
    CHECK(pool.k(page, 0, 1) == pool.v(page, 0, 0) + halves);
    CHECK(pool.k(page, 1, 0) == pool.v(page, 0, 2) + halves);
}

TEST_CASE_FIXTURE(Fixture, "a full pool is an error and leaves the sequence as it was") {
    KvSequence first(pool);
    write(first, 130, 0);
    CHECK(pool.pages_used() == 3);
    KvSequence second(pool);
    const auto refused = second.reserve(65);
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::limit_exceeded);
    CHECK(second.pages().empty());
    CHECK(pool.pages_used() == 3);
    first.truncate(0);
    CHECK(second.reserve(65));
}

TEST_CASE_FIXTURE(Fixture, "a fork shares pages until one of the two writes") {
    KvSequence first(pool);
    write(first, 70, 100);
    KvSequence second = first.fork();
    CHECK(pool.pages_used() == 2);
    write(second, 72, 500);
    CHECK(pool.pages_used() == 3);
    write(first, 71, 900);
    CHECK(second.pages()[0] == first.pages()[0]);
    CHECK(second.pages()[1] != first.pages()[1]);
    CHECK(cell(first, 69) == 169);
    CHECK(cell(second, 69) == 169);
    CHECK(cell(first, 70) == 970);
    CHECK(cell(second, 70) == 570);
}

TEST_CASE_FIXTURE(Fixture, "truncating into a shared page copies it before the next write") {
    KvSequence first(pool);
    write(first, 60, 100);
    KvSequence second = first.fork();
    second.truncate(10);
    write(second, 12, 700);
    CHECK(cell(first, 10) == 110);
    CHECK(cell(second, 10) == 710);
    CHECK(cell(second, 9) == 109);
}

TEST_CASE_FIXTURE(Fixture, "destroyed and moved sequences release their pages once") {
    {
        KvSequence first(pool);
        write(first, 64, 0);
        KvSequence moved = std::move(first);
        CHECK(moved.length() == 64);
        const KvSequence fork = moved.fork();
        CHECK(pool.pages_used() == 1);
    }
    CHECK(pool.pages_used() == 0);
}

}  // namespace
}  // namespace kwaai::inference
