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
    return standard_validators([] { return kNow; });
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

TEST_CASE("keys without a namespace that is known hold nothing (CVE-2026-45783)") {
    const codec::Buffer value = codec::to_buffer(as_bytes("value"));
    for (const std::string_view key : {"", "key", "pk/key", "/pk", "//pk/key", "/ipfs/key", "/"})
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

codec::Buffer shared(unsigned char number, std::uint64_t sequence, std::string_view value) {
    return seal_shared_record(make_key(number), "mykey", sequence, kNow + 10, as_bytes(value));
}

TEST_CASE("under a shared name anybody writes, and who wrote last is read") {
    const Validators validators = make_validators();
    const codec::Buffer key = shared_record_key("mykey");
    CHECK(as_text(key) == "/kwaai-shared/mykey");
    const std::uint64_t now_ms = kNow * 1000;
    CHECK(validators.validate(key, shared(1, now_ms, "one")).has_value());
    CHECK(validators.validate(key, shared(2, now_ms + 1, "two")).has_value());
    CHECK(validators.is_better(key, shared(2, now_ms + 1, "two"), shared(1, now_ms, "one")));
    CHECK_FALSE(validators.is_better(key, shared(1, now_ms, "one"), shared(2, now_ms + 1, "two")));
    const auto opened = open_shared_record(key, shared(2, now_ms, "two"));
    REQUIRE(opened.has_value());
    CHECK(opened->peer == make_identity(2));
    CHECK(as_text(opened->value) == "two");

    // Of the same millisecond: everybody takes the same one.
    const codec::Buffer one = shared(1, now_ms, "one");
    const codec::Buffer two = shared(2, now_ms, "two");
    CHECK(validators.is_better(key, one, two) != validators.is_better(key, two, one));
    CHECK_FALSE(validators.is_better(key, one, one));
}

TEST_CASE("a shared name cannot be held by a time to come, nor filled with another name's record") {
    const codec::Buffer key = shared_record_key("mykey");
    const std::uint64_t latest = kNow * 1000 + 300'000;
    CHECK(make_validators().validate(key, shared(1, latest, "x")).has_value());
    CHECK(refusal(key, shared(1, latest + 1, "x")) == Errc::malformed);
    CHECK(refusal(shared_record_key("other"), shared(1, 1, "x")) == Errc::malformed);
    CHECK(refusal(shared_record_key(""), shared(1, 1, "x")) == Errc::malformed);
    CHECK(refusal(key, sealed(1, 1, kNow + 10)) == Errc::malformed);
    CHECK(refusal(key, codec::to_buffer(as_bytes("hello world"))) == Errc::malformed);

    const auto named = [](std::size_t bytes) {
        const std::string name(bytes, 'n');
        return make_validators()
            .validate(shared_record_key(name),
                      seal_shared_record(make_key(1), name, 1, kNow + 10, as_bytes("x")))
            .has_value();
    };
    CHECK(named(64));
    CHECK_FALSE(named(65));
    CHECK_FALSE(named(0));
    const codec::Buffer expired = seal_shared_record(make_key(1), "mykey", 1, kNow, as_bytes("x"));
    CHECK(refusal(key, expired) == Errc::malformed);
    // Its signer's own name is another place.
    CHECK(refusal(signed_record_key(make_identity(1), "mykey"), shared(1, 1, "x")) ==
          Errc::malformed);
}

}  // namespace
}  // namespace kwaai::p2p::kad
