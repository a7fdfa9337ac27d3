#include "petals/metadata.hpp"

#include <cmath>
#include <limits>

#include "base/checked.hpp"

namespace kwaai::petals {
namespace {

constexpr codec::MsgLimits kMetadataLimits{
    .bytes_max = std::size_t{64} << 10, .depth_max = 16, .values_max = 4096};
constexpr std::size_t kTextBytesMax = 256;

std::unexpected<Error> bad_key(std::string_view key, std::string_view what) {
    return fail(Errc::malformed,
                "the metadata's \"" + std::string(key) + "\" is not " + std::string(what));
}

// Absent and nil are the same to all readers.
const codec::MsgValue* find_value(const codec::MsgValue& map, std::string_view key) {
    const codec::MsgValue* value = map.find(key);
    return value != nullptr && value->is_nil() ? nullptr : value;
}

Result<std::optional<std::string>> text_of(const codec::MsgValue& map, std::string_view key) {
    const codec::MsgValue* value = find_value(map, key);
    if (value == nullptr) return std::optional<std::string>();
    const auto* text = value->get_if<std::string>();
    if (text == nullptr || text->size() > kTextBytesMax)
        return bad_key(key, "a text of at most 256 bytes");
    return std::optional(*text);
}

Result<std::optional<std::uint32_t>> number_of(const codec::MsgValue& map, std::string_view key) {
    const codec::MsgValue* value = find_value(map, key);
    if (value == nullptr) return std::optional<std::uint32_t>();
    const auto* integer = value->get_if<std::int64_t>();
    const auto number = integer == nullptr ? std::nullopt : checked_cast<std::uint32_t>(*integer);
    if (!number) return bad_key(key, "an integer from 0 to 4294967295");
    return number;
}

// Python's float() takes an integer as well.
Result<std::optional<double>> seconds_of(const codec::MsgValue& map, std::string_view key) {
    const codec::MsgValue* value = find_value(map, key);
    if (value == nullptr) return std::optional<double>();
    double seconds = std::numeric_limits<double>::quiet_NaN();
    if (const auto* number = value->get_if<double>()) seconds = *number;
    if (const auto* number = value->get_if<std::int64_t>()) seconds = static_cast<double>(*number);
    if (std::isnan(seconds) || seconds < 0) return bad_key(key, "a number of seconds");
    return std::optional(seconds);
}

Result<bool> flag_of(const codec::MsgValue& map, std::string_view key) {
    const codec::MsgValue* value = find_value(map, key);
    if (value == nullptr) return false;
    const bool* flag = value->get_if<bool>();
    if (flag == nullptr) return bad_key(key, "a boolean");
    return *flag;
}

}  // namespace

Result<StepMetadata> decode_step(Bytes metadata) {
    StepMetadata step;
    if (metadata.empty()) return step;
    auto decoded = codec::decode_msgpack(metadata, kMetadataLimits);
    if (!decoded) return forward_error(decoded, "reading the metadata");
    const codec::MsgValue& map = *decoded;
    if (map.get_if<codec::MsgMap>() == nullptr)
        return fail(Errc::malformed, "the metadata is no map");
    KWAAI_TRY(step.session_id, text_of(map, "session_id"));
    KWAAI_TRY(step.step_id, text_of(map, "step_id"));
    KWAAI_TRY(step.max_length, number_of(map, "max_length"));
    KWAAI_TRY(step.active_adapter, text_of(map, "active_adapter"));
    KWAAI_TRY(step.alloc_timeout, seconds_of(map, "alloc_timeout"));
    KWAAI_TRY(step.start_from_position, number_of(map, "start_from_position"));
    if (const codec::MsgValue* value = map.find("args_structure")) step.args_structure = *value;
    if (const codec::MsgValue* value = map.find("next_servers")) step.next_servers = *value;
    KWAAI_TRY(step.is_pushed, flag_of(map, "pushed"));
    return step;
}

codec::Buffer encode_step(const SentStep& step) {
    codec::MsgMap map;
    const auto put = [&map](const char* key, codec::MsgValue value) {
        map.emplace_back(codec::MsgValue(std::string(key)), std::move(value));
    };
    const auto put_position = [&] {
        if (step.start_from_position)
            put("start_from_position", std::int64_t{*step.start_from_position});
    };
    put("session_id", step.session_id);
    put("step_id", step.step_id);
    if (step.max_length) {
        put("max_length", std::int64_t{*step.max_length});
        put("points", 0.0);
        put("active_adapter", codec::MsgValue());
        put("args_structure", args_structure(step.tensor_count));
        put_position();
    } else {
        put_position();
        put("args_structure", args_structure(step.tensor_count));
    }
    return codec::encode_msgpack(std::move(map));
}

codec::MsgValue args_structure(std::uint32_t count) {
    codec::MsgArray arguments;
    for (std::uint32_t index = 0; index < count; ++index)
        arguments.emplace_back(codec::to_buffer(as_bytes("__T" + std::to_string(index))));
    codec::MsgArray structure;
    structure.push_back(codec::make_tuple(std::move(arguments)));
    structure.emplace_back(codec::MsgMap());
    return codec::make_tuple(std::move(structure));
}

}  // namespace kwaai::petals
