#include "p2p/kad/ipns_record.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "codec/buffer.hpp"
#include "codec/protobuf.hpp"
#include "crypto/key.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::string_view kIpnsPrefix = "/ipns/";
constexpr std::string_view kSignedBefore = "ipns-signature:";
constexpr int kCborDepthMax = 8;

enum class CborKind : std::uint8_t {
    unsigned_number = 0,
    negative_number = 1,
    bytes = 2,
    text = 3,
    list = 4,
    map = 5,
    tag = 6,
    simple = 7,
};

struct CborHead {
    CborKind kind;
    std::uint64_t number;  // a value, a length in bytes or a count of items
};

std::unexpected<Error> no_cbor(std::string_view why) {
    return fail(Errc::malformed,
                "the signed part of an IPNS record is no DAG-CBOR: " + std::string(why));
}

// Indefinite lengths, which DAG-CBOR does without, are refused.
Result<CborHead> read_head(ByteReader& reader) {
    KWAAI_TRY(const auto first, reader.read<std::uint8_t>());
    const auto kind = static_cast<CborKind>(first >> 5);
    const unsigned size_code = first & 31U;
    if (size_code < 24) return CborHead{.kind = kind, .number = size_code};
    if (size_code > 27) return no_cbor("a length that is not given");
    KWAAI_TRY(const Bytes bytes, reader.take(std::size_t{1} << (size_code - 24)));
    std::uint64_t number = 0;
    for (const std::byte byte : bytes)
        number = number << 8 | std::to_integer<std::uint64_t>(byte);
    return CborHead{.kind = kind, .number = number};
}

Result<Bytes> take(ByteReader& reader, std::uint64_t count) {
    if (count > reader.remaining()) return no_cbor("it ends too early");
    return reader.take(static_cast<std::size_t>(count));
}

Result<> skip_item(ByteReader& reader, int depth) {
    KWAAI_TRY(const CborHead head, read_head(reader));
    switch (head.kind) {
        case CborKind::bytes:
        case CborKind::text: {
            KWAAI_CHECKED(take(reader, head.number));
            return {};
        }
        case CborKind::list:
        case CborKind::map: {
            if (depth == 0) return no_cbor("it is nested too deeply");
            const std::uint64_t of_each = head.kind == CborKind::map ? 2 : 1;
            if (head.number > reader.remaining()) return no_cbor("it ends too early");
            for (std::uint64_t i = 0; i < head.number * of_each; ++i)
                KWAAI_CHECKED(skip_item(reader, depth - 1));
            return {};
        }
        case CborKind::tag:
            if (depth == 0) return no_cbor("it is nested too deeply");
            return skip_item(reader, depth - 1);
        case CborKind::unsigned_number:
        case CborKind::negative_number:
        case CborKind::simple: return {};
    }
    return {};
}

Result<Bytes> read_bytes(ByteReader& reader, CborKind kind) {
    KWAAI_TRY(const CborHead head, read_head(reader));
    if (head.kind != kind) return no_cbor("a field of another type");
    return take(reader, head.number);
}

Result<std::uint64_t> read_number(ByteReader& reader) {
    KWAAI_TRY(const CborHead head, read_head(reader));
    if (head.kind != CborKind::unsigned_number) return no_cbor("a field of another type");
    return head.number;
}

Result<> read_field(ByteReader& reader, std::string_view name, IpnsData& into) {
    if (name == "Value") {
        KWAAI_TRY(into.value, read_bytes(reader, CborKind::bytes));
    } else if (name == "Validity") {
        KWAAI_TRY(into.validity, read_bytes(reader, CborKind::bytes));
    } else if (name == "ValidityType") {
        KWAAI_TRY(into.validity_type, read_number(reader));
    } else if (name == "Sequence") {
        KWAAI_TRY(into.sequence, read_number(reader));
    } else if (name == "TTL") {
        KWAAI_TRY(into.ttl, read_number(reader));
    } else {
        return skip_item(reader, kCborDepthMax);
    }
    return {};
}

// The fields of the protobuf message.
struct Entry {
    std::optional<Bytes> value;
    std::optional<Bytes> first_signature;
    std::optional<std::uint64_t> validity_type;
    std::optional<Bytes> validity;
    std::optional<std::uint64_t> sequence;
    std::optional<std::uint64_t> ttl;
    Bytes public_key;
    Bytes signature;
    Bytes data;
};

