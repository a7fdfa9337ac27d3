// Records: how bytes are cut and joined, and what breaks the channel.
#include "p2p/security/noise_records.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "p2p/security/noise_keys_test.hpp"
#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

NoiseCipher cipher() {
    return NoiseCipher(repeated(7));
}

codec::Buffer pattern(std::size_t size) {
    codec::Buffer bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(i * 31 >> 3);
    return bytes;
}

// All flights of `parts`, one behind the other; their number.
std::size_t seal(RecordSealer& sealer, std::span<const Bytes> parts, codec::Buffer& out) {
    PartsReader reader(parts);
    std::size_t flights = 0;
    while (reader.remaining() > 0) {
        const Result<Bytes> flight = sealer.next_flight(reader);
        REQUIRE(flight.has_value());
        codec::append(out, *flight);
        ++flights;
    }
    return flights;
}

codec::Buffer sealed(Bytes plain) {
    RecordSealer sealer(cipher());
    codec::Buffer out;
    seal(sealer, std::span<const Bytes>(&plain, 1), out);
    return out;
}

// Puts up to `piece` bytes into the opener's space.
void feed(RecordOpener& opener, Bytes& bytes, std::size_t piece) {
    const MutableBytes space = opener.space();
    const std::size_t count = std::min({piece, space.size(), bytes.size()});
    std::copy_n(bytes.begin(), count, space.begin());
    opener.commit(count);
    bytes = bytes.subspan(count);
}

Result<codec::Buffer> open(RecordOpener& opener, Bytes bytes, std::size_t piece) {
    codec::Buffer plain;
    for (;;) {
        KWAAI_TRY(const std::optional<Bytes> record, opener.next());
        if (record) {
            codec::append(plain, *record);
        } else if (bytes.empty()) {
            return plain;
        } else {
            feed(opener, bytes, piece);
        }
    }
}

}  // namespace

TEST_CASE("parts are taken whatever their cuts") {
    const codec::Buffer bytes = pattern(100);
    const std::vector<Bytes> parts = {Bytes(bytes).first(0),
                                      Bytes(bytes).first(10),
                                      Bytes(),
                                      Bytes(bytes).subspan(10, 60),
                                      Bytes(bytes).subspan(70, 30),
                                      Bytes()};
    for (std::size_t step = 1; step <= 100; ++step) {
        CAPTURE(step);
        PartsReader reader(parts);
        codec::Buffer scratch(step);
        codec::Buffer taken;
        while (reader.remaining() > 0)
            codec::append(taken, reader.take(std::min(step, reader.remaining()), scratch));
        CHECK(taken == bytes);
    }
}

TEST_CASE("bytes inside one part are not copied") {
    const codec::Buffer bytes = pattern(100);
    const Bytes part(bytes);
    PartsReader reader(std::span<const Bytes>(&part, 1));
    codec::Buffer scratch(50);
    CHECK(reader.take(50, scratch).data() == bytes.data());
    CHECK(reader.take(50, scratch).data() == bytes.data() + 50);
}

TEST_CASE("small parts share a record") {
    const codec::Buffer bytes = pattern(60);
    const std::vector<Bytes> parts = {Bytes(bytes).first(12), Bytes(bytes).subspan(12)};
    RecordSealer sealer(cipher());
    codec::Buffer out;
    CHECK(seal(sealer, parts, out) == 1);
    CHECK(out == sealed(bytes));
    CHECK(out.size() == 2 + 60 + 16);
}

TEST_CASE("records carry at most 65519 bytes, and a flight five of them") {
    struct Case {
        std::size_t plain_bytes;
        std::size_t records;
        std::size_t flights;
    };

    const std::vector<Case> cases = {{1, 1, 1},
                                     {65519, 1, 1},
                                     {65520, 2, 1},
                                     {5 * 65519, 5, 1},
                                     {5 * 65519 + 1, 6, 2},
                                     {1 << 20, 17, 4}};
    for (const Case& test : cases) {
        CAPTURE(test.plain_bytes);
        const codec::Buffer plain = pattern(test.plain_bytes);
        const Bytes part(plain);
        RecordSealer sealer(cipher());
        codec::Buffer out;
        CHECK(seal(sealer, std::span<const Bytes>(&part, 1), out) == test.flights);
        CHECK(out.size() == test.plain_bytes + test.records * 18);
        RecordOpener opener(cipher(), Bytes());
        const Result<codec::Buffer> opened = open(opener, out, 100000);
        REQUIRE(opened.has_value());
        CHECK(*opened == plain);
    }
}

TEST_CASE("what is held leaves in front of the first record, once") {
    const codec::Buffer bytes = pattern(5);
    const Bytes part(bytes);
    RecordSealer sealer(cipher());
    sealer.hold(codec::to_buffer(as_bytes("held")));
    CHECK(sealer.is_holding());
    codec::Buffer out;
    CHECK(seal(sealer, std::span<const Bytes>(&part, 1), out) == 1);
    CHECK_FALSE(sealer.is_holding());
    codec::Buffer expected = codec::to_buffer(as_bytes("held"));
    codec::append(expected, sealed(bytes));
    CHECK(out == expected);
}

TEST_CASE("a flight of nothing is what is held") {
    RecordSealer sealer(cipher());
    sealer.hold(codec::to_buffer(as_bytes("held")));
    PartsReader nothing{std::span<const Bytes>()};
    const Result<Bytes> flight = sealer.next_flight(nothing);
    REQUIRE(flight.has_value());
    CHECK(as_text(*flight) == "held");
}

