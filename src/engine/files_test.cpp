#include "engine/files.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

namespace kwaai::engine {
namespace {

// A file of `size` bytes that is removed at the end of the test.
class TemporaryFile {
public:
    explicit TemporaryFile(std::size_t size)
        : path_(std::filesystem::temp_directory_path() /
                ("kwaai_files_test_" + std::to_string(size))) {
        std::ofstream(path_, std::ios::binary) << std::string(size, 'x');
    }

    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    ~TemporaryFile() { std::filesystem::remove(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }

    void cut(std::size_t size) const { std::filesystem::resize_file(path_, size); }

private:
    std::filesystem::path path_;
};

TEST_CASE("a mapped file gives its bytes by view and by read") {
    const TemporaryFile file(10000);
    const auto source = map_file(file.path());
    REQUIRE(source);
    CHECK((*source)->size() == 10000);
    CHECK((*source)->view(9990, 10).size() == 10);
    CHECK((*source)->view(9990, 11).empty());
    std::array<std::byte, 4> out{};
    CHECK((*source)->read(9996, out));
    CHECK(out[3] == std::byte{'x'});
}

TEST_CASE("a file that is cut short after it was opened gives errors, not signals") {
    const TemporaryFile file(20000);
    const auto source = map_file(file.path());
    REQUIRE(source);
    file.cut(100);
    CHECK((*source)->view(0, 50).empty());
    std::array<std::byte, 64> out{};
    CHECK((*source)->read(0, out));
    const auto past = (*source)->read(8192, out);
    REQUIRE(!past);
    CHECK(past.error().code == Errc::malformed);
}

TEST_CASE("missing files and directories are named with the reason") {
    const auto missing = map_file("/nonexistent/model.gguf");
    REQUIRE(!missing);
    CHECK(missing.error().code == Errc::not_found);
    CHECK(missing.error().context ==
          "cannot open /nonexistent/model.gguf: No such file or directory");
    const auto directory = map_file("/");
    REQUIRE(!directory);
    CHECK(directory.error().code == Errc::io);
    CHECK(LocalFiles().is_directory("/"));
    CHECK(!LocalFiles().is_directory("/nonexistent"));
}

}  // namespace
}  // namespace kwaai::engine
