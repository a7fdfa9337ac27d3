// Files of this machine as byte sources.
#pragma once
#include <memory>
#include <string>

#include "base/byte_source.hpp"
#include "base/result.hpp"
#include "inference/model_file.hpp"

namespace kwaai::engine {

/// A file mapped read-only. `view` is the mapping itself; `read` goes through the file descriptor,
/// so that a file that is cut short while it is read gives an error where the mapping would raise
/// SIGBUS. `Errc::not_found`, `io` (directories, no permission) with the path and the system's
/// reason.
Result<std::unique_ptr<ByteSource>> map_file(const std::string& path);

/// Opens files for open_model.
class LocalFiles final : public inference::FileOpener {
public:
    Result<std::unique_ptr<ByteSource>> open(const std::string& path) override {
        return map_file(path);
    }

    [[nodiscard]] bool is_directory(const std::string& path) override;
};

}  // namespace kwaai::engine
