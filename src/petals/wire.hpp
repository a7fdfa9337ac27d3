// Petals' messages (runtime.proto of Hivemind) and the names of blocks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "hivemind/tensor_wire.hpp"
#include "inference/model.hpp"

namespace kwaai::petals {

inline constexpr const char* kInfoMethod = "TransformerConnectionHandler.rpc_info";
inline constexpr const char* kInferenceMethod = "TransformerConnectionHandler.rpc_inference";

/// ExpertUID { uid = 1 }.
[[nodiscard]] codec::Buffer encode_uid(std::string_view uid);
[[nodiscard]] Result<std::string> decode_uid(Bytes message);

/// ExpertInfo { serialized_info = 1 }.
[[nodiscard]] codec::Buffer encode_info(Bytes serialized_info);
[[nodiscard]] Result<codec::Buffer> decode_info(Bytes message);

/// ExpertRequest { uid = 1, tensors = 2, metadata = 3 } and ExpertResponse { tensors = 2, metadata
/// = 3 }: one struct, since stock peers parse either as the other. At most 16 tensors are read.
struct ExpertMessage {
    std::string uid;
    std::vector<hivemind::WireTensor> tensors;
    codec::Buffer metadata;  // MessagePack map, or empty
};

[[nodiscard]] codec::Buffer encode_message(const ExpertMessage& message);
[[nodiscard]] Result<ExpertMessage> decode_message(Bytes message);

/// ExpertResponse { tensor } around the tensor's payload, for a send without a copy: `head`, then
/// the payload, then `tail` are encode_message's bytes.
[[nodiscard]] hivemind::TensorFrame frame_response(const hivemind::WireTensor& tensor);

/// A run of blocks by the names that Petals gives them: "{prefix}.{index}", joined by spaces.
struct BlockChain {
    std::string prefix;
    inference::BlockRange range;
};

[[nodiscard]] std::string to_uids(const BlockChain& chain);
/// `Errc::malformed` for what is no such chain: indices that do not follow one another, several
/// prefixes, more than 1024 blocks.
[[nodiscard]] Result<BlockChain> parse_uids(std::string_view uids);

}  // namespace kwaai::petals
