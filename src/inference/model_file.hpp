// A model as it lies in files, whatever the container: metadata, tensors, and where their bytes
// are. GGUF (v2, v3, split) and Hugging Face directories (safetensors, sharded, config.json,
// tokenizer.json) both become a ModelFile.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_source.hpp"
#include "base/result.hpp"
#include "tensor/dtype.hpp"

namespace kwaai::inference {

/// A value of GGUF metadata. Integers of every width become i64 or u64, floats double; arrays keep
/// their kind.
using MetadataValue = std::variant<bool,
                                   std::int64_t,
                                   std::uint64_t,
                                   double,
                                   std::string,
                                   std::vector<std::int64_t>,
                                   std::vector<double>,
                                   std::vector<std::string>>;

/// Metadata by key, e.g. "llama.block_count".
class Metadata {
public:
    std::map<std::string, MetadataValue, std::less<>> values;

    [[nodiscard]] const MetadataValue* find(std::string_view key) const;
    /// Typed look-ups: nothing when the key is missing, `Errc::malformed` naming the key when it
    /// holds another type or does not fit.
    Result<std::optional<std::uint64_t>> unsigned_integer(std::string_view key) const;
    Result<std::optional<double>> number(std::string_view key) const;
    Result<std::optional<bool>> boolean(std::string_view key) const;
    [[nodiscard]] const std::string* text(std::string_view key) const;
    [[nodiscard]] const std::vector<std::string>* texts(std::string_view key) const;
    [[nodiscard]] const std::vector<double>* numbers(std::string_view key) const;
    [[nodiscard]] const std::vector<std::int64_t>* integers(std::string_view key) const;
};

/// A tensor of a model file. `shape` is row-major, [rows, k] for a matrix: GGUF's ne reversed.
/// Validated against the size of its source when the file is opened.
struct TensorInfo {
    std::string name;  // GGUF's name ("blk.0.attn_q.weight"), also for safetensors
    tensor::Dtype dtype;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0;  // bytes, in its source
    std::uint64_t size_bytes = 0;
    std::uint32_t source = 0;  // index into ModelFile::sources
};

enum class Container : std::uint8_t { gguf, safetensors };

/// What a model's files say. Owns the byte sources.
struct ModelFile {
    Container container = Container::gguf;
    std::string name;  // file or directory name without extension, for people
    Metadata metadata;
    std::vector<TensorInfo> tensors;  // in file order
    std::vector<std::unique_ptr<ByteSource>> sources;
    std::string config_json;  // safetensors: the text of config.json
    std::string
        tokenizer_json;  // safetensors: the text of tokenizer.json, empty where there is none
    std::string tokenizer_config_json;  // safetensors: chat template and special tokens, empty
                                        // where there is none

    [[nodiscard]] const TensorInfo* find(std::string_view tensor) const;

    [[nodiscard]] const ByteSource& source_of(const TensorInfo& tensor) const {
        return *sources[tensor.source];
    }
};

/// Opens files by name for the readers below: the portable core has no file system of its own.
class FileOpener {
public:
    FileOpener() = default;
    FileOpener(const FileOpener&) = delete;
    FileOpener& operator=(const FileOpener&) = delete;
    virtual ~FileOpener() = default;
    /// `Errc::not_found` or `io` with the path in the message.
    virtual Result<std::unique_ptr<ByteSource>> open(const std::string& path) = 0;
    [[nodiscard]] virtual bool is_directory(const std::string& path) = 0;
};

/// Opens a GGUF file (any part of a split one) or a Hugging Face directory. Checks everything that
/// can be checked without reading tensor data: docs/formats/gguf.md and safetensors.md list the
/// checks. `Errc::not_found`, `io`, `malformed` (says what and where), `unsupported` (version,
/// type, dtype).
Result<ModelFile> open_model(const std::string& path, FileOpener& files);

/// The two readers, on bytes alone; for tests and fuzzing. `gguf` takes one part; splits are joined
/// by open_model.
Result<ModelFile> read_gguf(std::unique_ptr<ByteSource> source);
Result<std::vector<TensorInfo>> read_safetensors_header(const ByteSource& source,
                                                        Metadata& metadata);

}  // namespace kwaai::inference
