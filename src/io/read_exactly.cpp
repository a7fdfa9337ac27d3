#include "io/read_exactly.hpp"

#include <string>

namespace kwaai::io {

Task<Result<>> read_exactly(Stream& stream, MutableBytes into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const MutableBytes rest = into.subspan(filled);
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(rest));
        if (count == 0)
            co_return fail(Errc::closed,
                           "the stream ended after " + std::to_string(filled) + " of " +
                               std::to_string(into.size()) + " bytes");
        filled += count;
    }
    co_return Result<>();
}

}  // namespace kwaai::io
