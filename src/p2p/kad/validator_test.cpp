#include "p2p/kad/validator.hpp"

#include <array>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/kad/kad_key.hpp"
#include "testing/hex.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::uint64_t kNow = 1'800'000'000;

Validators make_validators() {
    Validators validators;
    validators.set("pk", public_key_validator());
    validators.set("kwaai", signed_record_validator([] { return kNow; }));
    return validators;
}

codec::Buffer sealed(unsigned char number, std::uint64_t sequence, std::uint64_t expires) {
    return seal_signed_record(make_key(number), "name", sequence, expires, as_bytes("value"));
}

Errc refusal(const codec::Buffer& key, const codec::Buffer& value) {
    const Result<> valid = make_validators().validate(key, value);
    REQUIRE_FALSE(valid.has_value());
    return valid.error().code;
}

TEST_CASE("the key of what a node offers is the SHA-256 multihash of its text") {
    CHECK(testing::to_hex(provider_key("abc")) ==
          "1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("keys without a namespace that is known hold nothing") {
    const codec::Buffer value = codec::to_buffer(as_bytes("value"));
    for (const std::string_view key : {"", "key", "pk/key", "/pk", "//pk/key", "/ipns/key", "/"})
        CHECK(refusal(codec::to_buffer(as_bytes(key)), value) == Errc::unsupported);
}

TEST_CASE("under a peer's name stands that peer's public key alone") {
    codec::Buffer key = codec::to_buffer(as_bytes("/pk/"));
    codec::append(key, make_identity(1).bytes());
    const auto key_of = [](unsigned char number) {
        return codec::to_buffer(make_key(number).public_key().protobuf());
    };
    CHECK(make_validators().validate(key, key_of(1)).has_value());
    CHECK(refusal(key, key_of(2)) == Errc::malformed);
    CHECK(refusal(key, codec::Buffer(3)) == Errc::malformed);
}

TEST_CASE("a signed record stands under its signer's key, in time, and the higher number wins") {
    const Validators validators = make_validators();
    const codec::Buffer key = signed_record_key(make_identity(1), "name");
    CHECK(validators.validate(key, sealed(1, 1, kNow + 10)).has_value());
    CHECK(refusal(key, sealed(1, 1, kNow)) == Errc::malformed);
    CHECK(refusal(key, sealed(1, 1, kNow + 4 * 24 * 3600)) == Errc::malformed);
    CHECK(refusal(key, sealed(2, 1, kNow + 10)) == Errc::malformed);
    CHECK(refusal(signed_record_key(make_identity(1), "other"), sealed(1, 1, kNow + 10)) ==
          Errc::malformed);
    CHECK(refusal(signed_record_key(make_identity(1), ""), sealed(1, 1, kNow + 10)) ==
          Errc::malformed);
    CHECK(validators.is_better(key, sealed(1, 2, kNow + 10), sealed(1, 1, kNow + 10)));
    CHECK_FALSE(validators.is_better(key, sealed(1, 1, kNow + 10), sealed(1, 2, kNow + 10)));
    CHECK_FALSE(validators.is_better(key, sealed(1, 1, kNow + 20), sealed(1, 1, kNow + 10)));
    const auto opened = open_signed_record(key, sealed(1, 7, kNow + 10));
    REQUIRE(opened.has_value());
    CHECK(opened->peer == make_identity(1));
    CHECK(opened->sequence == 7);
    CHECK(as_text(opened->value) == "value");
}

}  // namespace
}  // namespace kwaai::p2p::kad
