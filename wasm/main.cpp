// kwaai_core MODEL TOKENS [PROMPT]: writes the ids of TOKENS greedy tokens after PROMPT, one line.
// Runs under any WASI; the model is read from a preopened directory.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/checked.hpp"
#include "inference/model.hpp"
#include "inference/model_file.hpp"
#include "inference/tokenizer.hpp"

namespace kwaai {
namespace {

class OwnedBytes final : public ByteSource {
public:
    OwnedBytes(std::string name, std::vector<std::byte> bytes)
        : bytes_(std::move(bytes)), source_(std::move(name), bytes_) {}

    [[nodiscard]] std::string name() const override { return source_.name(); }

    [[nodiscard]] std::uint64_t size() const override { return source_.size(); }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override {
        return source_.read(offset, out);
    }

    [[nodiscard]] Bytes view(std::uint64_t offset, std::size_t size) const override {
        return source_.view(offset, size);
    }

private:
    std::vector<std::byte> bytes_;
    MemorySource source_;
};

Result<std::unique_ptr<ByteSource>> read_file(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return fail(Errc::not_found, std::string("cannot open ") + path);
    std::vector<std::byte> bytes;
    std::byte part[65536];
    for (std::size_t got = 0; (got = std::fread(part, 1, sizeof part, file)) > 0;)
        bytes.insert(bytes.end(), part, part + got);
    std::fclose(file);
    return std::make_unique<OwnedBytes>(path, std::move(bytes));
}

Result<void> run(const char* path, std::size_t count, const std::string& prompt) {
    KWAAI_TRY(auto source, read_file(path));
    KWAAI_TRY(const inference::ModelFile file, inference::read_gguf(std::move(source)));
    KWAAI_TRY(const inference::ModelConfig config, inference::read_config(file));
    KWAAI_TRY(const inference::Tokenizer tokenizer, inference::Tokenizer::from_model(file));
    SerialExecutor executor;
    tensor::HeapSource memory;
    const inference::LoadContext load{file, config, memory, executor};
    KWAAI_TRY(const inference::Span span, inference::Span::load(load, {0, config.block_count}));
    KWAAI_TRY(inference::Ends ends, inference::Ends::load(load));
    inference::KvPool pool(span.kv_geometry(), 64, memory);
    inference::KvSequence kv(pool);

    std::vector<inference::TokenId> next = tokenizer.encode(prompt, {});
    if (next.empty()) return fail(Errc::invalid_argument, "the prompt gives no tokens");
    inference::Workspace workspace(config, next.size(), executor, kernels::best());
    const std::size_t stride = round_up(std::size_t{config.hidden}, std::size_t{16});
    std::vector<float> logits(ends.logits_stride());
    for (std::size_t written = 0; written < count; ++written) {
        std::vector<float> hidden(next.size() * stride);
        std::vector<inference::Row> rows;
        for (std::size_t i = 0; i < next.size(); ++i)
            rows.push_back({&kv, kv.length() + static_cast<std::uint32_t>(i)});
        KWAAI_CHECKED(kv.reserve(kv.length() + static_cast<std::uint32_t>(next.size())));
        ends.embed(next, hidden.data(), stride, executor);
        span.forward({rows, hidden.data(), stride}, workspace);
        ends.head(hidden.data() + (next.size() - 1) * stride, stride, 1, logits.data(), workspace);
        const auto best = std::max_element(logits.begin(), logits.begin() + config.vocabulary);
        next = {static_cast<inference::TokenId>(best - logits.begin())};
        std::printf("%s%u", written == 0 ? "" : " ", next[0]);
    }
    std::printf("\n");
    return {};
}

}  // namespace
}  // namespace kwaai

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s MODEL.gguf TOKENS [PROMPT]\n", argv[0]);
        return 2;
    }
    const auto done =
        kwaai::run(argv[1], std::strtoul(argv[2], nullptr, 10), argc > 3 ? argv[3] : "");
    if (done) return 0;
    std::fprintf(stderr, "kwaai_core: %s\n", done.error().context.c_str());
    return 1;
}
