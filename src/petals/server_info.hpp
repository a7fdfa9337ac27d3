// What rpc_info tells: Petals' map, and our key in it.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/tensor_wire.hpp"
#include "inference/model.hpp"

namespace kwaai::petals {

using ModelDigest = std::array<std::byte, 32>;

/// The key "kwaai" of the map: {prefix, start_block, end_block, model_digest, arithmetic, rows},
/// which stock clients do not look at.
struct KwaaiInfo {
    std::string prefix;
    inference::BlockRange range;
    std::optional<ModelDigest> digest;  // absent while it is being computed
    std::uint32_t arithmetic_id = 0;
    hivemind::WireType rows = hivemind::WireType::float32;
};

/// With a schema where a block was asked for (petals-protocol.md §2.4).
struct ServerInfo {
    std::string version;
    bool is_dht_client = false;
    std::uint64_t cache_tokens_available = 0;
    std::optional<std::uint32_t> schema_hidden;  // hidden size of the schema; none: no schema
    hivemind::WireType schema_type = hivemind::WireType::float32;
    hivemind::Compression inference_compression = hivemind::Compression::none;
    std::optional<KwaaiInfo> kwaai;
};

/// The map, keys in stock's order, ours last.
[[nodiscard]] codec::Buffer encode_server_info(const ServerInfo& info);
/// Reads stock's and ours. `Errc::malformed` where a key that we use has another type.
[[nodiscard]] Result<ServerInfo> decode_server_info(Bytes map);

}  // namespace kwaai::petals
