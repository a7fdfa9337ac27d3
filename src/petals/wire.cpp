#include "petals/wire.hpp"

#include <algorithm>
#include <charconv>

#include "base/checked.hpp"
#include "codec/protobuf.hpp"
#include "codec/varint.hpp"

namespace kwaai::petals {
namespace {

constexpr std::size_t kTensorsMax = 16;
constexpr std::size_t kPrefixBytesMax = 256;
constexpr std::uint32_t kBlocksMax = 1024;

// The one field of a message that has only it; the last where there are several.
Result<Bytes> only_field(Bytes message, std::uint32_t tag) {
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    Bytes found;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return found;
        if (field.tag != tag) continue;
        KWAAI_TRY(found, codec::field_bytes(field));
    }
}

struct BlockName {
    std::string_view prefix;
    std::uint32_t index;
};

Result<BlockName> parse_name(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || dot > kPrefixBytesMax)
        return fail(Errc::malformed, "a block's name is not PREFIX.INDEX");
    const std::string_view digits = name.substr(dot + 1);
    BlockName result{name.substr(0, dot), 0};
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), result.index);
    const bool is_number = error == std::errc() && end == digits.data() + digits.size();
    if (!is_number || (digits.size() > 1 && digits.front() == '0'))
        return fail(Errc::malformed, "a block's name does not end with its index");
    return result;
}

}  // namespace

codec::Buffer encode_uid(std::string_view uid) {
    codec::Buffer out;
    if (!uid.empty()) codec::ProtoWriter(out).text(1, uid);
    return out;
}

Result<std::string> decode_uid(Bytes message) {
    KWAAI_TRY(const Bytes uid, only_field(message, 1));
    return std::string(as_text(uid));
}

codec::Buffer encode_info(Bytes serialized_info) {
    codec::Buffer out;
    if (!serialized_info.empty()) codec::ProtoWriter(out).bytes(1, serialized_info);
    return out;
}

Result<codec::Buffer> decode_info(Bytes message) {
    KWAAI_TRY(const Bytes info, only_field(message, 1));
    return codec::to_buffer(info);
}

codec::Buffer encode_message(const ExpertMessage& message) {
    codec::Buffer out;
    codec::ProtoWriter writer(out);
    if (!message.uid.empty()) writer.text(1, message.uid);
    for (const hivemind::WireTensor& tensor : message.tensors) {
        codec::Buffer encoded;
        hivemind::encode_tensor(encoded, tensor);
        writer.bytes(2, encoded);
    }
    if (!message.metadata.empty()) writer.bytes(3, message.metadata);
    return out;
}

Result<ExpertMessage> decode_message(Bytes message) {
    codec::ProtoReader reader(message);
    codec::ProtoField field;
    ExpertMessage result;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return result;
        if (field.tag == 1) {
            KWAAI_TRY(result.uid, codec::field_text(field));
        } else if (field.tag == 2) {
            if (result.tensors.size() == kTensorsMax)
                return fail(Errc::limit_exceeded,
                            "a message has more than " + std::to_string(kTensorsMax) + " tensors");
            KWAAI_TRY(const Bytes encoded, codec::field_bytes(field));
            auto tensor = hivemind::decode_tensor(encoded);
            if (!tensor)
                return forward_error(tensor, "tensor " + std::to_string(result.tensors.size()));
            result.tensors.push_back(std::move(*tensor));
        } else if (field.tag == 3) {
            KWAAI_TRY(const Bytes metadata, codec::field_bytes(field));
            result.metadata = codec::to_buffer(metadata);
        }
    }
}

hivemind::TensorFrame frame_response(const hivemind::WireTensor& tensor) {
    hivemind::TensorFrame inner = hivemind::frame_tensor(tensor);
    hivemind::TensorFrame outer;
    constexpr std::byte kTensorsTag{2U << 3U | 2U};  // ExpertResponse.tensors, length-delimited
    outer.head.push_back(kTensorsTag);
    codec::append_varint(outer.head, inner.head.size() + tensor.buffer.size() + inner.tail.size());
    codec::append(outer.head, inner.head);
    outer.tail = std::move(inner.tail);
    return outer;
}

std::string to_uids(const BlockChain& chain) {
    std::string out;
    for (std::uint32_t block = chain.range.begin; block < chain.range.end; ++block) {
        if (!out.empty()) out += ' ';
        out.append(chain.prefix).append(1, '.').append(std::to_string(block));
    }
    return out;
}

Result<BlockChain> parse_uids(std::string_view uids) {
    BlockChain chain;
    for (std::uint32_t count = 0;; ++count) {
        if (count == kBlocksMax)
            return fail(Errc::malformed,
                        "a chain of more than " + std::to_string(kBlocksMax) + " blocks");
        const std::size_t space = std::min(uids.find(' '), uids.size());
        KWAAI_TRY(const BlockName name, parse_name(uids.substr(0, space)));
        const auto next = checked_add(name.index, std::uint32_t{1});
        if (!next) return fail(Errc::malformed, "a block's index is too large");
        if (count == 0) {
            chain = {std::string(name.prefix), {name.index, name.index}};
        } else if (name.prefix != chain.prefix) {
            return fail(Errc::malformed, "the blocks of a chain belong to different models");
        } else if (name.index != chain.range.end) {
            return fail(Errc::malformed,
                        "block " + std::to_string(name.index) + " does not follow block " +
                            std::to_string(chain.range.end - 1));
        }
        chain.range.end = *next;
        if (space == uids.size()) return chain;
        uids.remove_prefix(space + 1);
    }
}

}  // namespace kwaai::petals
