#include "p2p/discovery/capability_record.hpp"

#include <array>
#include <limits>

#include <doctest/doctest.h>

#include "codec/protobuf.hpp"
#include "p2p/envelope.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

crypto::PrivateKey key_of(int seed) {
    std::array<std::byte, 32> bytes;
    bytes.fill(static_cast<std::byte>(seed));
    return crypto::PrivateKey::ed25519_from_seed(bytes);
}

Capability some_capability() {
    const auto address = Multiaddr::parse("/ip4/192.0.2.7/tcp/4001");
    REQUIRE(address);
    return {.sequence = 3,
            .expires = 1'800'000'000,
            .addresses = {*address},
            .names = {"inference:stories260K", "inference:SmolLM2"},
            .models = {{.name = "stories260K", .begin = 1, .end = 4, .rows = "f32"}},
            .memory_bytes = std::uint64_t{3} << 30,
            .rows_per_second = 812.5};
}

/// An envelope of the record's kind with any payload.
codec::Buffer sealed(Bytes payload) {
    return seal_envelope(key_of(1), "kwaai-capability", as_bytes("/kwaai/capability"), payload);
}

Errc error_of(Bytes envelope) {
    const auto opened = open_capability(envelope);
    REQUIRE_FALSE(opened);
    return opened.error().code;
}

}  // namespace

TEST_CASE("a capability record tells who signed it and what that peer offers") {
    const auto envelope = seal_capability(key_of(1), some_capability());
    REQUIRE(envelope);
    const auto opened = open_capability(*envelope);
    REQUIRE(opened);
    CHECK(opened->peer == PeerId::of(key_of(1).public_key()));
    const Capability& got = opened->capability;
    const Capability want = some_capability();
    CHECK(got.sequence == want.sequence);
    CHECK(got.expires == want.expires);
    CHECK(got.addresses == want.addresses);
    CHECK(got.names == want.names);
    CHECK(got.models == want.models);
    CHECK(got.memory_bytes == want.memory_bytes);
    CHECK(got.rows_per_second == want.rows_per_second);
    CHECK(got.offers("inference:SmolLM2"));
    CHECK_FALSE(got.offers("inference:SmolLM"));
}

TEST_CASE("a capability record that was changed, or is another statement, is refused") {
    auto envelope = seal_capability(key_of(1), some_capability());
    REQUIRE(envelope);
    for (std::size_t index = 0; index < envelope->size(); ++index) {
        codec::Buffer changed = *envelope;
        changed[index] ^= std::byte{1};
        CAPTURE(index);
        CHECK_FALSE(open_capability(changed));
    }
    const codec::Buffer other_type =
        seal_envelope(key_of(1), "kwaai-capability", as_bytes("/kwaai/other"), {});
    CHECK(error_of(other_type) == Errc::malformed);
    const codec::Buffer other_domain =
        seal_envelope(key_of(1), "libp2p-peer-record", as_bytes("/kwaai/capability"), {});
    CHECK(error_of(other_domain) == Errc::malformed);
}

TEST_CASE("a capability record keeps to its limits") {
    codec::Buffer many;
    codec::ProtoWriter writer(many);
    for (std::size_t i = 0; i <= kCapabilitiesMax; ++i)
        writer.text(4, "inference:x");
    CHECK(error_of(sealed(many)) == Errc::limit_exceeded);

    codec::Buffer long_name;
    codec::ProtoWriter(long_name).text(4, std::string(kCapabilityBytesMax + 1, 'x'));
    CHECK(error_of(sealed(long_name)) == Errc::limit_exceeded);

    Capability large = some_capability();
    large.names.assign(kCapabilitiesMax, std::string(kCapabilityBytesMax, 'x'));
    const auto refused = seal_capability(key_of(1), large);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::limit_exceeded);
    CHECK(error_of(codec::Buffer(kCapabilityRecordBytesMax + 1)) == Errc::limit_exceeded);
}

TEST_CASE("numbers in a capability record make sense") {
    Capability slow = some_capability();
    slow.rows_per_second = -1;
    CHECK_FALSE(seal_capability(key_of(1), slow));
    slow.rows_per_second = std::numeric_limits<double>::infinity();
    CHECK_FALSE(seal_capability(key_of(1), slow));
    Capability empty = some_capability();
    empty.models[0].end = empty.models[0].begin;
    CHECK_FALSE(seal_capability(key_of(1), empty));
    CHECK(error_of(sealed(as_bytes("\x0b"))) == Errc::malformed);
}