Result<> read_entry_field(const codec::ProtoField& field, Entry& into) {
    switch (field.tag) {
        case 1: {
            KWAAI_TRY(into.value, codec::field_bytes(field));
            break;
        }
        case 2: {
            KWAAI_TRY(into.first_signature, codec::field_bytes(field));
            break;
        }
        case 3: {
            KWAAI_TRY(into.validity_type, codec::field_u64(field));
            break;
        }
        case 4: {
            KWAAI_TRY(into.validity, codec::field_bytes(field));
            break;
        }
        case 5: {
            KWAAI_TRY(into.sequence, codec::field_u64(field));
            break;
        }
        case 6: {
            KWAAI_TRY(into.ttl, codec::field_u64(field));
            break;
        }
        case 7: {
            KWAAI_TRY(into.public_key, codec::field_bytes(field));
            break;
        }
        case 8: {
            KWAAI_TRY(into.signature, codec::field_bytes(field));
            break;
        }
        case 9: {
            KWAAI_TRY(into.data, codec::field_bytes(field));
            break;
        }
        default: break;
    }
    return {};
}

Result<Entry> read_entry(Bytes record) {
    if (record.size() > kIpnsRecordBytesMax)
        return fail(Errc::malformed,
                    "an IPNS record of " + std::to_string(record.size()) + " bytes, more than " +
                        std::to_string(kIpnsRecordBytesMax));
    Entry entry;
    codec::ProtoReader reader(record);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) break;
        KWAAI_CHECKED(read_entry_field(field, entry));
    }
    if (entry.signature.empty() || entry.data.empty())
        return fail(Errc::malformed, "the IPNS record has no signature of version 2");
    return entry;
}

Result<crypto::PublicKey> key_of(const PeerId& name, const Entry& entry) {
    if (entry.public_key.empty()) {
        auto embedded = name.embedded_key();
        if (embedded) return *std::move(embedded);
        return fail(Errc::malformed, "the IPNS record lacks the public key of its name");
    }
    KWAAI_TRY(crypto::PublicKey given, crypto::PublicKey::from_protobuf(entry.public_key));
    if (!name.matches(given))
        return fail(Errc::malformed, "the IPNS record's public key is not that of its name");
    return given;
}

Result<> verify(const PeerId& name, const Entry& entry) {
    KWAAI_TRY(const crypto::PublicKey key, key_of(name, entry));
    codec::Buffer text = codec::to_buffer(as_bytes(kSignedBefore));
    codec::append(text, entry.data);
    if (!key.verify(text, entry.signature))
        return fail(Errc::malformed, "the IPNS record's signature is wrong");
    return {};
}

bool is_equal(const std::optional<Bytes>& outside, Bytes inside) {
    return outside && std::ranges::equal(*outside, inside);
}

// Readers of old look at the fields outside the signed data, where those are there.
bool says_the_same(const Entry& entry, const IpnsData& data) {
    const bool is_for_old_readers =
        entry.value.value_or(Bytes()).size() + entry.first_signature.value_or(Bytes()).size() > 0;
    return !is_for_old_readers ||
           (is_equal(entry.value, data.value) && is_equal(entry.validity, data.validity) &&
            entry.validity_type.value_or(0) == data.validity_type &&
            entry.sequence.value_or(0) == data.sequence && entry.ttl.value_or(0) == data.ttl);
}

class IpnsValidator final : public Validator {
public:
    explicit IpnsValidator(std::function<std::uint64_t()> unix_time)
        : unix_time_(std::move(unix_time)) {}

    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const override {
        KWAAI_TRY(const IpnsData data, open_ipns_record(key, value));
        if (data.expires < IpnsTime{.seconds = static_cast<std::int64_t>(unix_time_())})
            return fail(Errc::malformed, "the IPNS record has expired");
        return {};
    }

    [[nodiscard]] std::size_t select(Bytes key, std::span<const Bytes> values) const override {
        std::size_t best = 0;
        std::optional<IpnsData> of_best;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto data = open_ipns_record(key, values[i]);
            if (!data) continue;
            if (of_best && !is_better(*data, values[i], *of_best, values[best])) continue;
            of_best = *data;
            best = i;
        }
        return best;
    }

private:
    static bool is_better(const IpnsData& next,
                          Bytes next_bytes,
                          const IpnsData& best,
                          Bytes best_bytes) {
        const auto next_rank = std::tie(next.sequence, next.expires);
        const auto best_rank = std::tie(best.sequence, best.expires);
        if (next_rank != best_rank) return next_rank > best_rank;
        return std::ranges::lexicographical_compare(best_bytes, next_bytes);
    }

    std::function<std::uint64_t()> unix_time_;
};

