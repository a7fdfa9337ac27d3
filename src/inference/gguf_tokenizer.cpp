// Reads a tokenizer from GGUF metadata.
#include <algorithm>
#include <cmath>

#include "inference/tokenizer_parts.hpp"

namespace kwaai::inference {
namespace {

std::string key_of(std::string_view name) {
    return "tokenizer.ggml." + std::string(name);
}

std::unexpected<Error> malformed(std::string_view name, const std::string& what) {
    return fail(Errc::malformed, key_of(name) + ": " + what);
}

// The token id under `name`; nothing where the key is missing.
Result<std::optional<TokenId>> token_id(const Metadata& metadata,
                                        std::string_view name,
                                        std::size_t count) {
    KWAAI_TRY(const auto value, metadata.unsigned_integer(key_of(name)));
    if (!value) return std::optional<TokenId>();
    if (*value >= count)
        return malformed(name,
                         "token " + std::to_string(*value) + " is not in the vocabulary of " +
                             std::to_string(count));
    return std::optional(static_cast<TokenId>(*value));
}

Result<TokenKind> token_kind(const std::vector<std::int64_t>* types, std::size_t index) {
    if (types == nullptr) return TokenKind::normal;
    const std::int64_t type = (*types)[index];
    if (type < 0 || type > 6)
        return malformed("token_type",
                         "token " + std::to_string(index) + " has type " + std::to_string(type) +
                             ", which is not 1 to 6");
    return type == 0 ? TokenKind::normal : static_cast<TokenKind>(type);  // 0: undefined
}

Result<Vocabulary> read_vocabulary(const Metadata& metadata) {
    const std::vector<std::string>* tokens = metadata.texts(key_of("tokens"));
    if (tokens == nullptr || tokens->empty()) return malformed("tokens", "no array of strings");
    if (tokens->size() > Vocabulary::kTokensMax)
        return malformed("tokens",
                         std::to_string(tokens->size()) + " tokens are more than " +
                             std::to_string(Vocabulary::kTokensMax));
    const std::vector<std::int64_t>* types = metadata.integers(key_of("token_type"));
    if (types == nullptr && metadata.find(key_of("token_type")) != nullptr)
        return malformed("token_type", "no array of integers");
    if (types != nullptr && types->size() != tokens->size())
        return malformed("token_type",
                         std::to_string(types->size()) + " values for " +
                             std::to_string(tokens->size()) + " tokens");
    Vocabulary vocabulary(tokens->size());
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        KWAAI_TRY(const TokenKind kind, token_kind(types, i));
        if (auto added = vocabulary.add((*tokens)[i], kind); !added)
            return forward_error(added, key_of("tokens"));
    }
    return vocabulary;
}

Result<SpmModel> read_spm(const Metadata& metadata, const Vocabulary& vocabulary) {
    const std::vector<double>* scores = metadata.numbers(key_of("scores"));
    if (scores == nullptr) return malformed("scores", "no array of numbers");
    if (scores->size() != vocabulary.size())
        return malformed("scores",
                         std::to_string(scores->size()) + " values for " +
                             std::to_string(vocabulary.size()) + " tokens");
    const auto bad =
        std::ranges::find_if(*scores, [](double score) { return !std::isfinite(score); });
    if (bad != scores->end())
        return malformed(
            "scores",
            "the score of token " + std::to_string(bad - scores->begin()) + " is not finite");
    auto model = SpmModel::make(vocabulary, *scores);
    if (!model) return forward_error(model, key_of("tokens"));
    return model;
}

Result<BpeModel> read_bpe(const Metadata& metadata, const Vocabulary& vocabulary) {
    const std::vector<std::string>* merges = metadata.texts(key_of("merges"));
    if (merges == nullptr) return malformed("merges", "no array of strings");
    if (merges->size() > BpeModel::kMergesMax)
        return malformed("merges",
                         std::to_string(merges->size()) + " merges are more than " +
                             std::to_string(BpeModel::kMergesMax));
    KWAAI_TRY(BpeModel model, BpeModel::make(vocabulary, BpeAlphabet::bytes, merges->size()));
    for (std::size_t i = 0; i < merges->size(); ++i) {
        const std::string_view merge = (*merges)[i];
        const std::size_t space = merge.find(' ', 1);
        if (space == merge.npos || space + 1 == merge.size())
            return malformed("merges",
                             "entry " + std::to_string(i) + ", \"" + std::string(merge) +
                                 "\", is not two tokens with a space between them");
        if (!model.add_merge(vocabulary, merge.substr(0, space), merge.substr(space + 1)))
            return malformed("merges",
                             "entry " + std::to_string(i) + ", \"" + std::string(merge) +
                                 "\", joins or makes a token that is not in the vocabulary");
    }
    return model;
}

// BOS and EOS where SentencePiece models have them, unless the file says otherwise.
constexpr TokenId kSpmUnknown = 0;
constexpr TokenId kSpmBos = 1;
constexpr TokenId kSpmEos = 2;

// Phi-3's special tokens take the white space after them; GGUF has no key for that.
void set_phi3_strips(const Metadata& metadata, TokenizerParts& parts) {
    const std::string* architecture = metadata.text("general.architecture");
    if (architecture == nullptr || *architecture != "phi3") return;
    for (TokenId token = 0; token < parts.vocabulary.size(); ++token) {
        const TokenKind kind = parts.vocabulary.kind(token);
        const std::string_view name = parts.vocabulary.spelling(token);
        const bool is_special = kind == TokenKind::control || kind == TokenKind::user_defined;
        if (is_special && name != "<s>" && name != "<|endoftext|>")
            parts.strips_right.push_back(token);
    }
}

Result<void> read_special_ids(const Metadata& metadata, bool is_spm, TokenizerParts& parts) {
    const std::size_t count = parts.vocabulary.size();
    KWAAI_TRY(parts.bos, token_id(metadata, "bos_token_id", count));
    KWAAI_TRY(parts.eos, token_id(metadata, "eos_token_id", count));
    KWAAI_TRY(std::optional<TokenId> unknown, token_id(metadata, "unknown_token_id", count));
    if (is_spm && count > kSpmEos) {
        parts.bos = parts.bos.value_or(kSpmBos);
        parts.eos = parts.eos.value_or(kSpmEos);
        unknown = unknown.value_or(kSpmUnknown);
    }
    std::visit([&](auto& model) { model.set_unknown(unknown); }, parts.model);
    for (const std::string_view name : {"eot_token_id", "eom_token_id"}) {
        KWAAI_TRY(const auto end, token_id(metadata, name, count));
        if (end) parts.ends.push_back(*end);
    }
    return {};
}

Result<void> read_add_bos(const Metadata& metadata, bool otherwise, TokenizerParts& parts) {
    KWAAI_TRY(const auto add_bos, metadata.boolean(key_of("add_bos_token")));
    if (add_bos && *add_bos && !parts.bos)
        return malformed("add_bos_token", "true, but tokenizer.ggml.bos_token_id is missing");
    parts.add_bos = add_bos.value_or(otherwise) && parts.bos;
    return {};
}

Result<TokenizerParts> read_llama(const Metadata& metadata) {
    TokenizerParts parts;
    KWAAI_TRY(parts.vocabulary, read_vocabulary(metadata));
    KWAAI_TRY(parts.model, read_spm(metadata, parts.vocabulary));
    KWAAI_TRY(const auto prefix, metadata.boolean(key_of("add_space_prefix")));
    parts.spaces.is_escaped = true;
    parts.spaces.prefix = prefix.value_or(true) ? SpacePrefix::every : SpacePrefix::none;
    KWAAI_CHECKED(read_special_ids(metadata, true, parts));
    KWAAI_CHECKED(read_add_bos(metadata, true, parts));
    set_phi3_strips(metadata, parts);
    parts.description = "llama (SentencePiece)";
    return parts;
}

Result<TokenizerParts> read_gpt2(const Metadata& metadata) {
    const std::string* given = metadata.text(key_of("pre"));
    const std::string name = given == nullptr ? "default" : *given;
    TokenizerParts parts;
    parts.pre_tokenizer = pre_tokenizer_named(name);
    if (!parts.pre_tokenizer)
        return fail(
            Errc::unsupported,
            key_of("pre") + ": this build does not know the pre-tokenizer \"" + name + "\"");
    KWAAI_TRY(parts.vocabulary, read_vocabulary(metadata));
    KWAAI_TRY(BpeModel model, read_bpe(metadata, parts.vocabulary));
    model.set_ignore_merges(is_llama3_family(name));
    parts.model = std::move(model);
    KWAAI_CHECKED(read_special_ids(metadata, false, parts));
    KWAAI_CHECKED(read_add_bos(metadata, is_llama3_family(name), parts));
    parts.description = "gpt2 / " + name;
    return parts;
}

}  // namespace

Result<TokenizerParts> read_gguf_tokenizer(const Metadata& metadata) {
    const std::string* model = metadata.text(key_of("model"));
    if (model == nullptr) return malformed("model", "missing: this file has no tokenizer");
    if (*model == "llama") return read_llama(metadata);
    if (*model == "gpt2") return read_gpt2(metadata);
    return fail(Errc::unsupported,
                key_of("model") + ": this build runs \"llama\" and \"gpt2\" tokenizers, not \"" +
                    *model + "\"");
}

}  // namespace kwaai::inference
