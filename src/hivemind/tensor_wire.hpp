// Hivemind's message `Tensor` (runtime.proto): a shape, a type, and values in one of its encodings.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"

namespace kwaai::hivemind {

/// runtime.proto CompressionType. Only NONE and FLOAT16 are spoken so far.
enum class Compression : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    none = 0,
    meanstd_16bit = 1,
    float16 = 2,
    quantile_8bit = 3,
    uniform_8bit = 4,
    blockwise_8bit = 5,
};

/// Types of values, by their numpy names in `dtype`.
enum class WireType : std::uint8_t {
    float32,
    float16,
    bfloat16,
    float64,
    int64,
    int32,
    uint8,
    boolean
};

[[nodiscard]] std::string_view to_string(WireType type);
[[nodiscard]] std::size_t size_of(WireType type);

/// A tensor message, as it travels. `buffer` is little-endian, C order.
struct WireTensor {
    std::vector<std::uint32_t> shape;  // at most 16 extents
    WireType type = WireType::float32;
    Compression compression = Compression::none;
    bool requires_grad = false;
    std::uint32_t chunks = 0;
    codec::Buffer buffer;

    /// Product of the shape; checked by decode to fit 2^31.
    [[nodiscard]] std::size_t element_count() const;
};

/// Makes a float tensor of `shape` from f32 values, in 32 or 16 bits on the wire (16-bit values
/// round to nearest even). Compression::float16 (with float32 or float16) sends halves whatever the
/// type, clamped to ±65504 where they would be infinite.
[[nodiscard]] WireTensor make_tensor(std::vector<std::uint32_t> shape,
                                     std::span<const float> values,
                                     WireType type,
                                     Compression compression = Compression::none);
/// Makes an int64 tensor.
[[nodiscard]] WireTensor make_int_tensor(std::vector<std::uint32_t> shape,
                                         std::span<const std::int64_t> values);
/// The tensor that stands for an absent one: shape [0].
[[nodiscard]] WireTensor make_dummy(WireType type);

/// Fields in the order of their tags, as protobuf writes them; the shape packed.
void encode_tensor(codec::Buffer& out, const WireTensor& tensor);

/// Everything before the payload of field `buffer`, for a send without a copy: `head` then the
/// payload then `tail` are encode_tensor's bytes.
struct TensorFrame {
    codec::Buffer head;
    codec::Buffer tail;
};

[[nodiscard]] TensorFrame frame_tensor(const WireTensor& tensor);

/// `Errc::malformed` where fields are missing or the buffer's size does not fit shape, type and
/// compression (a chunk of a longer tensor, with `chunks` > 1, is not checked for that);
/// `unsupported` for a type that is not in WireType.
[[nodiscard]] Result<WireTensor> decode_tensor(Bytes message);

/// The messages of a tensor that is sent in pieces of at most `chunk_bytes` bytes of its buffer:
/// the first says all about it, the others carry bytes only (hivemind-protocol.md §4.3).
[[nodiscard]] std::vector<codec::Buffer> encode_chunks(const WireTensor& tensor,
                                                       std::size_t chunk_bytes);

/// Puts tensors together whose messages may be chunks: one that names its type begins a tensor.
class TensorJoiner {
public:
    /// @param bytes_max of all buffers together
    explicit TensorJoiner(std::size_t bytes_max) : bytes_left_(bytes_max) {}

    /// `Errc::malformed` where a tensor begins before the last one is whole, has more bytes than
    /// its shape needs, or none has begun; `limit_exceeded`. Of no use after an error.
    [[nodiscard]] Result<> push(Bytes message);
    /// The tensors, in order, their `chunks` as they were sent. `Errc::malformed` where the last
    /// one is not whole.
    [[nodiscard]] Result<std::vector<WireTensor>> finish();

private:
    std::size_t bytes_left_;
    std::vector<WireTensor> tensors_;
};

/// The values as f32: NONE of float32, float16, bfloat16 (also Hivemind's legacy form, 4 bytes a
/// value) and FLOAT16. `Errc::unsupported` for other encodings, `malformed` for NaN and infinities
/// where `finite` is set.
struct DecodeOptions {
    bool is_finite_required = false;
};

[[nodiscard]] Result<std::vector<float>> float_values(
    const WireTensor& tensor, const DecodeOptions& options = DecodeOptions());
/// The values of an int64 tensor.
[[nodiscard]] Result<std::vector<std::int64_t>> int_values(const WireTensor& tensor);

}  // namespace kwaai::hivemind
