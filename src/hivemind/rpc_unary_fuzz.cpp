// Any bytes as an envelope: what is accepted lies inside it, and written again reads the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "codec/varint.hpp"
#include "hivemind/rpc_wire.hpp"

namespace {

using namespace kwaai;

bool lies_inside(Bytes part, Bytes whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

template <class Message>
codec::Buffer envelope_of(const Message& message) {
    codec::Buffer bytes = hivemind::encode_head(message);
    codec::append(bytes, message.data);
    const auto length = codec::read_varint(bytes);
    if (!length || !*length || (*length)->value != hivemind::envelope_size(message) ||
        bytes.size() != (*length)->size + (*length)->value)
        std::abort();
    return codec::to_buffer(Bytes(bytes).subspan((*length)->size));
}

void check_request(Bytes bytes) {
    const auto request = hivemind::decode_unary_request(bytes);
    if (!request) return;
    if (!lies_inside(request->peer, bytes) || !lies_inside(request->data, bytes) ||
        !lies_inside(as_bytes(request->method), bytes))
        std::abort();
    const codec::Buffer envelope = envelope_of(*request);
    const auto again = hivemind::decode_unary_request(envelope);
    if (!again || again->id != request->id || again->method != request->method ||
        !std::ranges::equal(again->peer, request->peer) ||
        !std::ranges::equal(again->data, request->data))
        std::abort();
}

void check_reply(Bytes bytes) {
    const auto reply = hivemind::decode_unary_reply(bytes);
    if (!reply) return;
    if (!lies_inside(reply->data, bytes)) std::abort();
    if (hivemind::clean_text(as_text(reply->data)).size() > 4096) std::abort();
    const codec::Buffer envelope = envelope_of(*reply);
    const auto again = hivemind::decode_unary_reply(envelope);
    if (!again || again->id != reply->id || again->is_error != reply->is_error ||
        !std::ranges::equal(again->data, reply->data))
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes = std::as_bytes(std::span(data, size));
    check_request(bytes);
    check_reply(bytes);
    return 0;
}
