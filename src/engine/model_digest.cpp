#include "engine/model_digest.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include <sys/stat.h>

#include "engine/files.hpp"
#include "inference/model_file.hpp"

namespace kwaai::engine {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

/// The files of a model, opened, in the order of the visit.
Result<std::vector<std::unique_ptr<ByteSource>>> open_files(const std::string& path) {
    LocalFiles files;
    KWAAI_TRY(inference::ModelFile model, inference::open_model(path, files));
    std::vector<std::unique_ptr<ByteSource>> sources = std::move(model.sources);
    if (model.container == inference::Container::gguf) return sources;
    std::ranges::sort(sources, {}, [](const auto& source) { return source->name(); });
    KWAAI_TRY(auto config, files.open(path + (path.ends_with('/') ? "" : "/") + "config.json"));
    sources.insert(sources.begin(), std::move(config));
    return sources;
}

Result<void> give(ByteSink sink, Bytes bytes) {
    if (sink(bytes)) return {};
    return fail(Errc::cancelled, "reading the model's bytes was ended");
}

Result<void> visit_file(const ByteSource& source, ByteSink sink, std::vector<std::byte>& piece) {
    for (std::uint64_t offset = 0; offset < source.size(); offset += piece.size()) {
        piece.resize(
            static_cast<std::size_t>(std::min<std::uint64_t>(source.size() - offset, kPieceBytes)));
        KWAAI_CHECKED(source.read(offset, piece));
        KWAAI_CHECKED(give(sink, piece));
    }
    return {};
}

}  // namespace

Result<void> visit_model_bytes(const std::string& path, ByteSink sink) {
    KWAAI_TRY(const auto sources, open_files(path));
    std::vector<std::byte> piece;
    for (const auto& source : sources) {
        if (sources.size() > 1) {
            std::array<std::byte, 8> size{};
            for (std::size_t i = 0; i < size.size(); ++i)
                size[i] = static_cast<std::byte>(source->size() >> (8 * i) & 0xff);
            KWAAI_CHECKED(give(sink, size));
        }
        KWAAI_CHECKED(visit_file(*source, sink, piece));
    }
    return {};
}

Result<std::string> model_file_stamp(const std::string& path) {
    KWAAI_TRY(const auto sources, open_files(path));
    std::string stamp;
    for (const auto& source : sources) {
        struct stat status{};
        if (::stat(source->name().c_str(), &status) != 0)
            return fail(Errc::io,
                        "cannot read the state of " + source->name() + ": " +
                            std::error_code(errno, std::generic_category()).message());
        const auto mtime_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                              status.st_mtim.tv_nsec;
        stamp += source->name() + ' ' + std::to_string(status.st_size) + ' ' +
                 std::to_string(mtime_ns) + '\n';
    }
    return stamp;
}

}  // namespace kwaai::engine
