// Opens a model and says what it is and how it splits a text into tokens:
//   hello_model model.gguf "Once upon a time"
#include <cstdio>
#include <string>

#include "engine/files.hpp"
#include "inference/model_config.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"

namespace {

kwaai::Result<void> describe(const std::string& path, const std::string& text) {
    kwaai::engine::LocalFiles files;
    KWAAI_TRY(const auto model, kwaai::inference::open_model(path, files));
    KWAAI_TRY(const auto config, kwaai::inference::read_config(model));
    KWAAI_TRY(const auto tokenizer, kwaai::inference::Tokenizer::from_model(model));

    std::printf("%s: %s, %u blocks, hidden size %u, %zu tensors\n",
                model.name.c_str(),
                config.architecture.c_str(),
                config.block_count,
                config.hidden,
                model.tensors.size());
    for (const auto token : tokenizer.encode(text, {})) {
        std::printf("%6u '%s'\n", token, tokenizer.piece(token).c_str());
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: hello_model MODEL TEXT\n");
        return 2;
    }
    const auto described = describe(argv[1], argv[2]);
    if (!described) {
        std::fprintf(stderr, "hello_model: %s\n", described.error().context.c_str());
        return 1;
    }
    return 0;
}
