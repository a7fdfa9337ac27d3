#include "tensor/packed_matrix.hpp"

#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "tensor/test_matrix.hpp"

namespace kwaai::tensor {
namespace {

TEST_CASE("a buffer from the heap is aligned and zero") {
    HeapSource heap;
    const auto buffer = heap.allocate(1000);
    REQUIRE(buffer);
    CHECK(buffer->size() == 1000);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64 == 0);
    for (std::size_t i = 0; i < buffer->size(); ++i)
        REQUIRE(buffer->data()[i] == std::byte{0});
    CHECK(heap.allocate(0)->size() == 0);
}

TEST_CASE("memory that is not there is an error, not a crash") {
    HeapSource heap;
    const auto buffer = heap.allocate(~std::size_t{0});
    REQUIRE(!buffer);
    CHECK(buffer.error().code == Errc::limit_exceeded);
}

TEST_CASE("a packed row decodes to the bits of the file's row") {
    for (const Dtype dtype : kDtypes) {
        CAPTURE(to_string(dtype));
        const std::size_t block = block_values(dtype);
        for (const std::size_t k : {block, 2 * block, 3 * block, 7 * block}) {
            for (const std::size_t rows : {1u, 15u, 16u, 17u, 37u}) {
                const FileMatrix file(dtype, rows, k, 100 + k + rows);
                const PackedMatrix packed = file.pack();
                CHECK(packed.rows() == rows);
                CHECK(packed.k() == k);
                CHECK(packed.format() == packed_format(dtype));
                for (std::size_t row = 0; row < rows; ++row) {
                    std::vector<float> got(k);
                    packed.row(row, got.data());
                    CHECK(same_bits(got, file.row(row)));
                }
            }
        }
    }
}

TEST_CASE("whole panels take the bytes of the file, Q6_K one percent more") {
    for (const Dtype dtype : {Dtype::f32,
                              Dtype::f16,
                              Dtype::q8_0,
                              Dtype::q4_0,
                              Dtype::q4_1,
                              Dtype::q4_k,
                              Dtype::q6_k}) {
        CAPTURE(to_string(dtype));
        const FileMatrix file(dtype, 32, 512, 1);
        const std::size_t size = file.pack().size_bytes();
        CHECK(size >= file.size_bytes());
        if (dtype == Dtype::q6_k)
            CHECK(size * 100 <= file.size_bytes() * 101);
        else
            CHECK(size == file.size_bytes());
    }
}

TEST_CASE("packing gives the same matrix from a mapped and an unmapped file, for any workers") {
    const FileMatrix file(Dtype::q4_k, 100, 512, 2);
    const PackedMatrix want = file.pack();
    const UnmappedSource unmapped(file.bytes());
    HeapSource memory;
    BackwardExecutor backward(3);
    MatrixSource source = file.source();
    for (const ByteSource* bytes : {source.bytes, static_cast<const ByteSource*>(&unmapped)}) {
        source.bytes = bytes;
        std::atomic<std::uint64_t> done = 0;
        const auto packed = PackedMatrix::pack(source, memory, backward, &done);
        REQUIRE(packed);
        CHECK(done == file.size_bytes());
        REQUIRE(packed->size_bytes() == want.size_bytes());
        CHECK(std::memcmp(packed->panel(0), want.panel(0), want.size_bytes()) == 0);
    }
}

TEST_CASE("rows can be permuted while packing") {
    const FileMatrix file(Dtype::q8_0, 40, 64, 3);
    MatrixSource source = file.source();
    source.head_dim = 8;
    source.source_row = [](std::size_t row, std::size_t head_dim) {
        return row / head_dim * head_dim + (head_dim - 1 - row % head_dim);
    };
    HeapSource memory;
    SerialExecutor serial;
    const auto packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(packed);
    for (std::size_t row = 0; row < 40; ++row) {
        std::vector<float> got(64);
        packed->row(row, got.data());
        CHECK(same_bits(got, file.row(row / 8 * 8 + 7 - row % 8)));
    }
}

TEST_CASE("a matrix that does not fit its file or its blocks is refused") {
    const FileMatrix file(Dtype::q4_0, 20, 64, 4);
    HeapSource memory;
    SerialExecutor serial;
    MatrixSource source = file.source();
    source.rows = 21;
    auto packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::malformed);

    source = file.source();
    source.offset = ~std::uint64_t{0};
    packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::malformed);

    source = file.source();
    source.k = 0;
    packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::malformed);

    source = file.source();
    source.k = 63;
    packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::malformed);

    source = file.source();
    source.rows = std::size_t{1} << 60;
    source.k = std::size_t{1} << 20;
    packed = PackedMatrix::pack(source, memory, serial);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::limit_exceeded);
}

TEST_CASE("the first read that fails is reported whatever the order of work") {
    const FileMatrix file(Dtype::f32, 64, 4096, 5);
    const std::size_t row_bytes = file.size_bytes() / 64;
    const UnmappedSource broken(file.bytes(), FileMatrix::kOffset + 20 * row_bytes);
    MatrixSource source = file.source();
    source.bytes = &broken;
    HeapSource memory;
    BackwardExecutor backward(2);
    const auto packed = PackedMatrix::pack(source, memory, backward);
    REQUIRE(!packed);
    CHECK(packed.error().code == Errc::io);
    CHECK(packed.error().context ==
          "broken at " + std::to_string(FileMatrix::kOffset + 20 * row_bytes));
}

}  // namespace
}  // namespace kwaai::tensor
