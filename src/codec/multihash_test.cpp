#include "codec/multihash.hpp"

#include <optional>

#include "codec/multibase.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::codec;

namespace {

using testing::from_hex;
using testing::to_hex;

/// The comma-separated columns of a line.
std::vector<std::string> columns_of(std::string_view line) {
    std::vector<std::string> columns;
    for (;;) {
        const std::size_t comma = line.find(',');
        columns.emplace_back(line.substr(0, comma));
        if (comma == std::string_view::npos) return columns;
        line.remove_prefix(comma + 1);
    }
}

std::optional<HashCode> code_of(std::string_view algorithm) {
    if (algorithm == "sha1") return HashCode::sha1;
    if (algorithm == "sha2-256") return HashCode::sha2_256;
    if (algorithm == "sha2-512") return HashCode::sha2_512;
    return std::nullopt;
}

std::size_t bits_of(HashCode code) {
    return code == HashCode::sha1 ? 160 : code == HashCode::sha2_256 ? 256 : 512;
}

}  // namespace

TEST_CASE("the whole digests of multihash's own table read and are written, cut ones are refused") {
    KWAAI_FIXTURE(path, "libp2p/multihash/test_cases.csv");
    const std::string table = testing::read_text(path);
    int whole = 0;
    int cut = 0;
    for (std::size_t at = 0; at < table.size();) {
        const std::size_t end = std::min(table.find('\n', at), table.size());
        const auto columns = columns_of(std::string_view(table).substr(at, end - at));
        at = end + 1;
        const auto code = code_of(columns[0]);
        if (!code || columns.size() != 4) continue;
        CAPTURE(columns[3]);
        const Buffer bytes = from_hex(columns[3]);
        const auto hash = read_multihash(bytes);
        if (std::stoul(columns[1]) != bits_of(*code)) {
            CHECK_FALSE(hash);
            ++cut;
            continue;
        }
        REQUIRE(hash);
        CHECK(hash->code == *code);
        CHECK(hash->size == bytes.size());
        CHECK(make_multihash(*code, hash->digest) == bytes);
        ++whole;
    }
    CHECK(whole >= 60);
    CHECK(cut >= 60);
}

TEST_CASE("an identity multihash holds its bytes") {
    const Buffer bytes = make_multihash(HashCode::identity, as_bytes("key"));
    CHECK(to_hex(bytes) == "00036b6579");
    const auto hash = read_multihash(bytes);
    REQUIRE(hash);
    CHECK(hash->code == HashCode::identity);
    CHECK(as_text(hash->digest) == "key");
}

TEST_CASE("bytes behind a multihash are not part of it") {
    const Buffer bytes = from_hex("00036b6579ffff");
    const auto hash = read_multihash(bytes);
    REQUIRE(hash);
    CHECK(hash->size == 5);
}

TEST_CASE("broken multihashes are malformed") {
    for (const std::string_view bytes :
         {"",
          "12",
          "1220",      // no digest
          "1220aabb",  // a digest cut short
          "1210"
          "00112233445566778899aabbccddeeff",  // a length that is not SHA-256's
          "12a000",                            // a length that is not minimal
          "008101",                            // an identity of 129 bytes
          "00ffffffffffffffff7f",              // an identity beyond all memory
          "00808080808080808080"}) {
        CAPTURE(bytes);
        CHECK(read_multihash(from_hex(bytes)).error().code == Errc::malformed);
    }
}

TEST_CASE("other kinds of digests are unsupported") {
    CHECK(read_multihash(from_hex("1620")).error().code == Errc::unsupported);
}
