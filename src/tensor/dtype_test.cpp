#include "tensor/dtype.hpp"

#include <bit>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "testing/fixtures.hpp"
#include "testing/hex.hpp"

namespace kwaai::tensor {
namespace {

using testing::from_hex;

std::optional<Dtype> dtype_called(std::string name) {
    for (char& c : name)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (int i = 0; i <= static_cast<int>(Dtype::q6_k); ++i) {
        if (to_string(static_cast<Dtype>(i)) == name) return static_cast<Dtype>(i);
    }
    return std::nullopt;
}

TEST_CASE("blocks of every type decode to the bits of the reference vectors") {
    KWAAI_FIXTURE(path, "inference/gguf-quant-vectors.txt");
    std::istringstream lines(testing::read_text(path));
    std::vector<bool> seen(static_cast<std::size_t>(Dtype::q6_k) + 1, false);
    std::string line;
    while (std::getline(lines, line)) {
        if (line.rfind("D ", 0) != 0) continue;
        std::istringstream header(line);
        std::string letter;
        std::string name;
        std::size_t id = 0;
        std::size_t bytes = 0;
        std::size_t values = 0;
        std::size_t blocks = 0;
        header >> letter >> name >> id >> bytes >> values >> blocks;
        std::string hex;
        std::string words;
        REQUIRE(static_cast<bool>(std::getline(lines, hex)));
        REQUIRE(static_cast<bool>(std::getline(lines, words)));
        const auto dtype = dtype_called(name);
        if (!dtype) continue;
        CAPTURE(name);
        seen[static_cast<std::size_t>(*dtype)] = true;
        CHECK(block_bytes(*dtype) == bytes);
        CHECK(block_values(*dtype) == values);
        std::vector<float> got(values * blocks);
        dequantise(*dtype, from_hex(hex), got.size(), got.data());
        std::istringstream want(words);
        for (std::size_t i = 0; i < got.size(); ++i) {
            std::string word;
            REQUIRE(static_cast<bool>(want >> word));
            CAPTURE(i);
            CHECK(std::bit_cast<std::uint32_t>(got[i]) == std::stoul(word, nullptr, 16));
        }
    }
    for (const Dtype dtype : {Dtype::q8_0,
                              Dtype::q4_0,
                              Dtype::q4_1,
                              Dtype::q5_0,
                              Dtype::q5_1,
                              Dtype::q4_k,
                              Dtype::q5_k,
                              Dtype::q6_k}) {
        CAPTURE(to_string(dtype));
        CHECK(seen[static_cast<std::size_t>(dtype)]);
    }
}

TEST_CASE("a block of Q4_0 decodes low nibbles first") {
    std::vector<std::byte> block(18, std::byte{0x70});  // codes 0, then 7
    block[0] = std::byte{0x00};
    block[1] = std::byte{0x3c};  // d = 1
    std::vector<float> out(32);
    dequantise(Dtype::q4_0, block, 32, out.data());
    CHECK(out[0] == -8.0f);
    CHECK(out[15] == -8.0f);
    CHECK(out[16] == -1.0f);
    CHECK(out[31] == -1.0f);
}

TEST_CASE("floats of each width decode") {
    const std::vector<std::byte> half = {std::byte{0x00}, std::byte{0xc0}};
    const std::vector<std::byte> brain = {std::byte{0x40}, std::byte{0xc0}};
    float value = 0;
    dequantise(Dtype::f16, half, 1, &value);
    CHECK(value == -2.0f);
    dequantise(Dtype::bf16, brain, 1, &value);
    CHECK(value == -3.0f);
    const float pi = 3.14159f;
    dequantise(Dtype::f32, std::as_bytes(std::span(&pi, 1)), 1, &value);
    CHECK(value == pi);
    CHECK(float_to_half(1e6f) == 0x7c00);
    CHECK(half_to_float(0x7bff) == 65504.0f);
}

}  // namespace
}  // namespace kwaai::tensor
