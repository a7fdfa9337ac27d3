#include "petals/server_info.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "codec/msgpack.hpp"

namespace kwaai::petals {
namespace {

using codec::MsgArray;
using codec::MsgMap;
using codec::MsgValue;
using hivemind::WireType;

constexpr codec::MsgLimits kInfoLimits{
    .bytes_max = std::size_t{64} << 10, .depth_max = 16, .values_max = 4096};
// Hivemind's BatchTensorDescriptor: an extension whose payload is a map.
constexpr std::int8_t kExtDescriptor = 0x51;
// What stock servers put for the number of positions in their schema.
constexpr std::int64_t kSchemaPositions = 2048;

void put(MsgMap& map, const char* key, MsgValue value) {
    map.emplace_back(MsgValue(std::string(key)), std::move(value));
}

MsgValue text(std::string_view value) {
    return std::string(value);
}

MsgValue descriptor(MsgArray size, WireType type, hivemind::Compression compression) {
    MsgMap map;
    put(map, "size", codec::make_tuple(std::move(size)));
    put(map, "dtype", text("torch." + std::string(hivemind::to_string(type))));
    put(map, "layout", text("torch.strided"));
    put(map, "requires_grad", false);
    put(map, "pin_memory", false);
    put(map, "compression", static_cast<std::int64_t>(compression));
    put(map, "device_type", MsgValue());
    put(map, "device_index", MsgValue());
    return codec::MsgExt{kExtDescriptor, codec::encode_msgpack(std::move(map))};
}

// (arguments, {})
MsgValue call_schema(MsgArray arguments) {
    MsgArray schema;
    schema.push_back(codec::make_tuple(std::move(arguments)));
    schema.emplace_back(MsgMap());
    return codec::make_tuple(std::move(schema));
}

void put_schemas(MsgMap& map, const ServerInfo& info, std::uint32_t hidden) {
    const hivemind::Compression compression = info.inference_compression;
    MsgArray shape{MsgValue(), std::int64_t{1}, kSchemaPositions, std::int64_t{hidden}};
    const MsgValue rows = descriptor(std::move(shape), info.schema_type, compression);
    const MsgValue prompts = descriptor(MsgArray{MsgValue()}, info.schema_type, compression);
    const MsgValue hypo_ids = descriptor(MsgArray{MsgValue()}, WireType::int64, compression);
    put(map, "forward_schema", call_schema(MsgArray{rows}));
    put(map, "outputs_schema", codec::make_tuple(MsgArray{rows}));
    put(map, "keyword_names", codec::make_tuple(MsgArray{}));
    put(map, "inference_schema", call_schema(MsgArray{rows, prompts, hypo_ids}));
}

MsgValue encode_kwaai(const KwaaiInfo& kwaai) {
    MsgMap map;
    put(map, "prefix", text(kwaai.prefix));
    put(map, "start_block", std::int64_t{kwaai.range.begin});
    put(map, "end_block", std::int64_t{kwaai.range.end});
    put(map, "model_digest", kwaai.digest ? MsgValue(codec::to_buffer(*kwaai.digest)) : MsgValue());
    put(map, "arithmetic", std::int64_t{kwaai.arithmetic_id});
    put(map, "rows", text(hivemind::to_string(kwaai.rows)));
    return map;
}

std::unexpected<Error> bad_key(std::string_view key, std::string_view what) {
    return fail(Errc::malformed,
                "the server's info: \"" + std::string(key) + "\" is not " + std::string(what));
}

const MsgValue* find_value(const MsgValue& map, std::string_view key) {
    const MsgValue* value = map.find(key);
    return value != nullptr && value->is_nil() ? nullptr : value;
}

Result<std::string> text_of(const MsgValue& map, std::string_view key) {
    const MsgValue* value = find_value(map, key);
    if (value == nullptr) return std::string();
    const auto* found = value->get_if<std::string>();
    if (found == nullptr || found->size() > 256) return bad_key(key, "a text of at most 256 bytes");
    return *found;
}

template <class T>
Result<T> number_of(const MsgValue& map, std::string_view key) {
    const MsgValue* value = find_value(map, key);
    if (value == nullptr) return T{0};
    const auto* integer = value->get_if<std::int64_t>();
    const auto number = integer == nullptr ? std::nullopt : checked_cast<T>(*integer);
    if (!number) return bad_key(key, "an integer from 0 on, within bounds");
    return *number;
}

Result<bool> flag_of(const MsgValue& map, std::string_view key) {
    const MsgValue* value = find_value(map, key);
    if (value == nullptr) return false;
    const bool* flag = value->get_if<bool>();
    if (flag == nullptr) return bad_key(key, "a boolean");
    return *flag;
}

// The types in which rows travel.
Result<WireType> row_type(std::string_view key, std::string_view name) {
    for (const WireType type : {WireType::float32, WireType::float16, WireType::bfloat16})
        if (hivemind::to_string(type) == name) return type;
    return bad_key(key, "float32, float16 or bfloat16");
}

// The first argument's descriptor in a schema ((descriptor, ...), {}): the rows.
Result<MsgValue> rows_descriptor(const MsgValue& schema, std::string_view key) {
    const auto call = schema.elements();
    if (!call || call->empty()) return bad_key(key, "a schema");
    const auto arguments = call->front().elements();
    if (!arguments || arguments->empty()) return bad_key(key, "a schema with arguments");
    const auto* ext = arguments->front().get_if<codec::MsgExt>();
    if (ext == nullptr || ext->type != kExtDescriptor) return bad_key(key, "a schema of tensors");
    auto map = codec::decode_msgpack(ext->bytes, kInfoLimits);
    if (!map) return forward_error(map, "the server's info: reading a schema");
    return std::move(*map);
}

Result<void> read_rows(const MsgValue& rows, ServerInfo& info) {
    const MsgValue* size = find_value(rows, "size");
    if (size == nullptr) return bad_key("size", "there");
    const auto extents = size->elements();
    if (!extents || extents->empty()) return bad_key("size", "a shape");
    const auto* hidden = extents->back().get_if<std::int64_t>();
    const auto fits = hidden == nullptr ? std::nullopt : checked_cast<std::uint32_t>(*hidden);
    if (!fits || *fits == 0) return bad_key("size", "a shape that ends with the hidden size");
    info.schema_hidden = *fits;
    KWAAI_TRY(const std::string dtype, text_of(rows, "dtype"));
    constexpr std::string_view kTorch = "torch.";
    if (!dtype.starts_with(kTorch)) return bad_key("dtype", "a type of torch");
    KWAAI_TRY(info.schema_type, row_type("dtype", std::string_view(dtype).substr(kTorch.size())));
    return {};
}

Result<void> read_schemas(const MsgValue& map, ServerInfo& info) {
    const MsgValue* forward = find_value(map, "forward_schema");
    if (forward == nullptr) return {};
    KWAAI_TRY(const MsgValue rows, rows_descriptor(*forward, "forward_schema"));
    KWAAI_CHECKED(read_rows(rows, info));
    const MsgValue* inference = find_value(map, "inference_schema");
    if (inference == nullptr) return {};
    KWAAI_TRY(const MsgValue sent, rows_descriptor(*inference, "inference_schema"));
    KWAAI_TRY(const auto compression, number_of<std::uint32_t>(sent, "compression"));
    if (compression > static_cast<std::uint32_t>(hivemind::Compression::blockwise_8bit))
        return bad_key("compression", "one of Hivemind's");
    info.inference_compression = static_cast<hivemind::Compression>(compression);
    return {};
}

Result<KwaaiInfo> read_kwaai(const MsgValue& map) {
    KwaaiInfo kwaai;
    KWAAI_TRY(kwaai.prefix, text_of(map, "prefix"));
    KWAAI_TRY(kwaai.range.begin, number_of<std::uint32_t>(map, "start_block"));
    KWAAI_TRY(kwaai.range.end, number_of<std::uint32_t>(map, "end_block"));
    if (kwaai.range.begin > kwaai.range.end) return bad_key("end_block", "behind start_block");
    if (const MsgValue* value = find_value(map, "model_digest")) {
        const auto* bytes = value->get_if<codec::Buffer>();
        if (bytes == nullptr || bytes->size() != ModelDigest().size())
            return bad_key("model_digest", "32 bytes");
        std::ranges::copy(*bytes, kwaai.digest.emplace().begin());
    }
    KWAAI_TRY(kwaai.arithmetic_id, number_of<std::uint32_t>(map, "arithmetic"));
    KWAAI_TRY(const std::string rows, text_of(map, "rows"));
    KWAAI_TRY(kwaai.rows, row_type("rows", rows));
    return kwaai;
}

}  // namespace

codec::Buffer encode_server_info(const ServerInfo& info) {
    MsgMap map;
    put(map, "version", text(info.version));
    put(map, "dht_client_mode", info.is_dht_client);
    put(map, "cache_tokens_available", static_cast<std::int64_t>(info.cache_tokens_available));
    if (info.schema_hidden) put_schemas(map, info, *info.schema_hidden);
    if (info.kwaai) put(map, "kwaai", encode_kwaai(*info.kwaai));
    return codec::encode_msgpack(std::move(map));
}

Result<ServerInfo> decode_server_info(Bytes map) {
    auto decoded = codec::decode_msgpack(map, kInfoLimits);
    if (!decoded) return forward_error(decoded, "the server's info");
    if (decoded->get_if<MsgMap>() == nullptr)
        return fail(Errc::malformed, "the server's info is no map");
    ServerInfo info;
    KWAAI_TRY(info.version, text_of(*decoded, "version"));
    KWAAI_TRY(info.is_dht_client, flag_of(*decoded, "dht_client_mode"));
    KWAAI_TRY(info.cache_tokens_available,
              number_of<std::uint64_t>(*decoded, "cache_tokens_available"));
    KWAAI_CHECKED(read_schemas(*decoded, info));
    if (const MsgValue* value = find_value(*decoded, "kwaai")) {
        if (value->get_if<MsgMap>() == nullptr) return bad_key("kwaai", "a map");
        KWAAI_TRY(info.kwaai, read_kwaai(*value));
    }
    return info;
}

}  // namespace kwaai::petals
