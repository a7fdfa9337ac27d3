// kwaai inspect: what a model file holds and what keeps it from running.
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/interrupts.hpp"
#include "cli/metadata_text.hpp"
#include "cli/model_locator.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "engine/files.hpp"
#include "inference/chat_template.hpp"
#include "inference/model_config.hpp"
#include "inference/tokenizer.hpp"
#include "json/writer.hpp"

namespace kwaai::cli {
namespace {

using inference::ModelFile;

struct InspectFlags {
    std::string path;
    bool is_json = false;
    bool is_complete = false;
};

/// What was found out about a file, for people and for scripts.
struct Findings {
    std::vector<std::string> problems;  // each keeps the model from running
    std::vector<std::string> notes;     // what it can do without
    std::string tokenizer;
    std::string chat_template;
    std::uint64_t parameters = 0;
    std::uint64_t tensor_bytes = 0;
    std::map<std::string_view, std::uint64_t> bytes_by_type;
};

Findings examine(const ModelFile& file) {
    Findings found;
    if (const auto config = inference::read_config(file); !config)
        found.problems.push_back(config.error().context);
    if (const auto tokenizer = inference::Tokenizer::from_model(file); tokenizer) {
        found.tokenizer = tokenizer->description();
    } else {
        found.problems.push_back(tokenizer.error().context);
    }
    if (const auto chat = inference::ChatTemplate::from_model(file); chat) {
        found.chat_template = std::string(chat->name());
    } else {
        found.notes.push_back(chat.error().context);
    }
    for (const inference::TensorInfo& tensor : file.tensors) {
        std::uint64_t count = 1;
        for (const std::uint64_t length : tensor.shape)
            count *= length;  // no overflow: checked when the file was opened
        found.parameters += count;
        found.tensor_bytes += tensor.size_bytes;
        found.bytes_by_type[to_string(tensor.dtype)] += tensor.size_bytes;
    }
    return found;
}

std::string_view container_name(inference::Container container) {
    switch (container) {
        case inference::Container::gguf: return "GGUF";
        case inference::Container::safetensors: return "safetensors";
    }
    return "unknown";
}

std::string for_people(const ModelFile& file, const Findings& found, bool is_complete) {
    std::string out = fmt::format("{} ({})\n\nmetadata, {} keys\n",
                                  printable(file.name),
                                  container_name(file.container),
                                  file.metadata.values.size());
    const MetadataLimits limits = is_complete ? MetadataLimits::none() : MetadataLimits{};
    for (const auto& [key, value] : file.metadata.values)
        out += fmt::format("  {} = {}\n", printable(key), metadata_text(value, limits));
    out += fmt::format("\ntensors, {}\n", file.tensors.size());
    for (const inference::TensorInfo& tensor : file.tensors) {
        out += fmt::format("  {:<36} {:<5} [{}] {} bytes\n",
                           printable(tensor.name),
                           to_string(tensor.dtype),
                           fmt::join(tensor.shape, ", "),
                           tensor.size_bytes);
    }
    out += fmt::format("\n{} parameters in {} bytes:", found.parameters, found.tensor_bytes);
    for (const auto& [type, bytes] : found.bytes_by_type)
        out += fmt::format(" {} {},", type, bytes);
    if (out.ends_with(',')) out.pop_back();
    out += '\n';
    if (!found.tokenizer.empty()) out += fmt::format("tokenizer: {}\n", found.tokenizer);
    if (!found.chat_template.empty())
        out += fmt::format("chat template: {}\n", found.chat_template);
    for (const std::string& note : found.notes)
        out += fmt::format("note: {}\n", printable(note));
    for (const std::string& problem : found.problems)
        out += fmt::format("problem: {}\n", printable(problem));
    if (found.problems.empty()) out += "no problems: this build runs it\n";
    return out;
}

void write_strings(json::Writer& out, std::string_view key, const std::vector<std::string>& all) {
    out.key(key).begin_array();
    for (const std::string& text : all)
        out.value(text);
    out.end();
}

std::string as_json(const ModelFile& file, const Findings& found, bool is_complete) {
    json::Writer out;
    out.begin_object();
    out.member("name", file.name);
    out.member("container", container_name(file.container));
    out.key("metadata").begin_object();
    const MetadataLimits limits = is_complete ? MetadataLimits::none() : MetadataLimits{};
    for (const auto& [key, value] : file.metadata.values)
        write_metadata(out.key(key), value, limits);
    out.end();
    out.key("tensors").begin_array();
    for (const inference::TensorInfo& tensor : file.tensors) {
        out.begin_object().member("name", tensor.name).member("type", to_string(tensor.dtype));
        out.key("shape").begin_array();
        for (const std::uint64_t length : tensor.shape)
            out.value(length);
        out.end().member("size_bytes", tensor.size_bytes).end();
    }
    out.end();
    out.member("parameters", found.parameters);
    out.member("tensor_bytes", found.tensor_bytes);
    if (!found.tokenizer.empty()) out.member("tokenizer", found.tokenizer);
    if (!found.chat_template.empty()) out.member("chat_template", found.chat_template);
    write_strings(out, "notes", found.notes);
    write_strings(out, "problems", found.problems);
    return out.end().take() + "\n";
}

/// A file that cannot even be opened, as JSON: scripts get the same keys.
std::string unreadable_as_json(const Error& error) {
    json::Writer out;
    out.begin_object();
    write_strings(out, "problems", {error.context});
    return out.end().take() + "\n";
}

Result<int> inspect(const InspectFlags& flags) {
    KWAAI_TRY(const std::string path, find_model(flags.path));
    engine::LocalFiles files;
    const auto file = inference::open_model(path, files);
    if (!file) {
        if (!flags.is_json) return std::unexpected(file.error());
        KWAAI_CHECKED(write_out(unreadable_as_json(file.error())));
        return kFailure;
    }
    const Findings found = examine(*file);
    KWAAI_CHECKED(write_out(flags.is_json ? as_json(*file, found, flags.is_complete)
                                          : for_people(*file, found, flags.is_complete)));
    return found.problems.empty() ? kOk : kFailure;
}

}  // namespace

Action add_inspect(CLI::App& verb) {
    const auto flags = std::make_shared<InspectFlags>();
    verb.add_option("FILE", flags->path, "GGUF file, Hugging Face directory, or cached name")
        ->required();
    verb.add_flag("--json", flags->is_json, "Print one JSON object");
    verb.add_flag("--all", flags->is_complete, "Do not shorten long texts and arrays");
    verb.footer(
        "Ends with 1 when this build cannot run the model.\n\n"
        "Example:\n"
        "  kwaai inspect model.gguf --json | jq .tensor_bytes");
    return [flags] {
        Interrupts interrupts;
        const auto status = inspect(*flags);
        return status ? *status : report(status.error());
    };
}

}  // namespace kwaai::cli
