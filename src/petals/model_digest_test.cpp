#include "petals/model_digest.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

#include "crypto/hash.hpp"
#include "testing/gguf_builder.hpp"

namespace kwaai::petals {
namespace {

namespace fs = std::filesystem;

// A folder with a model file and room for a cache; removed at the end.
class World {
public:
    World()
        : folder_(fs::temp_directory_path() /
                  ("kwaai_model_digest_" + std::to_string(::getpid()))) {
        fs::create_directories(folder_);
        write_model("one");
    }

    World(const World&) = delete;
    World& operator=(const World&) = delete;

    ~World() { fs::remove_all(folder_); }

    void write_model(std::string_view name) {
        testing::GgufBuilder builder;
        builder.text("general.architecture", "llama").text("general.name", name);
        bytes_ = builder.build();
        std::ofstream(model(), std::ios::binary) << bytes_;
    }

    [[nodiscard]] std::string model() const { return (folder_ / "model.gguf").string(); }

    [[nodiscard]] std::string cache() const { return (folder_ / "cache" / "digests").string(); }

    [[nodiscard]] ModelDigest expected() const { return crypto::sha256(as_bytes(bytes_)); }

    [[nodiscard]] fs::path cached_file() const {
        const fs::directory_iterator entry(cache());
        return entry->path();
    }

private:
    fs::path folder_;
    std::string bytes_;
};

TEST_CASE("the digest of a file is its SHA-256") {
    const World world;
    const auto digest = read_model_digest(world.model(), world.cache());
    REQUIRE(digest);
    CHECK(*digest == world.expected());
}

TEST_CASE("a digest is taken once while the file stays as it is") {
    const World world;
    REQUIRE(read_model_digest(world.model(), world.cache()));
    // What stands in the cache is believed: the model was not read again.
    std::fstream file(world.cached_file(), std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(64, '0');
    file.close();
    const auto again = read_model_digest(world.model(), world.cache());
    REQUIRE(again);
    CHECK(*again == ModelDigest{});
}

TEST_CASE("a file that has changed has another digest") {
    World world;
    REQUIRE(read_model_digest(world.model(), world.cache()));
    world.write_model("another, longer");
    const auto digest = read_model_digest(world.model(), world.cache());
    REQUIRE(digest);
    CHECK(*digest == world.expected());
}

TEST_CASE("a cache that says nothing sensible, or cannot be written, is done without") {
    const World world;
    REQUIRE(read_model_digest(world.model(), world.cache()));
    for (const std::string_view text : {"", "zz\n", "00\n", "\n\n\n"}) {
        std::ofstream(world.cached_file(), std::ios::binary) << text;
        const auto digest = read_model_digest(world.model(), world.cache());
        REQUIRE(digest);
        CHECK(*digest == world.expected());
    }
    const auto digest = read_model_digest(world.model(), world.model() + "/not/a/directory");
    REQUIRE(digest);
    CHECK(*digest == world.expected());
}

TEST_CASE("a digest that nobody wants any more is given up") {
    const World world;
    std::stop_source source;
    source.request_stop();
    const auto digest = read_model_digest(world.model(), world.cache(), source.get_token());
    REQUIRE(!digest);
    CHECK(digest.error().code == Errc::cancelled);
    CHECK(!fs::exists(world.cache()));
}

TEST_CASE("a model that is not there has no digest") {
    const World world;
    const auto digest = read_model_digest(world.model() + ".missing", world.cache());
    REQUIRE(!digest);
    CHECK(digest.error().code == Errc::not_found);
}

}  // namespace
}  // namespace kwaai::petals
