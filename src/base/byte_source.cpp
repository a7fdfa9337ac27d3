#include "base/byte_source.hpp"

#include <cstring>

namespace kwaai {

Result<void> MemorySource::read(std::uint64_t offset, MutableBytes out) const {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
        return fail(Errc::malformed,
                    name_ + ": " + std::to_string(out.size()) + " bytes at offset " +
                        std::to_string(offset) + " pass the end (" + std::to_string(bytes_.size()) +
                        " bytes)");
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
}

Bytes MemorySource::view(std::uint64_t offset, std::size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return {};
    return bytes_.subspan(static_cast<std::size_t>(offset), size);
}

}  // namespace kwaai
