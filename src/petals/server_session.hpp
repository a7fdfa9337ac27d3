// What one rpc_inference session asks of the server, step by step, and whether it may
// (petals-protocol.md §2.5). Pure. Where Petals has words for a refusal they are Petals' words,
// which its users know.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "inference/model.hpp"
#include "petals/metadata.hpp"
#include "petals/wire.hpp"

namespace kwaai::petals {

/// What is served, and in what measure.
struct ServedBlocks {
    std::string prefix;
    inference::BlockRange range;
    std::uint32_t hidden = 0;
    std::uint32_t length_max = 0;       // positions of a sequence
    std::uint32_t batch_max = 0;        // sequences of a session
    std::uint32_t step_tokens_max = 0;  // batch x tokens of a step
};

/// The blocks that a chain of names asks for. `Errc::not_found` ("Remote peer does not serve X")
/// for the first name that is not served, `malformed` where the served names are no chain.
[[nodiscard]] Result<inference::BlockRange> served_part(std::string_view uids,
                                                        const ServedBlocks& served);

/// Trained vectors that are added to the first positions of a step before each block.
struct DeepPrompts {
    std::uint32_t length = 0;   // positions; 0: there are none
    std::uint32_t batch = 0;    // that of the session, or 1: the same for all its sequences
    std::vector<float> values;  // [blocks of the session, batch, length, hidden]
};

struct PlannedStep {
    std::uint32_t start = 0;  // position of the first token
    std::uint32_t token_count = 0;
    std::vector<float> rows;              // [batch, token_count, hidden]
    std::vector<std::uint32_t> hypo_ids;  // [batch] or empty
    DeepPrompts prompts;
};

/// rows[i, t] += prompts of that block, for the first positions t of each sequence i.
/// @param block counted from the session's first
void add_prompts(const DeepPrompts& prompts,
                 std::uint32_t block,
                 std::uint32_t token_count,
                 std::uint32_t hidden,
                 std::vector<float>& rows);

/// The state that makes each step checkable: the prefix and the steps already taken.
class ServerSession {
public:
    /// Checks the opening request, which is the first step as well. `Errc::invalid_argument` for
    /// what a caller did wrong, `limit_exceeded`, `not_found` for blocks and adapters,
    /// `unsupported`.
    static Result<ServerSession> open(const ExpertMessage& first,
                                      const StepMetadata& metadata,
                                      const ServedBlocks& served);

    /// The blocks of its steps.
    [[nodiscard]] inference::BlockRange part() const { return part_; }

    [[nodiscard]] std::uint32_t batch() const { return batch_; }

    [[nodiscard]] std::uint32_t max_length() const { return max_length_; }

    [[nodiscard]] std::uint32_t hidden() const { return hidden_; }

    /// Whether the opening request has deep prompts; only then later steps may.
    [[nodiscard]] bool has_prompts() const { return has_prompts_; }

    /// Checks a step and takes it as done; nothing for one whose id has been seen before, which is
    /// to be passed over in silence. Errors as open(): the session has ended then.
    [[nodiscard]] Result<std::optional<PlannedStep>> plan(const ExpertMessage& message,
                                                          const StepMetadata& metadata);

private:
    // Which tensor is the hidden states, the prompts, the hypo_ids.
    using Arguments = std::array<std::optional<std::size_t>, 3>;

    ServerSession() = default;

    static Result<Arguments> read_arguments(const codec::MsgValue& structure);
    [[nodiscard]] const hivemind::WireTensor* argument(const ExpertMessage& message,
                                                       std::size_t index) const;
    [[nodiscard]] Result<> check_rows(const hivemind::WireTensor* rows) const;
    [[nodiscard]] Result<std::vector<std::uint32_t>> read_hypo_ids(
        const hivemind::WireTensor& tensor) const;
    [[nodiscard]] Result<DeepPrompts> read_prompts(const hivemind::WireTensor& tensor,
                                                   std::uint32_t token_count) const;
    [[nodiscard]] bool was_seen(const std::string& step_id);

    inference::BlockRange part_;
    std::uint32_t hidden_ = 0;
    std::uint32_t batch_ = 1;
    std::uint32_t max_length_ = 0;
    std::uint32_t step_tokens_max_ = 0;
    bool has_prompts_ = false;
    Arguments arguments_{0, 1, 2};
    std::uint32_t prefix_ = 0;
    std::deque<std::string> seen_;  // ids of the last steps
};

}  // namespace kwaai::petals