TEST_CASE("records are opened whatever the cuts, behind any residue") {
    const std::uint64_t seed = testing::seed(1);
    CounterRandom random(seed);
    for (int round = 0; round < 20; ++round) {
        RecordSealer sealer(cipher());
        codec::Buffer plain;
        codec::Buffer out;
        for (int i = 0; i < 12; ++i) {
            const codec::Buffer bytes =
                pattern(1 + random.next() % ((random.next() % 4 == 0) ? 200000 : 50));
            const Bytes part(bytes);
            seal(sealer, std::span<const Bytes>(&part, 1), out);
            codec::append(plain, bytes);
        }
        const std::size_t residue = random.next() % std::min<std::size_t>(out.size(), 5000);
        RecordOpener opener(cipher(), Bytes(out).first(residue));
        const Result<codec::Buffer> opened =
            open(opener, Bytes(out).subspan(residue), 1 + random.next() % 100000);
        REQUIRE(opened.has_value());
        CHECK(*opened == plain);
        CHECK_FALSE(opener.is_inside_record());
    }
}

TEST_CASE("empty records are passed over") {
    NoiseCipher sending = cipher();
    codec::Buffer out;
    for (const std::string_view text : {"", "", "a", "", "b", ""}) {
        codec::Buffer record(text.size() + crypto::kTagBytes);
        REQUIRE(sending.seal(Bytes(), as_bytes(text), record).has_value());
        out.push_back(std::byte{0});
        out.push_back(static_cast<std::byte>(record.size()));
        codec::append(out, record);
    }
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}}) {
        RecordOpener opener(cipher(), Bytes());
        const Result<codec::Buffer> opened = open(opener, out, piece);
        REQUIRE(opened.has_value());
        CHECK(as_text(*opened) == "ab");
        CHECK_FALSE(opener.is_inside_record());
    }
}

TEST_CASE("a record that is changed, repeated, left out or too short is malformed") {
    const codec::Buffer first = sealed(as_bytes("first"));
    codec::Buffer changed = first;
    changed[4] ^= std::byte{1};
    codec::Buffer repeated_once = first;
    codec::append(repeated_once, first);
    codec::Buffer longer = first;
    longer[1] ^= std::byte{1};
    longer.push_back(std::byte{0});
    RecordSealer sealer(cipher());
    codec::Buffer out;
    const Bytes part = as_bytes("x");
    seal(sealer, std::span<const Bytes>(&part, 1), out);
    const codec::Buffer second_alone = [&] {
        codec::Buffer second;
        seal(sealer, std::span<const Bytes>(&part, 1), second);
        return second;
    }();
    const codec::Buffer no_tag = from_hex("000f000102030405060708090a0b0c0d0e");
    const codec::Buffer zero = from_hex("0000");
    for (const codec::Buffer& bytes :
         {changed, repeated_once, longer, second_alone, no_tag, zero}) {
        RecordOpener opener(cipher(), bytes);
        const Result<codec::Buffer> opened = open(opener, Bytes(), 1);
        REQUIRE_FALSE(opened.has_value());
        CHECK(opened.error().code == Errc::malformed);
    }
}

TEST_CASE("a record that is not whole waits for its rest") {
    const codec::Buffer record = sealed(as_bytes("first"));
    for (std::size_t size = 1; size < record.size(); ++size) {
        RecordOpener opener(cipher(), Bytes(record).first(size));
        const Result<std::optional<Bytes>> next = opener.next();
        REQUIRE(next.has_value());
        CHECK_FALSE(next->has_value());
        CHECK(opener.is_inside_record());
    }
}

TEST_CASE("a record is opened where the reader wants it, if it fits there") {
    for (const std::size_t room :
         {std::size_t{0}, std::size_t{4}, std::size_t{5}, std::size_t{9}}) {
        const codec::Buffer record = sealed(as_bytes("first"));
        RecordOpener opener(cipher(), record);
        codec::Buffer into(room);
        const Result<std::optional<Bytes>> next = opener.next(into);
        REQUIRE(next.has_value());
        REQUIRE(next->has_value());
        CHECK(as_text(**next) == "first");
        CHECK(((*next)->data() == into.data()) == (room >= 5));
        CHECK_FALSE(opener.is_inside_record());
    }
}

TEST_CASE("an idle opener keeps little space, a busy one two records, and no more") {
    const codec::Buffer plain = pattern(2 << 20);
    const codec::Buffer records = sealed(plain);
    RecordOpener opener(cipher(), Bytes());
    CHECK(opener.space().size() == kIdleBytes);
    Bytes rest(records);
    std::size_t largest = 0;
    codec::Buffer opened;
    while (!rest.empty()) {
        largest = std::max(largest, opener.space().size());
        feed(opener, rest, rest.size());
        for (;;) {
            const Result<std::optional<Bytes>> record = opener.next();
            REQUIRE(record.has_value());
            if (!*record) break;
            codec::append(opened, **record);
        }
    }
    CHECK(largest == 2 * kRecordBytesMax);
    CHECK(opened == plain);
}

TEST_CASE("an opener that is quiet after a burst gives its space back") {
    const codec::Buffer burst = pattern(1 << 20);
    RecordSealer sealer(cipher());
    RecordOpener opener(cipher(), Bytes());
    codec::Buffer records;
    const Bytes large(burst);
    seal(sealer, std::span<const Bytes>(&large, 1), records);
    CHECK(open(opener, records, records.size()).has_value());
    CHECK(opener.space().size() > kIdleBytes);
    const Bytes small = Bytes(burst).first(100);
    for (std::size_t i = 0; i <= kQuietTimes; ++i) {
        records.clear();
        seal(sealer, std::span<const Bytes>(&small, 1), records);
        const Result<codec::Buffer> opened = open(opener, records, records.size());
        REQUIRE(opened.has_value());
        CHECK(as_text(*opened) == as_text(small));
    }
    CHECK(opener.space().size() == kIdleBytes);
}
