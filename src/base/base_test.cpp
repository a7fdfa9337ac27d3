#include <array>
#include <limits>

#include <doctest/doctest.h>

#include "base/byte_source.hpp"
#include "base/checked.hpp"
#include "base/executor.hpp"
#include "base/random.hpp"
#include "base/utf8.hpp"

namespace kwaai {
namespace {

Result<int> half(int n) {
    if (n % 2 != 0) return fail(Errc::invalid_argument, "odd: " + std::to_string(n));
    return n / 2;
}

Result<int> quarter(int n) {
    KWAAI_TRY(const int once, half(n));
    return half(once);
}

TEST_CASE("KWAAI_TRY passes values on and returns the first error") {
    CHECK(quarter(12) == 3);
    const auto failed = quarter(6);
    REQUIRE(!failed);
    CHECK(failed.error().code == Errc::invalid_argument);
    CHECK(failed.error().context == "odd: 3");
    Error error = failed.error();
    CHECK(std::move(error).with("halving").context == "halving: odd: 3");
}

TEST_CASE("checked arithmetic reports overflow and narrow casts") {
    constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
    CHECK(!checked_mul<std::uint64_t>(1ull << 32, 1ull << 32));
    CHECK(checked_mul<std::uint64_t>(1ull << 31, 1ull << 32) == 1ull << 63);
    CHECK(!checked_add(kMax, std::uint64_t{1}));
    CHECK(!checked_cast<std::uint32_t>(1ull << 32));
    CHECK(!checked_cast<std::uint32_t>(-1));
    CHECK(checked_cast<std::int8_t>(127) == std::int8_t{127});
    CHECK(!checked_cast<std::int8_t>(128));
    CHECK(!checked_round_up(kMax - 2, std::uint64_t{32}));
    CHECK(checked_round_up(std::uint64_t{33}, std::uint64_t{32}) == 64);
}

TEST_CASE("ByteReader reads little-endian and stops at the end") {
    const std::array<std::byte, 5> bytes{
        std::byte{1}, std::byte{2}, std::byte{0}, std::byte{0}, std::byte{9}};
    ByteReader reader(bytes);
    CHECK(reader.read<std::uint32_t>() == 513u);
    CHECK(!reader.read<std::uint16_t>());
    CHECK(reader.remaining() == 1);
    CHECK(reader.take(1)->front() == std::byte{9});
    const auto end = reader.take(1);
    REQUIRE(!end);
    CHECK(end.error().context == "truncated: 1 bytes wanted at offset 5, 0 left");
}

TEST_CASE("MemorySource refuses ranges past its end") {
    const std::array<std::byte, 4> bytes{};
    const MemorySource source("four", bytes);
    std::array<std::byte, 3> out{};
    CHECK(source.read(1, out));
    CHECK(!source.read(2, out));
    CHECK(!source.read(std::numeric_limits<std::uint64_t>::max(), out));
    CHECK(source.view(0, 4).size() == 4);
    CHECK(source.view(4, 1).empty());
}

TEST_CASE("SerialExecutor runs each index once, in order") {
    SerialExecutor executor;
    std::string seen;
    executor.run(4, [&](std::size_t index, unsigned worker) {
        seen += std::to_string(index) + std::to_string(worker);
    });
    CHECK(seen == "00102030");
}

TEST_CASE("CounterRandom is a pure function of seed and position") {
    CounterRandom first(7);
    CounterRandom second(7);
    for (int i = 0; i < 10; ++i)
        CHECK(first.next() == second.next());
    CounterRandom resumed(7, 10);
    CHECK(first.next() == resumed.next());
    CHECK(CounterRandom(8).next() != CounterRandom(7).next());
    double sum = 0;
    for (int i = 0; i < 10000; ++i)
        sum += first.next_unit();
    CHECK(sum / 10000 > 0.48);
    CHECK(sum / 10000 < 0.52);
}

TEST_CASE("UTF-8 decoding accepts exactly the well-formed sequences") {
    CHECK(decode_utf8("\xf0\x9f\xa6\x99").code == 0x1f999);
    CHECK(is_utf8("a\xc3\xa9\xe2\x82\xac"));
    for (const char* bad : {"\x80",
                            "\xc0\xaf",
                            "\xe0\x80\x80",
                            "\xed\xa0\x80",
                            "\xf4\x90\x80\x80",
                            "\xf5\x80\x80\x80",
                            "\xe2\x82"})
        CHECK(!is_utf8(bad));
    CHECK(replace_invalid_utf8("a\xff"
                               "b") ==
          "a\xef\xbf\xbd"
          "b");
    std::string out;
    for (const std::uint32_t code : {0x41u, 0xe9u, 0x20acu, 0x1f999u})
        append_utf8(out, code);
    CHECK(out == "A\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x99");
}

TEST_CASE("an incomplete tail is what more bytes could complete") {
    CHECK(incomplete_utf8_tail("abc") == 0);
    CHECK(incomplete_utf8_tail("a\xe2\x82") == 2);
    CHECK(incomplete_utf8_tail("a\xf0\x9f\xa6") == 3);
    CHECK(incomplete_utf8_tail("a\xc3") == 1);
    CHECK(incomplete_utf8_tail("a\xc3\xa9") == 0);
    CHECK(incomplete_utf8_tail("\x80\x80\x80\x80") == 0);
    CHECK(incomplete_utf8_tail("\xe0\x80") == 0);
}

}  // namespace
}  // namespace kwaai
