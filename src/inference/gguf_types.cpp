#include "inference/gguf_types.hpp"

#include <iterator>
#include <string_view>

namespace kwaai::inference {
namespace {

// Indexed by id. An empty name: never given out, or taken back (4, 5: Q4_2 and Q4_3; 31 to 33:
// Q4_0 repacked on disk; 36 to 38: IQ4_NL repacked).
constexpr std::string_view kNames[] = {
    "F32",     "F16",   "Q4_0",   "Q4_1",  "",      "",       "Q5_0", "Q5_1",    "Q8_0",
    "Q8_1",    "Q2_K",  "Q3_K",   "Q4_K",  "Q5_K",  "Q6_K",   "Q8_K", "IQ2_XXS", "IQ2_XS",
    "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",   "I16",     "I32",
    "I64",     "F64",   "IQ1_M",  "BF16",  "",      "",       "",     "TQ1_0",   "TQ2_0",
    "",        "",      "",       "MXFP4", "NVFP4", "Q1_0",   "Q2_0",
};

}  // namespace

std::optional<tensor::Dtype> dtype_of_ggml(std::uint32_t id) {
    using tensor::Dtype;
    switch (id) {
        case 0: return Dtype::f32;
        case 1: return Dtype::f16;
        case 2: return Dtype::q4_0;
        case 3: return Dtype::q4_1;
        case 6: return Dtype::q5_0;
        case 7: return Dtype::q5_1;
        case 8: return Dtype::q8_0;
        case 12: return Dtype::q4_k;
        case 13: return Dtype::q5_k;
        case 14: return Dtype::q6_k;
        case 30: return Dtype::bf16;
        default: return std::nullopt;
    }
}

std::string ggml_type_name(std::uint32_t id) {
    if (id < std::size(kNames) && !kNames[id].empty()) return std::string(kNames[id]);
    return std::to_string(id) + " (unknown)";
}

}  // namespace kwaai::inference
