#include "crypto/key_file.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "crypto/random.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

/// A directory of its own for one test case, removed with all that is in it.
class Directory {
public:
    Directory() {
        std::array<std::byte, 8> random;
        fill_random(random);
        std::string name = "kwaai-key-file-test-";
        for (const std::byte byte : random)
            name += std::to_string(std::to_integer<int>(byte));
        path_ = std::filesystem::temp_directory_path() / name;
        std::filesystem::create_directory(path_);
    }

    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    ~Directory() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }

    [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

    [[nodiscard]] std::size_t file_count() const {
        std::size_t count = 0;
        for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_))
            ++count;
        return count;
    }

private:
    std::filesystem::path path_;
};

PrivateKey some_key() {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{7};
    return PrivateKey::ed25519_from_seed(seed);
}

unsigned mode_of(const std::string& path) {
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a saved key is read back, and only its owner can read the file") {
    const Directory directory;
    const std::string path = directory.file("identity");
    REQUIRE(save_key(path, some_key()));
    CHECK(mode_of(path) == 0600);
    CHECK(directory.file_count() == 1);
    const auto key = load_key(path);
    REQUIRE(key);
    CHECK(key->public_key() == some_key().public_key());
}

TEST_CASE("a file that only its owner may read, and not write, is a key file") {
    const Directory directory;
    const std::string path = directory.file("identity");
    REQUIRE(save_key(path, some_key()));
    REQUIRE(::chmod(path.c_str(), 0400) == 0);
    CHECK(load_key(path));
}

TEST_CASE("a key file that others may read is refused with the chmod that mends it") {
    const Directory directory;
    const std::string path = directory.file("identity");
    REQUIRE(save_key(path, some_key()));
    for (const mode_t mode : {0640, 0604, 0660, 0644}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        const auto key = load_key(path);
        REQUIRE_FALSE(key);
        CHECK(key.error().code == Errc::invalid_argument);
        CHECK(key.error().context.find("chmod 600 " + path) != std::string::npos);
    }
}

TEST_CASE("saving never replaces a file that is there") {
    const Directory directory;
    const std::string path = directory.file("identity");
    REQUIRE(save_key(path, some_key()));
    const auto other = PrivateKey::generate(KeyType::ed25519);
    REQUIRE(other);
    const auto saved = save_key(path, *other);
    REQUIRE_FALSE(saved);
    CHECK(saved.error().code == Errc::invalid_argument);
    CHECK(directory.file_count() == 1);
    CHECK(load_key(path)->public_key() == some_key().public_key());
}

TEST_CASE("a missing key file is not found") {
    const Directory directory;
    const auto key = load_key(directory.file("identity"));
    REQUIRE_FALSE(key);
    CHECK(key.error().code == Errc::not_found);
}

TEST_CASE("a key file with other content is malformed and named") {
    const Directory directory;
    const std::string path = directory.file("identity");
    for (const std::string& content :
         {std::string(), std::string("no key"), std::string(20000, 'x')}) {
        std::ofstream(path, std::ios::trunc) << content;
        REQUIRE(::chmod(path.c_str(), 0600) == 0);
        const auto key = load_key(path);
        REQUIRE_FALSE(key);
        CHECK(key.error().code == Errc::malformed);
        CHECK(key.error().context.find(path) != std::string::npos);
    }
}

TEST_CASE("a directory and a pipe are no key files") {
    const Directory directory;
    const std::string pipe = directory.file("pipe");
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    for (const std::string& path : {directory.file("."), pipe}) {
        const auto key = load_key(path);
        REQUIRE_FALSE(key);
        CHECK(key.error().code == Errc::invalid_argument);
    }
}

TEST_CASE("an identity is made once, with its directories, and then kept") {
    const Directory directory;
    const std::string path = directory.file("a/b/identity");
    const auto made = load_or_create_key(path);
    REQUIRE(made);
    CHECK(mode_of(path) == 0600);
    CHECK(made->public_key().type() == KeyType::ed25519);
    const auto again = load_or_create_key(path);
    REQUIRE(again);
    CHECK(again->public_key() == made->public_key());
}

TEST_CASE("an identity file that is broken is not replaced by a new one") {
    const Directory directory;
    const std::string path = directory.file("identity");
    std::ofstream(path) << "no key";
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    const auto key = load_or_create_key(path);
    REQUIRE_FALSE(key);
    CHECK(key.error().code == Errc::malformed);
}
