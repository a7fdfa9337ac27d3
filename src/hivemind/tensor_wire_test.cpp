// Vectors of petals-wire-vectors.txt and hivemind-protocol.md §4.2, Appendix A.11 (Hivemind's own
// code wrote them).
#include "hivemind/tensor_wire.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.hpp"
#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

using namespace kwaai;
using namespace kwaai::hivemind;

namespace {

using testing::from_hex;
using testing::to_hex;

const std::vector<float> kValues = {1.0f, -2.0f, 0.5f, 3.140625f};

std::string encoded(const WireTensor& tensor) {
    codec::Buffer bytes;
    encode_tensor(bytes, tensor);
    codec::Buffer framed;
    const TensorFrame frame = frame_tensor(tensor);
    codec::append(framed, frame.head);
    codec::append(framed, tensor.buffer);
    codec::append(framed, frame.tail);
    CHECK(framed == bytes);
    return to_hex(bytes);
}

WireTensor decoded(std::string_view hex) {
    Result<WireTensor> tensor = decode_tensor(from_hex(hex));
    REQUIRE_MESSAGE(tensor.has_value(), hex);
    return std::move(*tensor);
}

Errc decode_error(std::string_view hex) {
    const Result<WireTensor> tensor = decode_tensor(from_hex(hex));
    REQUIRE_MESSAGE(!tensor.has_value(), hex);
    return tensor.error().code;
}

std::vector<float> floats(std::string_view hex) {
    Result<std::vector<float>> values = float_values(decoded(hex));
    REQUIRE_MESSAGE(values.has_value(), hex);
    return std::move(*values);
}

}  // namespace

TEST_CASE("float tensors write and read as Hivemind's in every type and compression") {
    struct Vector {
        WireType type;
        Compression compression;
        const char* hex;
    };

    for (const Vector& vector : {
             Vector{WireType::bfloat16,
                    Compression::none,
                    "0a08803f00c0003f49401203010104220862666c6f61743136"},
             Vector{WireType::float16,
                    Compression::none,
                    "0a08003c00c00038484212030101042207666c6f61743136"},
             Vector{WireType::float32,
                    Compression::none,
                    "0a100000803f000000c00000003f0000494012030101042207666c6f61743332"},
             Vector{WireType::float32,
                    Compression::float16,
                    "0a08003c00c00038484212030101042207666c6f617433322802"},
             Vector{WireType::float16,
                    Compression::float16,
                    "0a08003c00c00038484212030101042207666c6f617431362802"},
         }) {
        CHECK(encoded(make_tensor({1, 1, 4}, kValues, vector.type, vector.compression)) ==
              vector.hex);
        const WireTensor tensor = decoded(vector.hex);
        CHECK(tensor.shape == std::vector<std::uint32_t>{1, 1, 4});
        CHECK(tensor.type == vector.type);
        CHECK(tensor.compression == vector.compression);
        CHECK(encoded(tensor) == vector.hex);
        CHECK(float_values(tensor) == kValues);
    }
}

TEST_CASE("dummies, scalars, empty shapes, gradients and integers write and read as Hivemind's") {
    CHECK(encoded(make_dummy(WireType::float32)) == "1201002207666c6f61743332");
    CHECK(encoded(make_dummy(WireType::int64)) == "1201002205696e743634");
    CHECK(floats("1201002207666c6f61743332").empty());
    CHECK(encoded(make_tensor({}, std::vector<float>{3.5f}, WireType::float32)) ==
          "0a04000060402207666c6f61743332");
    CHECK(floats("0a04000060402207666c6f61743332") == std::vector<float>{3.5f});
    CHECK(floats("120202002207666c6f61743332").empty());

    const std::string gradient =
        "0a100000803f000000c00000003f00004940120301010418012207666c6f61743332";
    CHECK(decoded(gradient).requires_grad);
    CHECK(encoded(decoded(gradient)) == gradient);

    const std::string order = "0a10000000000000000001000000000000001201022205696e743634";
    CHECK(int_values(decoded(order)) == std::vector<std::int64_t>{0, 1});
    CHECK(encoded(make_int_tensor({2}, std::vector<std::int64_t>{0, 1})) == order);
    CHECK(encoded(decoded("0a0201001201022204626f6f6c")) == "0a0201001201022204626f6f6c");
}

