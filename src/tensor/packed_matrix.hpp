// A weight matrix in panels of 16 rows, repacked once from the bytes of a model file, and its
// products with rows of activations. The layout is that of kernels/matmul.hpp.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_source.hpp"
#include "base/executor.hpp"
#include "base/result.hpp"
#include "kernels/isa.hpp"
#include "tensor/buffer.hpp"
#include "tensor/dtype.hpp"

namespace kwaai::tensor {

/// Where a matrix [rows, k] lies in a file: row-major, rows of whole blocks.
struct MatrixSource {
    const ByteSource* bytes = nullptr;
    std::uint64_t offset = 0;
    Dtype dtype = Dtype::f32;
    std::size_t rows = 0;
    std::size_t k = 0;
    /// Permutes rows while packing: row i of the matrix is row source_row(i) of the file; null for
    /// none. (Hugging Face checkpoints order q and k rows for NEOX rope.)
    std::size_t (*source_row)(std::size_t row, std::size_t head_dim) = nullptr;
    std::size_t head_dim = 0;
};

/// The format that stores `dtype` without loss: Q5 types become u6 (10 bits a weight), BF16 becomes
/// f32, the others keep their size.
[[nodiscard]] kernels::Format packed_format(Dtype dtype);

/// Weights [rows, k]. Immutable after `pack`; shared between threads.
class PackedMatrix {
public:
    PackedMatrix() = default;

    /// Repacks `source`, panels in parallel; `packed_bytes`, where given, grows as source bytes are
    /// done (progress). `Errc::io` or `malformed` when the source cannot be read, `limit_exceeded`
    /// without memory.
    static Result<PackedMatrix> pack(const MatrixSource& source,
                                     BufferSource& memory,
                                     Executor& executor,
                                     std::atomic<std::uint64_t>* packed_bytes = nullptr);

    [[nodiscard]] std::size_t rows() const { return rows_; }

    [[nodiscard]] std::size_t k() const { return k_; }

    [[nodiscard]] kernels::Format format() const { return format_; }

    /// Activations that share a scale in products with these weights: as many as a block of the
    /// file's type has; 1 where activations are not quantised.
    [[nodiscard]] std::size_t activation_group() const { return block_values(dtype_); }

    [[nodiscard]] std::size_t size_bytes() const { return buffer_.size(); }

    /// Records of a panel.
    [[nodiscard]] std::size_t records() const { return records_; }

    [[nodiscard]] std::size_t panels() const {
        return (rows_ + kernels::kPanelRows - 1) / kernels::kPanelRows;
    }

    [[nodiscard]] const std::byte* panel(std::size_t index) const {
        return buffer_.data() + index * records_ * kernels::record_bytes(format_);
    }

    /// Decodes row `row` to out [k]: the same values as `dequantise` of the file's row.
    void row(std::size_t row, float* out) const;

private:
    Buffer buffer_;
    std::size_t rows_ = 0;
    std::size_t k_ = 0;
    std::size_t records_ = 0;
    kernels::Format format_ = kernels::Format::f32;
    Dtype dtype_ = Dtype::f32;
};

/// Rows of activations [rows, k]: as given, and quantised as the last product needed them.
class ActivationRows {
public:
    /// Takes x [rows][stride >= k], which must stay until the products are done.
    void set(const float* x, std::size_t stride, std::size_t rows, std::size_t k);

    /// Quantises, in parallel, with a scale per `group` values; reuses its memory.
    void quantise(std::size_t group, Executor& executor, const kernels::Isa& isa);

    [[nodiscard]] std::size_t rows() const { return rows_; }

    [[nodiscard]] std::size_t k() const { return k_; }

    /// The tile that starts at `row`: a multiple of isa.tile_rows_max.
    [[nodiscard]] const kernels::Act* tile(std::size_t row) const { return acts_ + row * blocks_; }

    [[nodiscard]] std::size_t blocks() const { return blocks_; }

    /// Scratch of `worker` < workers(): kWideChunk blocks of an unpacked panel; null below
    /// kWideRowsMin rows.
    [[nodiscard]] kernels::Wide* wide(unsigned worker) const {
        return wide_ == nullptr ? nullptr : wide_ + std::size_t{worker} * kernels::kWideChunk;
    }

    [[nodiscard]] const float* x() const { return x_; }

    [[nodiscard]] std::size_t stride() const { return stride_; }

private:
    std::vector<std::byte> memory_;
    kernels::Act* acts_ = nullptr;
    kernels::Wide* wide_ = nullptr;
    const float* x_ = nullptr;
    std::size_t stride_ = 0;
    std::size_t rows_ = 0;
    std::size_t k_ = 0;
    std::size_t blocks_ = 0;  // of 32 k, rounded up to whole records of every format
};

/// One product of a batch: out[row * out_stride + i] = dot(weights row i, activation row).
struct Product {
    const PackedMatrix* weights;
    float* out;
    std::size_t out_stride;
};

/// All products of the same activations, in one parallel loop for those that quantise them alike.
/// Outputs are written in whole panels: out needs room for rows rounded up to 16. Bits do not
/// depend on the executor, the ISA, the number of activation rows or the other products.
void multiply(std::span<const Product> products,
              ActivationRows& x,
              Executor& executor,
              const kernels::Isa& isa);

}  // namespace kwaai::tensor
