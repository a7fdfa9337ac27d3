// Arbitrary bytes as what Petals peers send: decoders take no harm, what they accept is encoded to
// something that they accept as the same, and a session never plans a step that it must not take.
#include <cstdint>
#include <cstdlib>

#include "petals/metadata.hpp"
#include "petals/server_info.hpp"
#include "petals/server_session.hpp"
#include "petals/wire.hpp"

using namespace kwaai;
using namespace kwaai::petals;

namespace {

constexpr std::uint32_t kHidden = 4;

void require(bool condition) {
    if (!condition) std::abort();
}

void plan(const ExpertMessage& message, const StepMetadata& metadata) {
    const ServedBlocks served{.prefix = "m",
                              .range = {0, 3},
                              .hidden = kHidden,
                              .length_max = 64,
                              .batch_max = 4,
                              .step_tokens_max = 32};
    auto session = ServerSession::open(message, metadata, served);
    if (!session) return;
    require(served.range.covers(session->part()));
    require(session->batch() >= 1 && session->batch() <= served.batch_max);
    for (int i = 0; i < 2; ++i) {
        const auto step = session->plan(message, metadata);
        if (!step || !*step) return;
        const PlannedStep& planned = **step;
        require(planned.start + planned.token_count <= session->max_length());
        require(planned.rows.size() ==
                std::size_t{session->batch()} * planned.token_count * kHidden);
        require(planned.hypo_ids.empty() || planned.hypo_ids.size() == session->batch());
        std::vector<float> rows = planned.rows;
        for (std::uint32_t block = 0; block < session->part().count(); ++block)
            add_prompts(planned.prompts, block, planned.token_count, kHidden, rows);
    }
}

void take_message(Bytes input) {
    const Result<ExpertMessage> message = decode_message(input);
    if (!message) return;
    const codec::Buffer encoded = encode_message(*message);
    const Result<ExpertMessage> again = decode_message(encoded);
    require(again && encode_message(*again) == encoded);
    const Result<StepMetadata> metadata = decode_step(message->metadata);
    if (metadata) plan(*message, *metadata);
}

void take_info(Bytes input) {
    const Result<ServerInfo> info = decode_server_info(input);
    if (!info) return;
    const codec::Buffer encoded = encode_server_info(*info);
    const Result<ServerInfo> again = decode_server_info(encoded);
    require(again && encode_server_info(*again) == encoded);
}

void take_uids(std::string_view input) {
    const Result<BlockChain> chain = parse_uids(input);
    if (chain) require(to_uids(*chain) == input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    take_message(input);
    (void)decode_step(input);
    take_info(input);
    take_uids(as_text(input));
    (void)decode_uid(input);
    (void)decode_info(input);
    return 0;
}