// `count` digits at the front of `text`, which moves on behind them and behind `end`.
std::optional<unsigned> take_number(std::string_view& text,
                                    std::size_t count,
                                    std::string_view end) {
    if (text.size() < count + end.size() || text.substr(count, end.size()) != end)
        return std::nullopt;
    unsigned number = 0;
    const std::string_view digits = text.substr(0, count);
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
    text.remove_prefix(count + end.size());
    return number;
}

// ".25Z" or "Z"; what lies below a nanosecond is left out.
std::optional<std::uint32_t> take_fraction(std::string_view text) {
    if (text == "Z") return 0;
    if (text.size() < 3 || text.front() != '.' || text.back() != 'Z') return std::nullopt;
    std::uint32_t value = 0;
    std::uint32_t unit = 100'000'000;
    for (const char digit : text.substr(1, text.size() - 2)) {
        if (digit < '0' || digit > '9') return std::nullopt;
        value += static_cast<std::uint32_t>(digit - '0') * unit;
        unit /= 10;
    }
    return value;
}

}  // namespace

Result<IpnsTime> parse_ipns_time(std::string_view text) {
    const auto refused = [text] {
        return fail(
            Errc::malformed,
            "the end of an IPNS record is no time of UTC: " + std::string(text.substr(0, 64)));
    };

    struct Part {
        std::size_t digits;
        std::string_view end;
        unsigned max;
    };

    constexpr std::array<Part, 6> kParts{{{.digits = 4, .end = "-", .max = 9999},
                                          {.digits = 2, .end = "-", .max = 12},
                                          {.digits = 2, .end = "T", .max = 31},
                                          {.digits = 2, .end = ":", .max = 23},
                                          {.digits = 2, .end = ":", .max = 59},
                                          {.digits = 2, .end = "", .max = 59}}};
    std::array<unsigned, kParts.size()> numbers{};
    std::string_view rest = text;
    for (std::size_t i = 0; i < kParts.size(); ++i) {
        const auto number = take_number(rest, kParts[i].digits, kParts[i].end);
        if (!number || *number > kParts[i].max) return refused();
        numbers[i] = *number;
    }
    const auto fraction = take_fraction(rest);
    const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(numbers[0])),
                                          std::chrono::month(numbers[1]),
                                          std::chrono::day(numbers[2])};
    if (!fraction || !day.ok()) return refused();
    const std::chrono::sys_seconds whole =
        std::chrono::sys_days(day) + std::chrono::hours(numbers[3]) +
        std::chrono::minutes(numbers[4]) + std::chrono::seconds(numbers[5]);
    return IpnsTime{.seconds = whole.time_since_epoch().count(), .nanoseconds = *fraction};
}

Result<IpnsData> read_ipns_data(Bytes cbor) {
    ByteReader reader(cbor);
    KWAAI_TRY(const CborHead head, read_head(reader));
    if (head.kind != CborKind::map) return no_cbor("it is no map");
    if (head.number > reader.remaining()) return no_cbor("it ends too early");
    IpnsData data;
    for (std::uint64_t i = 0; i < head.number; ++i) {
        KWAAI_TRY(const Bytes name, read_bytes(reader, CborKind::text));
        KWAAI_CHECKED(read_field(reader, as_text(name), data));
    }
    if (reader.remaining() > 0) return no_cbor("something comes after it");
    if (data.value.empty() || data.validity.empty())
        return fail(Errc::malformed, "the IPNS record says neither what it names nor how long");
    if (data.validity_type != 0)
        return fail(Errc::unsupported,
                    "the IPNS record's validity is of type " + std::to_string(data.validity_type));
    KWAAI_TRY(data.expires, parse_ipns_time(as_text(data.validity)));
    return data;
}

Result<IpnsData> open_ipns_record(Bytes key, Bytes record) {
    if (!as_text(key).starts_with(kIpnsPrefix))
        return fail(Errc::malformed, "the key of an IPNS record does not begin with /ipns/");
    KWAAI_TRY(const PeerId name, PeerId::from_bytes(key.subspan(kIpnsPrefix.size())));
    KWAAI_TRY(const Entry entry, read_entry(record));
    KWAAI_CHECKED(verify(name, entry));
    KWAAI_TRY(const IpnsData data, read_ipns_data(entry.data));
    if (!says_the_same(entry, data))
        return fail(Errc::malformed, "the IPNS record says one thing signed, another thing not");
    return data;
}

std::shared_ptr<const Validator> ipns_validator(std::function<std::uint64_t()> unix_time) {
    return std::make_shared<const IpnsValidator>(std::move(unix_time));
}

}  // namespace kwaai::p2p::kad
