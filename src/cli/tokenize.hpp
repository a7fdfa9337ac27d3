// What `kwaai tokenize --decode` reads.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai::cli {

/// Numbers separated by spaces, commas, line ends or brackets. `Errc::invalid_argument` for another
/// word or an id that is not below `vocabulary`.
Result<std::vector<inference::TokenId>> parse_token_ids(std::string_view text,
                                                        std::size_t vocabulary);

}  // namespace kwaai::cli
