#include "p2p/kad/ipns_record.hpp"

#include <array>
#include <string>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "p2p/host_world_test.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p::kad {
namespace {

// Made with the npm package ipns 10.1.6 for this test, to end in ten years.
constexpr std::string_view kEd25519Name = "12D3KooWJnbWwFc25M4dRwpjphE8grRUsgvJv2hVmiuzTGAX28kq";
constexpr std::string_view kRecord =  // with the fields of old readers, sequence 5
    "0a1f2f697066732f6261666b716163336a6f627868676964736e3572777734796b1240fd385617f9d60c"
    "d0ef3ddc4ee093005ff8d6dde398b6971f838be9c5ffc62d8d25e63c250c73e6dd9b90c39a44c8a16b3e"
    "8acd73087837197cd753d877f7540b1800221e323033362d31312d32365430303a34313a31342e333539"
    "3030303030305a28053080f092cbdd0842407fa0ee186c9a6babbe289a37a96f6abd34e6f86b69b696fc"
    "4e354c60a3579468b3f363d62aabb3d6c5a4e452d2f8699f60f768e8c709ac09e89102a90b9c440a4a76"
    "a56354544c1b00000045d964b8006556616c7565581f2f697066732f6261666b716163336a6f62786867"
    "6964736e3572777734796b6853657175656e6365056856616c6964697479581e323033362d31312d3236"
    "5430303a34313a31342e3335393030303030305a6c56616c69646974795479706500";
constexpr std::string_view kLaterRecord =  // without, sequence 6
    "4240779e5a866c2e95269941c064746dfb0e3861b65fbde291a26d74e30e77b9290b83c22eae494c3214"
    "21c709ae30fa961d6bf5ad3cb724547cccb29a372a3291074a76a56354544c1b00000045d964b8006556"
    "616c7565581f2f697066732f6261666b716163336a6f627868676964736e3572777734796b6853657175"
    "656e6365066856616c6964697479581e323033362d31312d32365430303a34313a31342e333635303030"
    "3030305a6c56616c69646974795479706500";
constexpr std::string_view kRsaName = "QmSssEJMLbK1aKxaTBw2vZrF6H8j54hTX4tvipZ7j481Sm";
constexpr std::string_view kRsaRecord =
    "3aab02080012a60230820122300d06092a864886f70d01010105000382010f003082010a0282010100c8"
    "0bd5172235c4840b3c2ff6473d34f1d530e3fa250b984ca98096670c841bf5a0f9d83be8c2800a8e3cfb"
    "0fb9400aefcf62d348e84c4ff3bddbbbba1e9d63432d26dda1985e9580cea3ebccdf7d523746d0705922"
    "bce09d6a93749a3a91e51b79da44416d427f282a38cc68a6f9a19822bd8fc4eada830fa558129842d49d"
    "02e19abda726b1929dfa3a3b97b6d1358da05dfbfb49776b3034739eceddf7566f15d70a43d6e87795ec"
    "7e9019a40c58df281d6a7f3b34efa1112b031d43dd4a7c0afd26348e94e0b277ff31720f13d309b2c4c2"
    "f969600f2a3883d7953f1ee638bec6f9fc6e307d0b88f0b5c44644c3e3a00f8ba129004a8c19cbb966b4"
    "f3e53b02030100014280026d8e793cf34c403b822c1100db24a7f8a9da1d3314060097cc722a47cb1157"
    "3631a6a45e23ded3fb4e29260d54a0fe536e041c80c30903edba901c7f4937adff3cab48c414dc1e482e"
    "30085044e68b2a27c90b936d50710e9f408f8035e3a67b3a06f42cdc433a8e6970f1bd93a8c0a2d32b54"
    "75f73f0352671cf0073f2209dbe625970998b6bb0961ef26c8e476033d22efda76fea431682d18fe53d1"
    "ce9f3e9e2fb7c1d4f1afe26f07c7199f56c192992bf90fff41f5c00b823f5428baf25ec94487327dbc1c"
    "df13edb17882e8459c2910926be811d9be550a657c838596fafd152808b7f2be29cf2c9fc0b4b5299c56"
    "baf7e4589428c5a7497cf24866c0964a76a56354544c1b00000045d964b8006556616c7565581f2f6970"
    "66732f6261666b716163336a6f627868676964736e3572777734796b6853657175656e6365056856616c"
    "6964697479581e323033362d31312d32365430303a34313a31342e3831383030303030305a6c56616c69"
    "646974795479706500";
constexpr std::uint64_t kNow = 1'800'000'000;
constexpr std::uint64_t kAfter = 2'200'000'000;

codec::Buffer key_of(std::string_view name) {
    codec::Buffer key = codec::to_buffer(as_bytes("/ipns/"));
    codec::append(key, PeerId::parse(name).value().bytes());
    return key;
}

Result<> judged(Bytes key, Bytes record, std::uint64_t now = kNow) {
    return ipns_validator([now] { return now; })->validate(key, record);
}

std::string refusal(const Result<>& verdict) {
    REQUIRE_FALSE(verdict.has_value());
    return verdict.error().context;
}

// A record of our own making, whose signed part is `cbor`.
codec::Buffer signed_over(Bytes cbor) {
    codec::Buffer text = codec::to_buffer(as_bytes("ipns-signature:"));
    codec::append(text, cbor);
    const auto signature = make_key(1).sign(text);
    codec::Buffer record;
    codec::ProtoWriter writer(record);
    writer.bytes(8, signature);
    writer.bytes(9, cbor);
    return record;
}

codec::Buffer own_key() {
    codec::Buffer key = codec::to_buffer(as_bytes("/ipns/"));
    codec::append(key, make_identity(1).bytes());
    return key;
}

TEST_CASE("records of js-ipns are read, with the key in the name and with the key beside it") {
    const auto first = testing::from_hex(kRecord);
    const auto data = open_ipns_record(key_of(kEd25519Name), first);
    REQUIRE(data.has_value());
    CHECK(as_text(data->value) == "/ipfs/bafkqac3jobxhgidsn5rww4yk");
    CHECK(data->sequence == 5);
    CHECK(data->ttl == 300'000'000'000);
    CHECK(as_text(data->validity) == "2036-11-26T00:41:14.359000000Z");
    for (const std::string_view hex : {kRecord, kLaterRecord})
        CHECK(judged(key_of(kEd25519Name), testing::from_hex(hex)).has_value());
    CHECK(judged(key_of(kRsaName), testing::from_hex(kRsaRecord)).has_value());
}

TEST_CASE("an IPNS record belongs under its own name, and to its time") {
    const auto record = testing::from_hex(kRecord);
    const auto of_rsa = testing::from_hex(kRsaRecord);
    CHECK(refusal(judged(key_of(kEd25519Name), record, kAfter)).contains("expired"));
    CHECK(refusal(judged(own_key(), record)).contains("signature is wrong"));
    CHECK(refusal(judged(own_key(), of_rsa)).contains("not that of its name"));
    CHECK(refusal(judged(key_of(kRsaName), record)).contains("lacks the public key"));
    CHECK(refusal(judged(as_bytes("/pk/"), record)).contains("/ipns/"));
}

TEST_CASE("no bit of a signed IPNS record can be turned, whoever reads it") {
    const auto record = testing::from_hex(kRecord);
    const auto key = key_of(kEd25519Name);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < record.size(); ++i) {
        auto turned = record;
        turned[i] ^= std::byte{1};
        if (judged(key, turned)) ++taken;
    }
    CHECK(taken == 64);  // the signature for old readers, which nobody here verifies
    auto cut = record;
    cut.pop_back();
    CHECK_FALSE(judged(key, cut).has_value());
}

TEST_CASE("of IPNS records the higher sequence wins, then who lasts, then the greater bytes") {
    const auto first = testing::from_hex(kRecord);
    const auto later = testing::from_hex(kLaterRecord);
    const auto rubbish = std::vector<std::byte>(4);
    const std::array<Bytes, 3> values{rubbish, first, later};
    const auto validator = ipns_validator([] { return kNow; });
    CHECK(validator->select(key_of(kEd25519Name), values) == 2);
    const std::array<Bytes, 3> turned{later, first, rubbish};
    CHECK(validator->select(key_of(kEd25519Name), turned) == 0);
}

TEST_CASE("times of IPNS records are UTC, to the nanosecond") {
    const auto seconds = [](std::string_view text) {
        return parse_ipns_time(text).value().seconds;
    };
    CHECK(seconds("1970-01-01T00:00:00Z") == 0);
    CHECK(seconds("2026-11-29T00:39:07.218000000Z") == 1'795'912'747);
    CHECK(seconds("2000-02-29T23:59:59.9Z") == 951'868'799);
    CHECK(parse_ipns_time("2000-02-29T23:59:59.25Z").value().nanoseconds == 250'000'000);
    CHECK(parse_ipns_time("2000-02-29T23:59:59.0000000019Z").value().nanoseconds == 1);
    for (const std::string_view text : {"",
                                        "2001-02-29T00:00:00Z",
                                        "2000-13-01T00:00:00Z",
                                        "2000-01-01T24:00:00Z",
                                        "2000-01-01 00:00:00Z",
                                        "2000-01-01T00:00:00",
                                        "2000-01-01T00:00:00.Z",
                                        "2000-01-01T00:00:00+01:00",
                                        "-200-01-01T00:00:00Z"})
        CHECK_FALSE(parse_ipns_time(text).has_value());
}

TEST_CASE("the signed part may have other fields, and lacks none of its own") {
    const auto whole = [](std::string_view more) {
        // { "Value": h'61', "Validity": "2036-…Z", MORE }
        std::string hex = more.empty() ? "a2" : "a3";
        hex +=
            "6556616c75654161"
            "6856616c696469747954323033362d30312d30315430303a30303a30305a";
        return testing::from_hex(hex.append(more));
    };
    CHECK(judged(own_key(), signed_over(whole(""))).has_value());
    CHECK(judged(own_key(),
                 signed_over(whole("6178"
                                   "a16162820120")))
              .has_value());  // "x": {"b": [1, -1]}
    CHECK(judged(own_key(),
                 signed_over(whole("6178"
                                   "fb3ff0000000000000")))
              .has_value());
    CHECK_FALSE(judged(own_key(),
                       signed_over(whole("6178"
                                         "9f")))
                    .has_value());  // no end given
    CHECK_FALSE(judged(own_key(),
                       signed_over(whole("6178"
                                         "9bffffffffffffffff")))
                    .has_value());
    CHECK_FALSE(judged(own_key(),
                       signed_over(whole("6178"
                                         "8181818181818181818181818100")))
                    .has_value());
    CHECK_FALSE(judged(own_key(), signed_over(whole("6178"))).has_value());
    CHECK_FALSE(
        judged(own_key(), signed_over(testing::from_hex("a16556616c75654161"))).has_value());
    CHECK(refusal(judged(own_key(), signed_over(whole("6c56616c69646974795479706501"))))
              .contains("type 1"));
}

TEST_CASE("an IPNS record of more than 10 KiB is refused before it is read") {
    const codec::Buffer large(kIpnsRecordBytesMax + 1);
    CHECK(refusal(judged(own_key(), large)).contains("10241 bytes"));
}

}  // namespace
}  // namespace kwaai::p2p::kad
