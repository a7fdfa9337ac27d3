// The bytes that make a model what it is, in an order that all nodes agree on: what a digest of a
// model is taken over, and when it need not be taken again.
#pragma once
#include <string>

#include "base/bytes.hpp"
#include "base/function_ref.hpp"
#include "base/result.hpp"

namespace kwaai::engine {

/// Takes the next bytes; false ends the visit.
using ByteSink = FunctionRef<bool(Bytes)>;

/// Gives all bytes of a model's files to `sink`, a piece of at most 1 MiB at a time: of a GGUF
/// model its file, or all parts in order; of a Hugging Face directory config.json, then the
/// safetensors files by name. A single file comes as it is, so that its SHA-256 is what `sha256sum`
/// prints; before each of several comes its size, 8 bytes, little-endian. Errors of open_model, and
/// `Errc::cancelled` when the sink ends it.
Result<void> visit_model_bytes(const std::string& path, ByteSink sink);

/// Names, sizes and modification times (ns) of the files that visit_model_bytes reads, a line each:
/// while it stays the same, so does the digest. Errors of open_model; `Errc::io` when a file's
/// state cannot be read.
Result<std::string> model_file_stamp(const std::string& path);

}  // namespace kwaai::engine
