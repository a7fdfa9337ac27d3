#include "tensor/buffer.hpp"

#include <cstring>
#include <limits>
#include <new>
#include <string>

namespace kwaai::tensor {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr std::size_t kSizeMax = std::numeric_limits<std::ptrdiff_t>::max();

}  // namespace

Result<Buffer> HeapSource::allocate(std::size_t size) {
    if (size == 0) return Buffer();
    void* data = size > kSizeMax ? nullptr : ::operator new(size, kAlignment, std::nothrow);
    if (data == nullptr) {
        return fail(Errc::limit_exceeded,
                    "no memory for a buffer of " + std::to_string(size) +
                        " bytes; free some or use a smaller model");
    }
    std::memset(data, 0, size);
    return Buffer(static_cast<std::byte*>(data), size, [](std::byte* p, std::size_t) {
        ::operator delete(p, kAlignment);
    });
}

}  // namespace kwaai::tensor
