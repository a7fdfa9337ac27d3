// kwaai tokenize: text to token ids, and ids to text.
#include "cli/tokenize.hpp"

#include <charconv>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/interrupts.hpp"
#include "cli/model_locator.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "engine/files.hpp"
#include "inference/tokenizer.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {
namespace {

using inference::TokenId;
using inference::Tokenizer;

constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;

struct TokenizeFlags {
    std::vector<std::string> words;  // [MODEL] [TEXT]
    bool is_decoding = false;
    bool are_ids_alone = false;
    bool is_special = false;
    bool is_without_bos = false;
    bool is_json = false;
};

/// Whether `word` names a model that exists: a directory, a GGUF file, or a cached one in full.
bool names_model(const std::string& word) {
    std::error_code ignored;
    if (std::filesystem::is_directory(word, ignored)) return true;
    if (std::filesystem::path(word).extension() == ".gguf") return true;
    for (const std::string& name : cached_models()) {
        if (name == word || name == word + ".gguf") return true;
    }
    return false;
}

/// Sorts out the words and reads what is missing from stdin.
Result<std::pair<std::string, std::string>> model_and_text(const TokenizeFlags& flags) {
    std::vector<std::string> words = flags.words;
    std::string model;
    const bool has_text_alone = words.size() == 1 && !names_model(words.front());
    if (!words.empty() && !has_text_alone) {
        model = words.front();
        words.erase(words.begin());
    }
    KWAAI_TRY(const std::string path, find_model(model));
    if (!words.empty()) return std::pair(path, words.front());
    if (stdin_is_terminal()) write_note("Reading stdin; end it with Ctrl-D.\n");
    KWAAI_TRY(const std::string text, read_stdin(kTextBytesMax));
    return std::pair(path, text);
}

std::string encoded_for_people(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
    std::string out;
    for (const TokenId token : tokens)
        out += fmt::format("{:>8}  {}\n", token, json::quote(tokenizer.spelling(token)));
    return out;
}

std::string encoded_as_json(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
    json::Writer out;
    out.begin_object().member("count", tokens.size());
    out.member("tokenizer", tokenizer.description());
    out.key("tokens").begin_array();
    for (const TokenId token : tokens) {
        out.begin_object().member("id", token).member("text", tokenizer.spelling(token)).end();
    }
    return out.end().end().take() + "\n";
}

Result<std::string> decoded(const Tokenizer& tokenizer,
                            const std::string& text,
                            const TokenizeFlags& flags) {
    KWAAI_TRY(const std::vector<TokenId> tokens, parse_token_ids(text, tokenizer.size()));
    const std::string decoded = tokenizer.decode(tokens, flags.is_special);
    if (!flags.is_json) return decoded;
    json::Writer out;
    out.begin_object().member("count", tokens.size()).member("text", decoded).end();
    return out.take() + "\n";
}

Result<void> tokenize(const TokenizeFlags& flags) {
    KWAAI_TRY(const auto found, model_and_text(flags));
    const auto& [path, text] = found;
    engine::LocalFiles files;
    KWAAI_TRY(const inference::ModelFile file, inference::open_model(path, files));
    auto read = Tokenizer::from_model(file);
    if (!read) return forward_error(read, path);
    const Tokenizer& tokenizer = *read;
    if (flags.is_decoding) {
        KWAAI_TRY(const std::string out, decoded(tokenizer, text, flags));
        return write_out(out);
    }
    const auto tokens = tokenizer.encode(
        text, {.parse_special = flags.is_special, .add_bos = !flags.is_without_bos});
    if (flags.is_json) return write_out(encoded_as_json(tokenizer, tokens));
    if (flags.are_ids_alone) return write_out(fmt::format("{}\n", fmt::join(tokens, " ")));
    KWAAI_CHECKED(write_out(encoded_for_people(tokenizer, tokens)));
    write_note(faint(fmt::format("{} tokens, {}", tokens.size(), tokenizer.description())) + "\n");
    return {};
}

}  // namespace

Result<std::vector<TokenId>> parse_token_ids(std::string_view text, std::size_t vocabulary) {
    constexpr std::string_view kSeparators = " \t\r\n,[]";
    std::vector<TokenId> tokens;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(kSeparators), text.size()));
        if (text.empty()) return tokens;
        const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
        TokenId token = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
        if (error != std::errc() || end != word.data() + word.size()) {
            return fail(Errc::invalid_argument,
                        fmt::format("'{}' is no token id: ids are numbers, separated by spaces or "
                                    "commas",
                                    printable(word.substr(0, 40))));
        }
        if (token >= vocabulary) {
            return fail(
                Errc::invalid_argument,
                fmt::format("token id {} is beyond the vocabulary of {}", token, vocabulary));
        }
        tokens.push_back(token);
        text.remove_prefix(word.size());
    }
}

Action add_tokenize(CLI::App& verb) {
    const auto flags = std::make_shared<TokenizeFlags>();
    verb.add_option("[MODEL] [TEXT]",
                    flags->words,
                    "A model (path or cached name), then the text; without text, stdin")
        ->expected(0, 2);
    verb.add_flag("--decode", flags->is_decoding, "The text is token ids: print what they say");
    verb.add_flag("--ids", flags->are_ids_alone, "Print the ids alone, on one line");
    verb.add_flag("--special",
                  flags->is_special,
                  "Read control tokens like <|im_start|> in the text; show them when decoding");
    verb.add_flag("--no-bos", flags->is_without_bos, "Do not begin with the model's first token");
    verb.add_flag("--json", flags->is_json, "Print one JSON object");
    verb.footer(
        "Examples:\n"
        "  kwaai tokenize \"Hello, world\"\n"
        "  kwaai tokenize model.gguf --ids < story.txt | kwaai tokenize model.gguf --decode");
    return [flags] {
        Interrupts interrupts;
        const auto done = tokenize(*flags);
        return done ? kOk : report(done.error());
    };
}

}  // namespace kwaai::cli
