// The MessagePack maps that travel with rpc_inference (petals-protocol.md §2.3, §2.5).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "codec/msgpack.hpp"

namespace kwaai::petals {

/// One step of rpc_inference. The first of a session also carries max_length, points,
/// active_adapter.
struct StepMetadata {
    std::optional<std::string> session_id;
    std::optional<std::string> step_id;
    std::optional<std::uint32_t> max_length;
    std::optional<std::string> active_adapter;
    std::optional<double> alloc_timeout;  // seconds
    std::optional<std::uint32_t> start_from_position;
    codec::MsgValue args_structure;  // nil where absent
    codec::MsgValue next_servers;    // nil where absent
    bool is_pushed = false;
};

/// Unknown keys are skipped. `Errc::malformed` names the key whose value has another type or is out
/// of range.
[[nodiscard]] Result<StepMetadata> decode_step(Bytes metadata);

/// What a client sends: keys in the order of stock main (session_id, step_id, max_length, points,
/// active_adapter, args_structure, start_from_position; later steps session_id, step_id,
/// start_from_position, args_structure), without those that are absent.
struct SentStep {
    std::string session_id;
    std::string step_id;
    std::optional<std::uint32_t> max_length;  // of the first step of a session
    std::optional<std::uint32_t> start_from_position;
    std::uint32_t tensor_count = 3;
};

[[nodiscard]] codec::Buffer encode_step(const SentStep& step);

/// ((__T0, __T1, …), {}) for `count` tensors: what args_structure always is.
[[nodiscard]] codec::MsgValue args_structure(std::uint32_t count);

}  // namespace kwaai::petals
