// Values of a model's metadata, shortened where they are long.
#pragma once
#include <cstddef>
#include <limits>
#include <string>

#include "inference/model_file.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {

/// What is shown of a value before "…".
struct MetadataLimits {
    std::size_t elements_max = 6;
    std::size_t text_bytes_max = 120;

    [[nodiscard]] static constexpr MetadataLimits none() {
        constexpr auto kAll = std::numeric_limits<std::size_t>::max();
        return {.elements_max = kAll, .text_bytes_max = kAll};
    }
};

/// One line for people: strings quoted, arrays with their length: "49152 of [\"a\", \"b\", …]".
[[nodiscard]] std::string metadata_text(const inference::MetadataValue& value,
                                        const MetadataLimits& limits);

/// One JSON value. A shortened array becomes {"length": n, "first": [...]}, a shortened string
/// {"size_bytes": n, "first": "..."}.
void write_metadata(json::Writer& out,
                    const inference::MetadataValue& value,
                    const MetadataLimits& limits);

}  // namespace kwaai::cli
