#include "petals/metadata.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "petals/vectors_test.hpp"

using namespace kwaai;
using namespace kwaai::petals;
using codec::MsgValue;

namespace {

codec::Buffer with_key(const char* key, MsgValue value) {
    codec::MsgMap map;
    map.emplace_back(MsgValue(std::string(key)), std::move(value));
    return codec::encode_msgpack(std::move(map));
}

bool is_refused(const char* key, MsgValue value) {
    const Result<StepMetadata> step = decode_step(with_key(key, std::move(value)));
    if (step) return false;
    CHECK(step.error().code == Errc::malformed);
    CHECK(step.error().context.contains(key));
    return true;
}

}  // namespace

TEST_CASE("a session's first step has the bytes of stock main's") {
    CHECK(to_hex(encode_step(first_step())) == kFirstMetadata);
}

TEST_CASE("a later step has the bytes of stock main's") {
    SentStep step = first_step();
    step.max_length.reset();
    step.start_from_position = 5;
    CHECK(to_hex(encode_step(step)) == kNextMetadata);
}

TEST_CASE("a step without a start position is that of stock 2.2.0") {
    SentStep step = first_step();
    step.max_length.reset();
    step.start_from_position.reset();
    const MsgValue map = codec::decode_msgpack(encode_step(step)).value();
    CHECK(map.find("start_from_position") == nullptr);
    CHECK(map.find("max_length") == nullptr);
    CHECK(map.find("session_id") != nullptr);
}

TEST_CASE("the keys of a first step are read") {
    const StepMetadata step = decode_step(from_hex(kFirstMetadata)).value();
    CHECK(step.session_id == kSessionId);
    CHECK(step.step_id == kStepId);
    CHECK(step.max_length == 64u);
    CHECK_FALSE(step.active_adapter.has_value());
    CHECK_FALSE(step.alloc_timeout.has_value());
    CHECK(step.start_from_position == 0u);
    CHECK(step.args_structure == args_structure(3));
    CHECK(step.next_servers.is_nil());
    CHECK_FALSE(step.is_pushed);
}

TEST_CASE("a pushed step says so") {
    const StepMetadata step = decode_step(from_hex(kPushedMetadata)).value();
    CHECK(step.session_id == "S2");
    CHECK(step.is_pushed);
    CHECK(step.next_servers == MsgValue(codec::MsgArray()));
}

TEST_CASE("no metadata and an empty map are the same: nothing is given") {
    for (const codec::Buffer& bytes : {codec::Buffer(), from_hex("80")}) {
        const StepMetadata step = decode_step(bytes).value();
        CHECK_FALSE(step.session_id.has_value());
        CHECK_FALSE(step.max_length.has_value());
        CHECK(step.args_structure.is_nil());
    }
}

TEST_CASE("unknown keys are skipped") {
    CHECK(decode_step(with_key("hello", std::string("world"))).has_value());
}

TEST_CASE("the time to wait for room is a float or an integer, infinity included") {
    CHECK(decode_step(with_key("alloc_timeout", 2.5)).value().alloc_timeout == 2.5);
    CHECK(decode_step(with_key("alloc_timeout", std::int64_t{3})).value().alloc_timeout == 3.0);
    CHECK(decode_step(with_key("alloc_timeout", std::numeric_limits<double>::infinity()))
              .value()
              .alloc_timeout == std::numeric_limits<double>::infinity());
    CHECK(is_refused("alloc_timeout", -1.0));
    CHECK(is_refused("alloc_timeout", std::numeric_limits<double>::quiet_NaN()));
    CHECK(is_refused("alloc_timeout", std::string("soon")));
}

TEST_CASE("a key of another type or out of range is named") {
    CHECK(is_refused("session_id", std::int64_t{1}));
    CHECK(is_refused("session_id", std::string(257, 's')));
    CHECK(is_refused("step_id", codec::Buffer(3)));
    CHECK(is_refused("max_length", std::int64_t{-1}));
    CHECK(is_refused("max_length", std::int64_t{1} << 32));
    CHECK(is_refused("max_length", std::uint64_t{1} << 63));
    CHECK(is_refused("max_length", 64.0));
    CHECK(is_refused("max_length", true));
    CHECK(is_refused("active_adapter", codec::MsgArray()));
    CHECK(is_refused("start_from_position", std::int64_t{-5}));
    CHECK(is_refused("start_from_position", std::string("5")));
    CHECK(is_refused("pushed", std::int64_t{1}));
}

TEST_CASE("what is no map is refused") {
    for (const char* hex : {"90", "05", "c0", "81", "8100", "c1", "deffff", "df00ffffff"})
        CHECK_MESSAGE(!decode_step(from_hex(hex)).has_value(), hex);
}

TEST_CASE("metadata over 64 KiB are refused") {
    const codec::Buffer large = with_key("hello", codec::Buffer(std::size_t{64} << 10));
    CHECK_FALSE(decode_step(large).has_value());
}

TEST_CASE("args_structure is what stock clients send") {
    CHECK(to_hex(codec::encode_msgpack(args_structure(2))) ==
          "c7124092c70d4092c4045f5f5430c4045f5f543180");
    CHECK(to_hex(codec::encode_msgpack(args_structure(3))) ==
          "c7184092c7134093c4045f5f5430c4045f5f5431c4045f5f543280");
}
