#include "petals/server_session.hpp"

#include <algorithm>
#include <charconv>

#include "base/checked.hpp"
#include "base/utf8.hpp"

namespace kwaai::petals {
namespace {

using hivemind::WireTensor;
using hivemind::WireType;

// A step comes twice when two paths race (a push and the client's own copy): soon, or never.
constexpr std::size_t kStepsRemembered = 256;
constexpr std::size_t kNameBytesShown = 100;

// Text of a peer's on its way into a sentence.
std::string shown(std::string_view text) {
    std::string result = replace_invalid_utf8(text.substr(0, kNameBytesShown));
    if (text.size() > kNameBytesShown) result += "…";
    return result;
}

std::string shape_text(const std::vector<std::uint32_t>& shape) {
    std::string result;
    for (const std::uint32_t extent : shape)
        result.append(result.empty() ? "" : ", ").append(std::to_string(extent));
    return "[" + result + "]";
}

bool is_served(std::string_view uid, const ServedBlocks& served) {
    const Result<BlockChain> name = parse_uids(uid);
    return name && name->prefix == served.prefix && served.range.covers(name->range);
}

bool is_float(WireType type) {
    return type == WireType::float32 || type == WireType::float16 || type == WireType::bfloat16;
}

// An absent argument travels as a tensor without elements.
bool is_dummy(const WireTensor* tensor) {
    return tensor == nullptr || tensor->element_count() == 0;
}

// "__T12" is tensor 12.
std::optional<std::size_t> tensor_index(Bytes name) {
    std::string_view text = as_text(name);
    if (!text.starts_with("__T")) return std::nullopt;
    text.remove_prefix(3);
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return index;
}

Result<std::uint32_t> check_max_length(const StepMetadata& metadata, const ServedBlocks& served) {
    if (!metadata.max_length)
        return fail(Errc::invalid_argument,
                    "rpc_inference metadata must contain int max_length, got None");
    if (*metadata.max_length > served.length_max)
        return fail(Errc::limit_exceeded,
                    "Cannot allocate KV cache for " + std::to_string(*metadata.max_length) +
                        " tokens, max = " + std::to_string(served.length_max));
    return *metadata.max_length;
}

}  // namespace

Result<inference::BlockRange> served_part(std::string_view uids, const ServedBlocks& served) {
    auto chain = parse_uids(uids);
    if (chain && chain->prefix == served.prefix && served.range.covers(chain->range))
        return chain->range;
    // The first name that is to blame; a chain is refused after at most so many names anyway.
    std::string_view rest = uids;
    for (std::uint32_t count = 0; count <= served.range.count(); ++count) {
        const std::string_view name = rest.substr(0, rest.find(' '));
        if (!is_served(name, served))
            return fail(Errc::not_found, "Remote peer does not serve " + shown(name));
        if (name.size() == rest.size()) break;
        rest.remove_prefix(name.size() + 1);
    }
    if (!chain) return forward_error(chain);
    return fail(Errc::malformed, "the blocks of a chain must follow one another");
}

void add_prompts(const DeepPrompts& prompts,
                 std::uint32_t block,
                 std::uint32_t token_count,
                 std::uint32_t hidden,
                 std::vector<float>& rows) {
    if (prompts.length == 0) return;
    const std::size_t sequence_floats = std::size_t{token_count} * hidden;
    const std::size_t prompt_floats = std::size_t{prompts.length} * hidden;
    for (std::size_t first = 0, sequence = 0; first < rows.size();
         first += sequence_floats, ++sequence) {
        const std::size_t row = prompts.batch == 1 ? 0 : sequence;
        const float* values =
            prompts.values.data() + (std::size_t{block} * prompts.batch + row) * prompt_floats;
        for (std::size_t i = 0; i < prompt_floats; ++i)
            rows[first + i] += values[i];
    }
}

Result<ServerSession> ServerSession::open(const ExpertMessage& first,
                                          const StepMetadata& metadata,
                                          const ServedBlocks& served) {
    ServerSession session;
    KWAAI_TRY(session.part_, served_part(first.uid, served));
    KWAAI_TRY(session.max_length_, check_max_length(metadata, served));
    if (metadata.active_adapter && !metadata.active_adapter->empty())
        return fail(Errc::not_found, "adapter " + shown(*metadata.active_adapter) + " not found");
    KWAAI_TRY(session.arguments_, read_arguments(metadata.args_structure));
    session.hidden_ = served.hidden;
    session.step_tokens_max_ = served.step_tokens_max;
    if (first.tensors.empty()) return session;
    // The rows' own extents, once their number is known.
    const WireTensor* rows = session.argument(first, 0);
    if (rows != nullptr && !rows->shape.empty()) session.batch_ = rows->shape.front();
    if (session.batch_ > served.batch_max)
        return fail(Errc::limit_exceeded,
                    "a session of " + std::to_string(session.batch_) +
                        " sequences; this server takes " + std::to_string(served.batch_max));
    KWAAI_CHECKED(session.check_rows(rows));
    session.has_prompts_ = !is_dummy(session.argument(first, 1));
    return session;
}

Result<ServerSession::Arguments> ServerSession::read_arguments(const codec::MsgValue& structure) {
    if (structure.is_nil()) return Arguments{0, 1, 2};
    const auto bad = [] {
        return fail(Errc::malformed,
                    "args_structure is no pair of arguments and keyword arguments");
    };
    const auto call = structure.elements();
    if (!call || call->empty()) return bad();
    const auto arguments = call->front().elements();
    if (!arguments) return bad();
    Arguments result;
    for (std::size_t i = 0; i < std::min(arguments->size(), result.size()); ++i) {
        const codec::MsgValue& argument = (*arguments)[i];
        if (argument.is_nil()) continue;
        const auto* name = argument.get_if<codec::Buffer>();
        if (name != nullptr) result[i] = tensor_index(*name);
        if (!result[i])
            return fail(Errc::malformed,
                        "argument " + std::to_string(i) + " of args_structure is no tensor");
    }
    return result;
}

const WireTensor* ServerSession::argument(const ExpertMessage& message, std::size_t index) const {
    const std::optional<std::size_t> place = arguments_[index];
    return place && *place < message.tensors.size() ? &message.tensors[*place] : nullptr;
}

Result<> ServerSession::check_rows(const WireTensor* rows) const {
    const std::string wanted =
        "[" + std::to_string(batch_) + ", tokens, " + std::to_string(hidden_) + "]";
    if (rows == nullptr)
        return fail(Errc::invalid_argument, "the step has no hidden states " + wanted);
    const std::vector<std::uint32_t>& shape = rows->shape;
    if (shape.size() != 3 || shape[0] != batch_ || batch_ == 0 || shape[2] != hidden_)
        return fail(
            Errc::invalid_argument,
            "hidden states of shape " + shape_text(shape) + " where this session takes " + wanted);
    if (!is_float(rows->type))
        return fail(Errc::invalid_argument,
                    "hidden states must be float32, float16 or bfloat16, got torch." +
                        std::string(hivemind::to_string(rows->type)));
    const auto tokens = checked_mul(shape[0], shape[1]);
    if (!tokens || *tokens > step_tokens_max_)
        return fail(Errc::limit_exceeded,
                    "Task size greater than max_batch_size (" + std::to_string(step_tokens_max_) +
                        "), it can't be processed");
    return {};
}

Result<std::vector<std::uint32_t>> ServerSession::read_hypo_ids(const WireTensor& tensor) const {
    std::vector<std::uint32_t> result;
    if (tensor.type != WireType::int64)
        return fail(
            Errc::invalid_argument,
            "hypo ids must be int64, got torch." + std::string(hivemind::to_string(tensor.type)));
    if (is_dummy(&tensor)) return result;
    if (tensor.shape != std::vector{batch_})
        return fail(Errc::invalid_argument,
                    "hypo ids of shape " + shape_text(tensor.shape) + " for a session of " +
                        std::to_string(batch_) + " sequences");
    KWAAI_TRY(const std::vector<std::int64_t> ids, hivemind::int_values(tensor));
    result.reserve(ids.size());
    for (const std::int64_t id : ids) {
        if (id < 0 || id >= std::int64_t{batch_})
            return fail(Errc::invalid_argument,
                        "hypo id " + std::to_string(id) + " in a session of " +
                            std::to_string(batch_) + " sequences");
        result.push_back(static_cast<std::uint32_t>(id));
    }
    return result;
}

Result<DeepPrompts> ServerSession::read_prompts(const WireTensor& tensor,
                                                std::uint32_t token_count) const {
    const std::vector<std::uint32_t>& shape = tensor.shape;
    if (!has_prompts_)
        return fail(Errc::unsupported,
                    "deep prompts must come with the first step of a session as well");
    if (shape.size() != 4 || (shape[1] != 1 && shape[1] != batch_) || shape[3] != hidden_)
        return fail(Errc::invalid_argument,
                    "prompts of shape " + shape_text(shape) + " where this session takes [" +
                        std::to_string(part_.count()) + ", " + std::to_string(batch_) +
                        ", positions, " + std::to_string(hidden_) + "]");
    if (shape[0] != part_.count())
        return fail(Errc::invalid_argument,
                    "Received " + std::to_string(shape[0]) + " prompts for " +
                        std::to_string(part_.count()) + " backends");
    if (shape[2] > token_count)
        return fail(Errc::invalid_argument,
                    "prompts for " + std::to_string(shape[2]) + " positions in a step of " +
                        std::to_string(token_count));
    auto values = hivemind::float_values(tensor, {.is_finite_required = true});
    if (!values) return forward_error(values, "prompts");
    return DeepPrompts{.length = shape[2], .batch = shape[1], .values = std::move(*values)};
}

bool ServerSession::was_seen(const std::string& step_id) {
    if (std::ranges::find(seen_, step_id) != seen_.end()) return true;
    seen_.push_back(step_id);
    if (seen_.size() > kStepsRemembered) seen_.pop_front();
    return false;
}

Result<std::optional<PlannedStep>> ServerSession::plan(const ExpertMessage& message,
                                                       const StepMetadata& metadata) {
    if (metadata.step_id && was_seen(*metadata.step_id)) return std::optional<PlannedStep>();
    const WireTensor* rows = argument(message, 0);
    KWAAI_CHECKED(check_rows(rows));
    PlannedStep step;
    step.token_count = rows->shape[1];
    step.start = metadata.start_from_position.value_or(prefix_);
    if (step.start > prefix_)
        return fail(Errc::invalid_argument,
                    "start_from_position " + std::to_string(step.start) +
                        " is beyond the session's " + std::to_string(prefix_) + " positions");
    if (const WireTensor* hypo_ids = argument(message, 2); hypo_ids != nullptr) {
        KWAAI_TRY(step.hypo_ids, read_hypo_ids(*hypo_ids));
    }
    if (const WireTensor* prompts = argument(message, 1); !is_dummy(prompts)) {
        KWAAI_TRY(step.prompts, read_prompts(*prompts, step.token_count));
    }
    if (max_length_ < step.start || max_length_ - step.start < step.token_count)
        return fail(Errc::limit_exceeded,
                    "Maximum length exceeded: prefix " + std::to_string(step.start) +
                        " + current " + std::to_string(step.token_count) +
                        " exceeds pre-allocated maximum " + std::to_string(max_length_));
    auto values = hivemind::float_values(*rows, {.is_finite_required = true});
    if (!values) return forward_error(values, "hidden states");
    step.rows = std::move(*values);
    prefix_ = step.start + step.token_count;
    return std::optional(std::move(step));
}

}  // namespace kwaai::petals
