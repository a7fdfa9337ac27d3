#include "petals/uuid.hpp"

#include <array>

#include "codec/multibase.hpp"
#include "crypto/random.hpp"

namespace kwaai::petals {

std::string make_uuid() {
    std::array<std::byte, 16> bytes{};
    crypto::fill_random(bytes);
    bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
    bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    std::string text = codec::encode_base(codec::Base::base16, bytes);
    for (const std::size_t dash : {8, 13, 18, 23})
        text.insert(dash, 1, '-');
    return text;
}

}  // namespace kwaai::petals
