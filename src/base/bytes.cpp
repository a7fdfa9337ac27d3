#include "base/bytes.hpp"

#include <bit>
#include <string>

namespace kwaai {

static_assert(std::endian::native == std::endian::little,
              "files and wires are little-endian and read by copying");

std::unexpected<Error> ByteReader::truncated(std::size_t wanted) const {
    return fail(Errc::malformed,
                "truncated: " + std::to_string(wanted) + " bytes wanted at offset " +
                    std::to_string(position_) + ", " + std::to_string(remaining()) + " left");
}

}  // namespace kwaai
