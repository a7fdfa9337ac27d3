// The same bits, whatever the instruction set, the number of threads, the batch and the cut into
// spans (design decision 6). Everything here compares for equality.
#include <array>
#include <cstring>

#include "base/random.hpp"
#include "engine/compute_pool.hpp"
#include "golden/loaded_model.hpp"
#include "testing/fixtures.hpp"

namespace kwaai::golden {
namespace {

using inference::TokenId;
using Logits = std::vector<std::vector<float>>;

// Models of different shapes and formats: heads of 8, 16 and 64 lanes, F32, and every quantised
// type.
constexpr std::array kModels{"models/stories260K.gguf",
                             "inference/models/tiny-llama3.gguf",
                             "inference/models/tiny-qwen2.gguf",
                             "inference/models/tiny-llama256-Q8_0.gguf",
                             "inference/models/tiny-llama256-Q6_K.gguf",
                             "inference/models/tiny-llama256-Q5_K_M.gguf",
                             "inference/models/tiny-llama256-Q5_1.gguf",
                             "inference/models/tiny-llama256-Q4_K_M.gguf",
                             "inference/models/tiny-llama256-Q4_0.gguf"};

std::vector<TokenId> some_tokens(std::size_t count, std::uint64_t salt = 0) {
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < count; ++i)
        tokens.push_back(static_cast<TokenId>(random_bits(salt, i) % 120 + 3));
    return tokens;
}

bool same_bits(const Logits& a, const Logits& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
    return true;
}

TEST_CASE("every instruction set of this CPU gives the bits of the scalar definition") {
    std::array<const kernels::Isa*, 8> tables{};
    const int count = kernels::available(tables.data(), static_cast<int>(tables.size()));
    REQUIRE(count >= 1);
    for (const std::string name : kModels) {
        KWAAI_FIXTURE(path, name);
        const auto tokens = some_tokens(70);
        const Logits scalar = LoadedModel(path, {.isa = tables[0]}).logits(tokens);
        for (int i = 1; i < count; ++i) {
            const Logits other =
                LoadedModel(path, {.isa = tables[static_cast<std::size_t>(i)]}).logits(tokens);
            CHECK_MESSAGE(same_bits(scalar, other),
                          name,
                          " with ",
                          std::string(tables[static_cast<std::size_t>(i)]->name));
        }
    }
}

TEST_CASE("one, two and five threads give the same bits") {
    for (const std::string name : kModels) {
        KWAAI_FIXTURE(path, name);
        const auto tokens = some_tokens(90);
        const Logits serial = LoadedModel(path).logits(tokens);
        for (const unsigned threads : {2U, 5U}) {
            engine::ComputePool pool(threads);
            CHECK_MESSAGE(same_bits(serial, LoadedModel(path, {.executor = &pool}).logits(tokens)),
                          name);
        }
    }
}

TEST_CASE("a prompt in chunks of 1, 7 and 64 gives the bits of the whole prompt") {
    for (const std::string name : kModels) {
        KWAAI_FIXTURE(path, name);
        LoadedModel model(path);
        const auto tokens = some_tokens(200);
        const Logits whole = model.logits(tokens);
        for (const std::size_t chunk : {1UL, 7UL, 64UL})
            CHECK_MESSAGE(same_bits(whole, model.logits(tokens, chunk)), name);
    }
}

TEST_CASE("sessions in one batch get the bits of each alone") {
    for (const std::string name : kModels) {
        KWAAI_FIXTURE(path, name);
        LoadedModel model(path);
        constexpr std::size_t kSessions = 5;
        std::vector<LoadedModel::Session> sessions;
        std::vector<LoadedModel::Input> inputs;
        std::vector<Logits> alone;
        for (std::size_t i = 0; i < kSessions; ++i) {
            const auto past = some_tokens(3 + 40 * i, i);
            const auto now = some_tokens(i % 2 == 0 ? 1 : 11, 100 + i);
            LoadedModel::Session single = model.session();
            model.continue_with(single, past);
            sessions.push_back(single.fork());
            alone.push_back(model.continue_with(single, now));
            inputs.push_back({nullptr, now});
        }
        for (std::size_t i = 0; i < kSessions; ++i)
            inputs[i].session = &sessions[i];
        const Logits together = model.forward(inputs);
        Logits expected;
        for (const Logits& rows : alone)
            expected.insert(expected.end(), rows.begin(), rows.end());
        CHECK_MESSAGE(same_bits(expected, together), name);
    }
}

TEST_CASE("truncating and replaying gives the bits of a fresh session, and a fork keeps its past") {
    for (const std::string name : kModels) {
        KWAAI_FIXTURE(path, name);
        LoadedModel model(path);
        const auto tokens = some_tokens(150);
        const auto other = some_tokens(60, 7);
        const Logits fresh = model.logits(tokens);
        for (const std::uint32_t cut : {1U, 63U, 64U, 65U, 149U}) {
            LoadedModel::Session session = model.session();
            model.continue_with(session, tokens);
            session.truncate(cut);
            LoadedModel::Session fork = session.fork();
            model.continue_with(session, other);  // writes where the fork's shared page ends
            const Logits replayed = model.continue_with(fork, std::span(tokens).subspan(cut));
            CHECK_MESSAGE(
                same_bits({fresh.begin() + cut, fresh.end()}, replayed), name, " cut at ", cut);
        }
    }
}

TEST_CASE("a model cut into spans gives the bits of the whole model") {
    KWAAI_FIXTURE(path, "models/stories260K.gguf");
    const auto tokens = some_tokens(80);
    const Logits whole = LoadedModel(path).logits(tokens);
    for (const std::vector<std::uint32_t>& cuts :
         {std::vector<std::uint32_t>{1}, {4}, {2, 3}, {1, 2, 3, 4}})
        CHECK(same_bits(whole, LoadedModel(path, {.cuts = cuts}).logits(tokens)));
}

}  // namespace
}  // namespace kwaai::golden
