// Which model a file holds, told by its bytes.
#pragma once
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "petals/server_info.hpp"

namespace kwaai::petals {

/// SHA-256 over engine::visit_model_bytes of the model at `path`. Blocks: two seconds a GB the
/// first time. Later it comes from a file of its own in `cache_directory`, which is made where it
/// is missing, as long as name, size and time of the model's files stay what they were; a cache
/// that cannot be read or written is done without. Errors of visit_model_bytes; `Errc::cancelled`
/// soon after a request to stop.
[[nodiscard]] Result<ModelDigest> read_model_digest(const std::string& path,
                                                    const std::string& cache_directory,
                                                    std::stop_token stop = {});

}  // namespace kwaai::petals