TEST_CASE("bfloat16 in Hivemind's legacy form has four bytes a value") {
    CHECK(floats("0a080000803f000020c0120102220862666c6f61743136") ==
          std::vector<float>{1.0f, -2.5f});
    CHECK(floats("0a04803f20c0120102220862666c6f61743136") == std::vector<float>{1.0f, -2.5f});
    CHECK(decode_error("0a06803f20c08000120102220862666c6f61743136") == Errc::malformed);
}

TEST_CASE("16-bit values round to nearest even, and FLOAT16 clamps what halves cannot hold") {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> extremes = {1e6f, -1e6f, 65504.0f, 1e-8f, kNan, kInf};
    CHECK(to_hex(make_tensor({6}, extremes, WireType::float32, Compression::float16).buffer) ==
          "ff7bfffbff7b0000007eff7b");
    CHECK(to_hex(make_tensor({6}, extremes, WireType::float16).buffer) ==
          "007c00fcff7b0000007e007c");
    // 1 + 2^-8 lies half way between two bfloat16: to the even one; above it, up.
    const std::vector<float> ties = {0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, -0x1.01p0f};
    CHECK(to_hex(make_tensor({4}, ties, WireType::bfloat16).buffer) == "803f823f813f80bf");
    const std::vector<float> others = {kInf, 0x1.fffffep127f, kNan};
    const WireTensor tensor = make_tensor({3}, others, WireType::bfloat16);
    CHECK(to_hex(tensor.buffer) == "807f807fc07f");
}

TEST_CASE("values that are not finite are refused where that is asked for") {
    const std::vector<float> values = {1.0f, std::numeric_limits<float>::infinity()};
    for (const WireType type : {WireType::float32, WireType::float16, WireType::bfloat16}) {
        const WireTensor tensor = make_tensor({2}, values, type);
        CHECK(float_values(tensor).has_value());
        const auto refused = float_values(tensor, DecodeOptions{.is_finite_required = true});
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == Errc::malformed);
    }
}

TEST_CASE("a tensor whose bytes do not fit its shape is malformed") {
    CHECK(decode_error("0a0400006040120102"
                       "2207666c6f61743332") == Errc::malformed);
    CHECK(decode_error("120102"
                       "2207666c6f61743332") == Errc::malformed);  // no bytes
    CHECK(decode_error("0a0400006040120100"
                       "2207666c6f61743332") == Errc::malformed);
    CHECK(decode_error("0a04003c00c0120102"
                       "2207666c6f61743332") == Errc::malformed);
    CHECK(decode_error("0a080000803f000020c0120102"
                       "2207666c6f617433322802") == Errc::malformed);
}

TEST_CASE("shapes over their limits are malformed, however their extents multiply") {
    const std::string type = "2207666c6f61743332";
    CHECK(decode_error("1211" + std::string(34, '0') + type) == Errc::malformed);  // 17 extents
    CHECK(decode_error("1205"
                       "8080808010" +
                       type) == Errc::malformed);  // 2^32
    CHECK(decode_error("120a"
                       "ffffffff0fffffffff0f" +
                       type) == Errc::malformed);  // 2^64
    CHECK(decode_error("1205"
                       "8180808008" +
                       type) == Errc::malformed);             // 2^31 + 1
    CHECK(decode_error("120180" + type) == Errc::malformed);  // cut short
}

