// Aligned memory with an owner, and where it comes from: the heap, or 2 MB pages in `engine`.
#pragma once
#include <cstddef>
#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kwaai::tensor {

/// A block of memory aligned to 64 bytes at least, freed by the function it came with. Movable,
/// zero-filled when new.
class Buffer {
public:
    using Release = void (*)(std::byte* data, std::size_t size);

    Buffer() = default;

    Buffer(std::byte* data, std::size_t size, Release release)
        : data_(data), size_(size), release_(release) {}

    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          release_(other.release_) {}

    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(release_, other.release_);
        return *this;
    }

    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    ~Buffer() {
        if (data_ != nullptr) release_(data_, size_);
    }

    [[nodiscard]] std::byte* data() const { return data_; }

    [[nodiscard]] std::size_t size() const { return size_; }

    /// The memory as objects of a trivial type.
    template <class T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(data_);
    }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    Release release_ = nullptr;
};

/// Gives buffers. `Errc::limit_exceeded` with the size wanted when there is no memory. Safe from
/// several threads.
class BufferSource {
public:
    BufferSource() = default;
    BufferSource(const BufferSource&) = delete;
    BufferSource& operator=(const BufferSource&) = delete;
    virtual ~BufferSource() = default;
    virtual Result<Buffer> allocate(std::size_t size) = 0;
};

/// The C++ heap.
class HeapSource final : public BufferSource {
public:
    Result<Buffer> allocate(std::size_t size) override;
};

}  // namespace kwaai::tensor
