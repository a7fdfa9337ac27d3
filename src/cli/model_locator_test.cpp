#include "cli/model_locator.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

namespace kwaai::cli {
namespace {

const std::vector<std::string> kNames = {
    "Qwen2-0.5B.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-1.7B.gguf", "tiny-llama"};

TEST_CASE("a cached model is found by its name, with or without .gguf, whatever the case") {
    CHECK(choose_model("Qwen2-0.5B.gguf", kNames) == "Qwen2-0.5B.gguf");
    CHECK(choose_model("qwen2-0.5b", kNames) == "Qwen2-0.5B.gguf");
    CHECK(choose_model("TINY-LLAMA", kNames) == "tiny-llama");
}

TEST_CASE("the beginning of a name is enough when only one model begins so") {
    CHECK(choose_model("smollm2-135", kNames) == "SmolLM2-135M-Instruct.Q4_1.gguf");
    const auto several = choose_model("smollm2", kNames);
    REQUIRE(!several);
    CHECK(several.error().code == Errc::invalid_argument);
    CHECK(several.error().context.find("SmolLM2-1.7B.gguf") != std::string::npos);
}

TEST_CASE("an exact name wins over longer names that begin with it") {
    const std::vector<std::string> names = {"a.gguf", "a.b.gguf"};
    CHECK(choose_model("a", names) == "a.gguf");
}

TEST_CASE("an unknown or empty name is not found") {
    CHECK(choose_model("mistral", kNames).error().code == Errc::not_found);
    CHECK(choose_model("", kNames).error().code == Errc::not_found);
    CHECK(choose_model("a", {}).error().code == Errc::not_found);
}

TEST_CASE("a path wins over the cache, and a missing model says what to do and what there is") {
    namespace fs = std::filesystem;
    const fs::path root =
        fs::temp_directory_path() / ("kwaai_model_locator_" + std::to_string(::getpid()));
    const fs::path models = root / "kwaai" / "models";
    fs::create_directories(models);
    std::ofstream(models / "one.gguf") << "x";
    std::ofstream(models / "notes.txt") << "x";
    ::setenv("XDG_CACHE_HOME", root.c_str(), 1);

    CHECK(cached_models() == std::vector<std::string>{"one.gguf"});
    CHECK(find_model("one") == (models / "one.gguf").string());
    CHECK(find_model((models / "notes.txt").string()) == (models / "notes.txt").string());
    const auto absent = find_model("two");
    REQUIRE(!absent);
    CHECK(absent.error().code == Errc::not_found);
    CHECK(absent.error().context.find("holds one.gguf") != std::string::npos);
    const auto unnamed = find_model("");
    REQUIRE(!unnamed);
    CHECK(unnamed.error().context.find("make model") != std::string::npos);
    CHECK(find_model("./one").error().code == Errc::not_found);
    fs::remove_all(root);
}

}  // namespace
}  // namespace kwaai::cli