TEST_CASE("extents that are not packed are read as well") {
    CHECK(decoded("0a080000803f000020c0100110022207666c6f61743332").shape ==
          std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("a missing type is malformed, an unknown one unsupported") {
    CHECK(decode_error("0a0400006040") == Errc::malformed);
    CHECK(decode_error("") == Errc::malformed);
    CHECK(decode_error("0a01001201012204696e7438") == Errc::unsupported);  // int8
    CHECK(decode_error("0a0400006040"
                       "2207666c6f617433322806") == Errc::unsupported);
    CHECK(decode_error("0a02803f"
                       "220862666c6f617431362802") == Errc::malformed);  // as FLOAT16
}

TEST_CASE("values of encodings that are not spoken are unsupported, not guessed") {
    const WireTensor quantised = decoded(
        "0a0400010203120104"
        "2207666c6f617433322804");
    const auto values = float_values(quantised);
    REQUIRE(!values.has_value());
    CHECK(values.error().code == Errc::unsupported);
    CHECK(!float_values(decoded("1201002205696e743634")).has_value());
    CHECK(!int_values(decoded("1201002207666c6f61743332")).has_value());
}

TEST_CASE("a tensor in chunks reads and writes as Hivemind's") {
    const std::vector<float> values = {0.0f, 1.0f, 2.0f, 3.0f, 4.0f};
    const WireTensor tensor = make_tensor({5}, values, WireType::float32);
    const std::vector<codec::Buffer> messages = encode_chunks(tensor, 8);
    REQUIRE(messages.size() == 3);
    CHECK(to_hex(messages[0]) == "0a08000000000000803f1201052207666c6f617433323003");
    CHECK(to_hex(messages[1]) == "0a080000004000004040");
    CHECK(to_hex(messages[2]) == "0a0400008040");

    TensorJoiner joiner(1000);
    for (const codec::Buffer& message : messages)
        REQUIRE(joiner.push(message).has_value());
    REQUIRE(joiner.push(encode_chunks(make_dummy(WireType::int64), 8).front()).has_value());
    const auto joined = joiner.finish();
    REQUIRE(joined.has_value());
    REQUIRE(joined->size() == 2);
    CHECK(float_values(joined->front()) == values);
    CHECK(joined->back().shape == std::vector<std::uint32_t>{0});
}

TEST_CASE("chunks that do not make a tensor are malformed, too many bytes are over the limit") {
    const auto push = [](TensorJoiner& joiner, std::string_view hex) {
        const Result<> pushed = joiner.push(from_hex(hex));
        return pushed ? std::optional<Errc>() : pushed.error().code;
    };
    const std::string first = "0a08000000000000803f1201042207666c6f617433323002";
    TensorJoiner orphan(1000);
    CHECK(push(orphan, "0a0400008040") == Errc::malformed);
    TensorJoiner early(1000);
    CHECK(push(early, first) == std::nullopt);
    CHECK(push(early, first) == Errc::malformed);
    TensorJoiner unfinished(1000);
    CHECK(push(unfinished, first) == std::nullopt);
    CHECK(!unfinished.finish().has_value());
    TensorJoiner large(10);
    CHECK(push(large, first) == std::nullopt);
    CHECK(push(large, "0a0400008040") == Errc::limit_exceeded);
    TensorJoiner many(10);
    std::optional<Errc> error;
    for (int i = 0; i < 100'000 && !error; ++i)
        error = push(many, "1201002205696e743634");
    CHECK(error == Errc::limit_exceeded);
}

TEST_CASE("values survive the wire within their type's precision") {
    CounterRandom random(testing::seed(20261124));
    std::vector<float> values(1000);
    for (float& value : values)
        value = static_cast<float>((random.next_unit() - 0.5) * std::exp2(random.next_unit() * 20));
    const auto back = [&values](WireType type, Compression compression) {
        codec::Buffer bytes;
        encode_tensor(bytes, make_tensor({10, 100}, values, type, compression));
        const Result<WireTensor> tensor = decode_tensor(bytes);
        REQUIRE(tensor.has_value());
        const auto read = float_values(*tensor);
        REQUIRE(read.has_value());
        return *read;
    };
    CHECK(back(WireType::float32, Compression::none) == values);
    const auto halves = back(WireType::float32, Compression::float16);
    const auto brains = back(WireType::bfloat16, Compression::none);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::abs(values[i]) < 65504.0f)
            CHECK(std::abs(halves[i] - values[i]) <= std::abs(values[i]) * 0x1p-11f + 0x1p-25f);
        CHECK(std::abs(brains[i] - values[i]) <= std::abs(values[i]) * 0x1p-8f);
    }
}
