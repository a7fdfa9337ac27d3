// Random matrices in the bytes of a file, for the tests of this room.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/byte_source.hpp"
#include "base/executor.hpp"
#include "base/random.hpp"
#include "kernels/isa.hpp"
#include "tensor/dtype.hpp"
#include "tensor/packed_matrix.hpp"

namespace kwaai::tensor {

inline constexpr Dtype kDtypes[] = {Dtype::f32,
                                    Dtype::f16,
                                    Dtype::bf16,
                                    Dtype::q8_0,
                                    Dtype::q4_0,
                                    Dtype::q4_1,
                                    Dtype::q5_0,
                                    Dtype::q5_1,
                                    Dtype::q4_k,
                                    Dtype::q5_k,
                                    Dtype::q6_k};

/// Blocks of random codes whose scales are small halves of either sign.
inline std::vector<std::byte> random_blocks(Dtype dtype, std::size_t count, CounterRandom& random) {
    std::vector<std::byte> bytes(count * block_bytes(dtype));
    for (std::byte& b : bytes)
        b = static_cast<std::byte>(random.next());
    const auto small = [&] {
        return static_cast<float>(random.next_unit() - 0.5) * 0.05f;
    };
    for (std::size_t i = 0; i < count; ++i) {
        std::byte* block = bytes.data() + i * block_bytes(dtype);
        const auto set_half = [&](std::size_t at) {
            const std::uint16_t half = float_to_half(small());
            std::memcpy(block + at, &half, sizeof half);
        };
        const float value = small();
        switch (dtype) {
            case Dtype::f32: std::memcpy(block, &value, sizeof value); break;
            case Dtype::bf16:  // the upper half of a float, the bytes being little-endian
                std::memcpy(block, reinterpret_cast<const std::byte*>(&value) + 2, 2);
                break;
            case Dtype::q6_k: set_half(208); break;
            case Dtype::f16:
            case Dtype::q8_0:
            case Dtype::q4_0:
            case Dtype::q5_0: set_half(0); break;
            case Dtype::q4_1:
            case Dtype::q5_1:
            case Dtype::q4_k:
            case Dtype::q5_k:
                set_half(0);
                set_half(2);
                break;
        }
    }
    return bytes;
}

/// A matrix [rows, k] at an offset of a file in memory.
class FileMatrix {
public:
    static constexpr std::size_t kOffset = 64;

    FileMatrix(Dtype dtype, std::size_t rows, std::size_t k, std::uint64_t seed)
        : dtype_(dtype),
          rows_(rows),
          k_(k),
          bytes_(blocks_after_offset(dtype, rows * k, seed)),
          source_("matrix.gguf", bytes_) {}

    FileMatrix(const FileMatrix&) = delete;
    FileMatrix& operator=(const FileMatrix&) = delete;

    [[nodiscard]] MatrixSource source() const { return {&source_, kOffset, dtype_, rows_, k_}; }

    [[nodiscard]] std::size_t size_bytes() const { return bytes_.size() - kOffset; }

    [[nodiscard]] Bytes bytes() const { return bytes_; }

    /// Row `index` as `dequantise` decodes it.
    [[nodiscard]] std::vector<float> row(std::size_t index) const {
        const std::size_t size = size_bytes() / rows_;
        std::vector<float> out(k_);
        dequantise(dtype_, bytes().subspan(kOffset + index * size, size), k_, out.data());
        return out;
    }

    [[nodiscard]] PackedMatrix pack() const {
        HeapSource memory;
        SerialExecutor serial;
        return std::move(PackedMatrix::pack(source(), memory, serial)).value();
    }

private:
    static std::vector<std::byte> blocks_after_offset(Dtype dtype,
                                                      std::size_t values,
                                                      std::uint64_t seed) {
        CounterRandom random(seed);
        auto bytes = random_blocks(dtype, values / block_values(dtype), random);
        bytes.insert(bytes.begin(), kOffset, std::byte{0x5a});
        return bytes;
    }

    Dtype dtype_;
    std::size_t rows_;
    std::size_t k_;
    std::vector<std::byte> bytes_;
    MemorySource source_;
};

/// Bytes that can only be read, not viewed; reads at `broken_at` and after fail.
class UnmappedSource final : public ByteSource {
public:
    explicit UnmappedSource(Bytes bytes, std::uint64_t broken_at = ~std::uint64_t{0})
        : bytes_("unmapped.gguf", bytes), broken_at_(broken_at) {}

    [[nodiscard]] std::string name() const override { return bytes_.name(); }

    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override {
        if (offset >= broken_at_) return fail(Errc::io, "broken at " + std::to_string(offset));
        return bytes_.read(offset, out);
    }

    [[nodiscard]] Bytes view(std::uint64_t, std::size_t) const override { return {}; }

private:
    MemorySource bytes_;
    std::uint64_t broken_at_;
};

/// Runs tasks backwards, dealt out to several workers: the order a pool could take.
class BackwardExecutor final : public Executor {
public:
    explicit BackwardExecutor(unsigned workers) : workers_(workers) {}

    [[nodiscard]] unsigned worker_count() const override { return workers_; }

    void run(std::size_t count, FunctionRef<void(std::size_t, unsigned)> body) override {
        for (std::size_t i = count; i > 0; --i)
            body(i - 1, static_cast<unsigned>(i % workers_));
    }

private:
    unsigned workers_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace kwaai::tensor
