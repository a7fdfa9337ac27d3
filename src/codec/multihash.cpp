#include "codec/multihash.hpp"

#include <optional>
#include <string>

#include "base/check.hpp"
#include "codec/varint.hpp"

namespace kwaai::codec {
namespace {

constexpr std::size_t kIdentityBytesMax = 128;

/// The digest's length; nothing for the identity, whose length is free.
Result<std::optional<std::size_t>> digest_size(std::uint64_t code) {
    switch (static_cast<HashCode>(code)) {
        case HashCode::identity: return std::nullopt;
        case HashCode::sha1: return 20;
        case HashCode::sha2_256: return 32;
        case HashCode::sha2_512: return 64;
    }
    return fail(Errc::unsupported, "a multihash of the unknown kind " + std::to_string(code));
}

}  // namespace

Result<Multihash> read_multihash(Bytes bytes) {
    const auto cut_short = [] {
        return fail(Errc::malformed, "a multihash is cut short");
    };
    KWAAI_TRY(const auto code, read_varint(bytes));
    if (!code) return cut_short();
    KWAAI_TRY(const auto length, read_varint(bytes.subspan(code->size)));
    if (!length) return cut_short();
    KWAAI_TRY(const auto wanted, digest_size(code->value));
    if (wanted ? length->value != *wanted : length->value > kIdentityBytesMax)
        return fail(Errc::malformed,
                    "a multihash of the kind " + std::to_string(code->value) + " has a digest of " +
                        std::to_string(length->value) + " bytes");
    const Bytes rest = bytes.subspan(code->size + length->size);
    const auto size = static_cast<std::size_t>(length->value);
    if (rest.size() < size) return cut_short();
    return Multihash{.code = static_cast<HashCode>(code->value),
                     .digest = rest.first(size),
                     .size = code->size + length->size + size};
}

Buffer make_multihash(HashCode code, Bytes digest) {
    const auto wanted = digest_size(static_cast<std::uint64_t>(code));
    KWAAI_CHECK(
        wanted && (*wanted ? digest.size() == **wanted : digest.size() <= kIdentityBytesMax),
        "a digest has its kind's length");
    Buffer out;
    out.reserve(4 + digest.size());
    append_varint(out, static_cast<std::uint64_t>(code));
    append_varint(out, digest.size());
    append(out, digest);
    return out;
}

}  // namespace kwaai::codec
