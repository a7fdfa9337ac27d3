// Reads a tokenizer from Hugging Face's tokenizer.json.
#include <algorithm>

#include "inference/hf_pre_tokenizer.hpp"
#include "inference/tokenizer_parts.hpp"
#include "json/document.hpp"

namespace kwaai::inference {
namespace {

// A token before its id has its place in the vocabulary.
struct Entry {
    std::string_view spelling;
    TokenKind kind = TokenKind::unused;
};

Result<TokenId> token_id(json::Value value) {
    KWAAI_TRY(const std::uint64_t id, value.unsigned_integer());
    if (id >= Vocabulary::kTokensMax)
        return value.error("token ids are less than " + std::to_string(Vocabulary::kTokensMax));
    return static_cast<TokenId>(id);
}

Result<bool> flag(json::Value value, std::string_view key) {
    const auto given = value.given(key);
    if (!given) return false;
    return given->boolean();
}

// Puts an entry at `id`; two different spellings of one id are an error at `place`.
Result<void> put(std::vector<Entry>& entries, TokenId id, Entry entry, json::Value place) {
    if (id >= entries.size()) entries.resize(std::size_t{id} + 1);
    Entry& old = entries[id];
    if (!old.spelling.empty() && old.spelling != entry.spelling)
        return place.error("token " + std::to_string(id) + " is \"" + std::string(entry.spelling) +
                           "\" here and \"" + std::string(old.spelling) + "\" before");
    old = entry;
    return {};
}

Result<void> collect_vocabulary(json::Value model, bool has_bytes, std::vector<Entry>& entries) {
    KWAAI_TRY(const json::Value vocab, model.at("vocab"));
    KWAAI_TRY(const json::Object members, vocab.object());
    for (const json::Member& member : members) {
        KWAAI_TRY(const TokenId id, token_id(member.value));
        const bool is_byte = has_bytes && byte_of_spelling(member.key).has_value();
        const TokenKind kind = is_byte ? TokenKind::byte : TokenKind::normal;
        KWAAI_CHECKED(put(entries, id, {member.key, kind}, member.value));
    }
    if (const auto unknown = model.given("unk_token")) {
        KWAAI_TRY(const std::string_view spelling, unknown->string());
        const auto entry = std::ranges::find(entries, spelling, &Entry::spelling);
        if (entry == entries.end()) return unknown->error("not in the vocabulary");
        entry->kind = TokenKind::unknown;
    }
    return {};
}

Result<void> collect_added_tokens(json::Value root,
                                  std::vector<Entry>& entries,
                                  TokenizerParts& parts) {
    const auto given = root.given("added_tokens");
    if (!given) return {};
    KWAAI_TRY(const json::Array tokens, given->array());
    for (const json::Value token : tokens) {
        KWAAI_TRY(const json::Value id_value, token.at("id"));
        KWAAI_TRY(const TokenId id, token_id(id_value));
        KWAAI_TRY(const json::Value content, token.at("content"));
        KWAAI_TRY(const std::string_view spelling, content.string());
        KWAAI_TRY(const bool is_special, flag(token, "special"));
        KWAAI_TRY(const bool is_single_word, flag(token, "single_word"));
        KWAAI_TRY(const bool strips_left, flag(token, "lstrip"));
        KWAAI_TRY(const bool strips_right, flag(token, "rstrip"));
        if (is_single_word)
            return fail(Errc::unsupported,
                        token.path() + ": this build does not know single_word tokens");
        const TokenKind kind = is_special ? TokenKind::control : TokenKind::user_defined;
        KWAAI_CHECKED(put(entries, id, {spelling, kind}, token));
        if (strips_left) parts.strips_left.push_back(id);
        if (strips_right) parts.strips_right.push_back(id);
    }
    return {};
}

Result<Vocabulary> build_vocabulary(const std::vector<Entry>& entries) {
    Vocabulary vocabulary(entries.size());
    for (const Entry& entry : entries)
        KWAAI_CHECKED(vocabulary.add(entry.spelling, entry.kind));
    return vocabulary;
}

// Adds a merge written as "left right" or as ["left", "right"].
Result<void> add_merge(json::Value merge, const Vocabulary& vocabulary, BpeModel& model) {
    std::string_view left;
    std::string_view right;
    if (merge.kind() == json::Kind::string) {
        KWAAI_TRY(const std::string_view text, merge.string());
        const std::size_t space = text.find(' ', 1);
        if (space == text.npos) return merge.error("no space between two tokens");
        left = text.substr(0, space);
        right = text.substr(space + 1);
    } else {
        KWAAI_TRY(const json::Array pair, merge.array());
        if (pair.size() != 2) return merge.error("a merge has two tokens");
        auto part = pair.begin();
        KWAAI_TRY(left, (*part).string());
        ++part;
        KWAAI_TRY(right, (*part).string());
    }
    if (!model.add_merge(vocabulary, left, right))
        return merge.error(std::string(left).append(" and ").append(right).append(
            " join or make a token that is not in the vocabulary"));
    return {};
}

Result<BpeModel> read_bpe(json::Value json_model, const Vocabulary& vocabulary, bool is_bytes) {
    KWAAI_TRY(const json::Value list, json_model.at("merges"));
    KWAAI_TRY(const json::Array merges, list.array());
    if (merges.size() > BpeModel::kMergesMax)
        return list.error("more than " + std::to_string(BpeModel::kMergesMax) + " merges");
    const BpeAlphabet alphabet = is_bytes ? BpeAlphabet::bytes : BpeAlphabet::characters;
    KWAAI_TRY(BpeModel model, BpeModel::make(vocabulary, alphabet, merges.size()));
    for (const json::Value merge : merges)
        KWAAI_CHECKED(add_merge(merge, vocabulary, model));
    KWAAI_TRY(const bool ignore_merges, flag(json_model, "ignore_merges"));
    model.set_ignore_merges(ignore_merges);
    if (const auto unknown = json_model.given("unk_token")) {
        KWAAI_TRY(const std::string_view spelling, unknown->string());
        model.set_unknown(vocabulary.find(spelling));
    }
    return model;
}

// Only BPE without the marks that other kinds put on parts of words.
Result<void> check_model(json::Value model) {
    if (const auto type = model.given("type")) {
        KWAAI_TRY(const std::string_view name, type->string());
        if (name != "BPE")
            return fail(Errc::unsupported,
                        "model.type: this build runs BPE tokenizers, not " + std::string(name));
    }
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const auto mark = model.given(key);
        if (!mark) continue;
        KWAAI_TRY(const std::string_view text, mark->string());
        if (!text.empty())
            return fail(Errc::unsupported,
                        "model." + std::string(key) + ": this build does not know such marks");
    }
    return {};
}

// BOS, where the template of the post-processor puts a special token before the text.
Result<void> read_template(json::Value processor, TokenizerParts& parts) {
    KWAAI_TRY(const json::Value single, processor.at("single"));
    KWAAI_TRY(const json::Array pieces, single.array());
    if (pieces.size() == 0) return {};
    const auto special = (*pieces.begin()).find("SpecialToken");
    if (!special) return {};
    KWAAI_TRY(const json::Value name, special->at("id"));
    KWAAI_TRY(const std::string_view spelling, name.string());
    parts.bos = parts.vocabulary.find(spelling);
    if (!parts.bos) return name.error("no such token");
    parts.add_bos = true;
    return {};
}

Result<void> read_post_processor(json::Value processor, TokenizerParts& parts) {
    KWAAI_TRY(const json::Value type_value, processor.at("type"));
    KWAAI_TRY(const std::string_view type, type_value.string());
    if (type == "ByteLevel") return {};  // offsets only
    if (type == "TemplateProcessing") return read_template(processor, parts);
    return fail(
        Errc::unsupported,
        processor.path() + ": this build does not know the post-processor " + std::string(type));
}

Result<void> read_post_processors(json::Value root, TokenizerParts& parts) {
    const auto processor = root.given("post_processor");
    if (!processor) return {};
    const auto list = processor->find("processors");
    if (!list) return read_post_processor(*processor, parts);
    KWAAI_TRY(const json::Array processors, list->array());
    for (const json::Value element : processors)
        KWAAI_CHECKED(read_post_processor(element, parts));
    return {};
}

// The token that tokenizer_config.json names under `key`, as a text or an object with a content.
Result<std::optional<TokenId>> named_token(json::Value config,
                                           std::string_view key,
                                           const Vocabulary& vocabulary) {
    auto name = config.given(key);
    if (name && name->kind() == json::Kind::object) name = name->given("content");
    if (!name) return std::optional<TokenId>();
    KWAAI_TRY(const std::string_view spelling, name->string());
    return vocabulary.find(spelling);
}

Result<void> read_tokenizer_config(std::string_view text, TokenizerParts& parts) {
    KWAAI_TRY(const json::Document document, json::parse(text));
    const json::Value root = document.root();
    KWAAI_TRY(const auto bos, named_token(root, "bos_token", parts.vocabulary));
    KWAAI_TRY(parts.eos, named_token(root, "eos_token", parts.vocabulary));
    if (!parts.bos) parts.bos = bos;
    if (const auto add_bos = root.given("add_bos_token")) {
        KWAAI_TRY(const bool wanted, add_bos->boolean());
        parts.add_bos = wanted && parts.bos;
    }
    return {};
}

Result<TokenId> known_id(json::Value value, const Vocabulary& vocabulary) {
    KWAAI_TRY(const TokenId id, token_id(value));
    if (id >= vocabulary.size()) return value.error("no such token in tokenizer.json");
    return id;
}

// config.json's ids: EOS may be a list.
Result<void> read_config_ids(std::string_view text, TokenizerParts& parts) {
    KWAAI_TRY(const json::Document document, json::parse(text));
    const json::Value root = document.root();
    if (const auto bos = root.given("bos_token_id"); bos && !parts.bos) {
        KWAAI_TRY(parts.bos, known_id(*bos, parts.vocabulary));
    }
    const auto eos = root.given("eos_token_id");
    if (!eos) return {};
    if (eos->kind() == json::Kind::array) {
        KWAAI_TRY(const json::Array ids, eos->array());
        for (const json::Value value : ids) {
            KWAAI_TRY(const TokenId id, known_id(value, parts.vocabulary));
            parts.ends.push_back(id);
        }
    } else {
        KWAAI_TRY(const TokenId id, known_id(*eos, parts.vocabulary));
        parts.ends.push_back(id);
    }
    if (!parts.eos && !parts.ends.empty()) parts.eos = parts.ends.front();
    return {};
}

Result<TokenizerParts> read_document(json::Value root) {
    TokenizerParts parts;
    KWAAI_TRY(const json::Value model, root.at("model"));
    KWAAI_CHECKED(check_model(model));
    KWAAI_TRY(const HfTextRules rules, read_text_rules(root));
    KWAAI_TRY(const bool has_bytes, flag(model, "byte_fallback"));
    std::vector<Entry> entries;
    KWAAI_CHECKED(collect_vocabulary(model, has_bytes, entries));
    KWAAI_CHECKED(collect_added_tokens(root, entries, parts));
    if (entries.empty()) return model.error("a vocabulary without a token");
    KWAAI_TRY(parts.vocabulary, build_vocabulary(entries));
    const bool is_bytes = rules.pre_tokenizer.has_value();
    KWAAI_TRY(parts.model, read_bpe(model, parts.vocabulary, is_bytes));
    parts.pre_tokenizer = rules.pre_tokenizer;
    parts.spaces = rules.spaces;
    KWAAI_CHECKED(read_post_processors(root, parts));
    parts.description =
        is_bytes ? "tokenizer.json (byte-level BPE)" : "tokenizer.json (BPE of characters)";
    return parts;
}

}  // namespace

Result<TokenizerParts> read_hf_tokenizer(std::string_view tokenizer_json,
                                         std::string_view tokenizer_config_json,
                                         std::string_view config_json) {
    auto document = json::parse(tokenizer_json);
    if (!document) return forward_error(document, "tokenizer.json");
    auto parts = read_document(document->root());
    if (!parts) return forward_error(parts, "tokenizer.json");
    if (!tokenizer_config_json.empty()) {
        if (auto read = read_tokenizer_config(tokenizer_config_json, *parts); !read)
            return forward_error(read, "tokenizer_config.json");
    }
    if (!config_json.empty()) {
        if (auto read = read_config_ids(config_json, *parts); !read)
            return forward_error(read, "config.json");
    }
    return parts;
}

}  // namespace kwaai::inference
