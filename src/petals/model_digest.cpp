#include "petals/model_digest.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include <unistd.h>

#include "codec/multibase.hpp"
#include "crypto/hash.hpp"
#include "engine/model_digest.hpp"

namespace kwaai::petals {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCacheBytesMax = std::size_t{1} << 20;

std::string to_hex(const crypto::Digest& digest) {
    return codec::encode_base(codec::Base::base16, digest);
}

// One model one file, named after its path: nobody's characters in file names.
fs::path cache_file(const std::string& path, const std::string& directory) {
    std::error_code error;
    const fs::path whole = fs::canonical(path, error);
    const std::string name = error ? path : whole.string();
    return fs::path(directory) / to_hex(crypto::sha256(as_bytes(name)));
}

std::optional<std::string> read_file(const fs::path& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error || size > kCacheBytesMax) return std::nullopt;
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) return std::nullopt;
    return text;
}

// A line with the digest, then the stamp that it was taken at.
std::optional<ModelDigest> recall(const fs::path& file, const std::string& stamp) {
    const auto text = read_file(file);
    if (!text) return std::nullopt;
    const std::size_t end = text->find('\n');
    if (end == std::string::npos || text->substr(end + 1) != stamp) return std::nullopt;
    const auto bytes =
        codec::decode_base(codec::Base::base16, std::string_view(*text).substr(0, end));
    ModelDigest digest{};
    if (!bytes || bytes->size() != digest.size()) return std::nullopt;
    std::ranges::copy(*bytes, digest.begin());
    return digest;
}

// Readers see the old file or the new one, never a part.
void remember(const fs::path& file, const ModelDigest& digest, const std::string& stamp) {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    const fs::path draft = file.string() + "." + std::to_string(::getpid());
    {
        std::ofstream out(draft, std::ios::binary);
        out << to_hex(digest) << '\n' << stamp;
        if (!out.flush()) {
            fs::remove(draft, error);
            return;
        }
    }
    fs::rename(draft, file, error);
    if (error) fs::remove(draft, error);
}

}  // namespace

Result<ModelDigest> read_model_digest(const std::string& path,
                                      const std::string& cache_directory,
                                      std::stop_token stop) {
    KWAAI_TRY(const std::string stamp, engine::model_file_stamp(path));
    const fs::path file = cache_file(path, cache_directory);
    if (const auto known = recall(file, stamp)) return *known;
    crypto::Sha256 hash;
    const auto take = [&hash, &stop](Bytes bytes) {
        hash.update(bytes);
        return !stop.stop_requested();
    };
    KWAAI_CHECKED(engine::visit_model_bytes(path, take));
    const ModelDigest digest = hash.finish();
    // A file that changed meanwhile has the digest of nothing.
    const auto stamp_after = engine::model_file_stamp(path);
    if (stamp_after && *stamp_after == stamp) remember(file, digest, stamp);
    return digest;
}

}  // namespace kwaai::petals
