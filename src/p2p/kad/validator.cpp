#include "p2p/kad/validator.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "codec/protobuf.hpp"
#include "p2p/envelope.hpp"
#include "p2p/kad/ipns_record.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::string_view kDomain = "kwaai-record";
constexpr std::string_view kPayloadType = "/kwaai/record";
constexpr std::string_view kPublicKeyPrefix = "/pk/";
constexpr std::string_view kSignedPrefix = "/kwaai/";
constexpr std::string_view kSharedPrefix = "/kwaai-shared/";
constexpr std::size_t kNameBytesMax = 64;
constexpr std::uint64_t kSecondsAheadMax = 72 * 3600;
constexpr std::uint64_t kMillisecondsAheadMax = 300'000;  // of a shared record's sequence

std::optional<std::string_view> namespace_of(Bytes key) {
    std::string_view text = as_text(key);
    if (!text.starts_with('/')) return std::nullopt;
    text.remove_prefix(1);
    const std::size_t end = text.find('/');
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    return text.substr(0, end);
}

class PublicKeyValidator final : public Validator {
public:
    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const override {
        if (!as_text(key).starts_with(kPublicKeyPrefix))
            return fail(Errc::malformed, "the key of a public key does not begin with /pk/");
        KWAAI_TRY(const PeerId peer, PeerId::from_bytes(key.subspan(kPublicKeyPrefix.size())));
        KWAAI_TRY(const crypto::PublicKey public_key, crypto::PublicKey::from_protobuf(value));
        if (!peer.matches(public_key))
            return fail(Errc::malformed, "the public key is not the one of peer " + peer.to_text());
        return {};
    }

    [[nodiscard]] std::size_t select(Bytes /*key*/,
                                     std::span<const Bytes> /*values*/) const override {
        return 0;
    }
};

Result<> check_expiry(const SignedRecord& record, std::uint64_t now) {
    if (record.expires <= now) return fail(Errc::malformed, "the record has expired");
    if (record.expires - now > kSecondsAheadMax)
        return fail(Errc::malformed, "the record expires more than three days from now");
    return {};
}

class SignedRecordValidator final : public Validator {
public:
    explicit SignedRecordValidator(std::function<std::uint64_t()> unix_time)
        : unix_time_(std::move(unix_time)) {}

    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const override {
        KWAAI_TRY(const SignedRecord record, open_signed_record(key, value));
        return check_expiry(record, unix_time_());
    }

    [[nodiscard]] std::size_t select(Bytes key, std::span<const Bytes> values) const override {
        std::size_t best = 0;
        std::uint64_t highest = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto record = open_signed_record(key, values[i]);
            if (!record || record->sequence <= highest) continue;
            highest = record->sequence;
            best = i;
        }
        return best;
    }

private:
    std::function<std::uint64_t()> unix_time_;
};

class SharedRecordValidator final : public Validator {
public:
    explicit SharedRecordValidator(std::function<std::uint64_t()> unix_time)
        : unix_time_(std::move(unix_time)) {}

    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const override {
        KWAAI_TRY(const SignedRecord record, open_shared_record(key, value));
        const std::uint64_t now = unix_time_();
        if (record.sequence > now * 1000 + kMillisecondsAheadMax)
            return fail(Errc::malformed, "the record was written more than five minutes from now");
        return check_expiry(record, now);
    }

    [[nodiscard]] std::size_t select(Bytes key, std::span<const Bytes> values) const override {
        std::size_t best = 0;
        std::uint64_t highest = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto record = open_shared_record(key, values[i]);
            if (!record || record->sequence < highest) continue;
            const bool is_later = record->sequence > highest ||
                                  std::ranges::lexicographical_compare(values[best], values[i]);
            if (!is_later) continue;
            highest = record->sequence;
            best = i;
        }
        return best;
    }

private:
    std::function<std::uint64_t()> unix_time_;
};

struct Payload {
    Bytes key;
    std::uint64_t sequence = 0;
    std::uint64_t expires = 0;
    Bytes value;
};

Result<Payload> read_payload(Bytes bytes) {
    Payload payload;
    codec::ProtoReader reader(bytes);
    codec::ProtoField field;
    while (true) {
        KWAAI_TRY(const bool has_field, reader.next(field));
        if (!has_field) return payload;
        switch (field.tag) {
            case 1: {
                KWAAI_TRY(payload.key, codec::field_bytes(field));
                break;
            }
            case 2: {
                KWAAI_TRY(payload.sequence, codec::field_u64(field));
                break;
            }
            case 3: {
                KWAAI_TRY(payload.expires, codec::field_u64(field));
                break;
            }
            case 4: {
                KWAAI_TRY(payload.value, codec::field_bytes(field));
                break;
            }
            default: break;
        }
    }
}

codec::Buffer seal_payload(const crypto::PrivateKey& key, const Payload& payload) {
    codec::Buffer bytes;
    codec::ProtoWriter writer(bytes);
    writer.bytes(1, payload.key);
    writer.varint(2, payload.sequence);
    writer.varint(3, payload.expires);
    writer.bytes(4, payload.value);
    return seal_envelope(key, kDomain, as_bytes(kPayloadType), bytes);
}

// A record that was signed for this key; whose the key is, is the caller's to decide.
Result<SignedRecord> open_payload(Bytes key, Bytes envelope) {
    KWAAI_TRY(const Envelope opened, open_envelope(envelope, kDomain));
    if (as_text(opened.payload_type) != kPayloadType)
        return fail(Errc::malformed, "the envelope holds no record");
    KWAAI_TRY(const Payload payload, read_payload(opened.payload));
    if (!std::ranges::equal(payload.key, key))
        return fail(Errc::malformed, "the record was signed for another key");
    return SignedRecord{.peer = PeerId::of(opened.signer),
                        .sequence = payload.sequence,
                        .expires = payload.expires,
                        .value = codec::to_buffer(payload.value)};
}

bool is_name_behind(std::string_view prefix, Bytes key) {
    return as_text(key).starts_with(prefix) && key.size() > prefix.size() &&
           key.size() <= prefix.size() + kNameBytesMax;
}

}  // namespace

void Validators::set(std::string name, std::shared_ptr<const Validator> validator) {
    validators_.insert_or_assign(std::move(name), std::move(validator));
}

const Validator* Validators::find(Bytes key) const {
    const auto name = namespace_of(key);
    if (!name) return nullptr;
    const auto found = validators_.find(*name);
    return found == validators_.end() ? nullptr : found->second.get();
}

Result<> Validators::validate(Bytes key, Bytes value) const {
    const Validator* const validator = find(key);
    if (validator == nullptr)
        return fail(Errc::unsupported, "no namespace that is known begins this key");
    return validator->validate(key, value);
}

bool Validators::is_better(Bytes key, Bytes next, Bytes stored) const {
    const Validator* const validator = find(key);
    if (validator == nullptr) return false;
    const std::array<Bytes, 2> values{stored, next};
    return validator->select(key, values) == 1;
}

std::shared_ptr<const Validator> public_key_validator() {
    return std::make_shared<PublicKeyValidator>();
}

codec::Buffer signed_record_key(const PeerId& peer, std::string_view name) {
    codec::Buffer key;
    codec::append(key, kSignedPrefix);
    codec::append(key, peer.bytes());
    codec::append(key, "/");
    codec::append(key, name);
    return key;
}

codec::Buffer seal_signed_record(const crypto::PrivateKey& key,
                                 std::string_view name,
                                 std::uint64_t sequence,
                                 std::uint64_t expires,
                                 Bytes value) {
    const codec::Buffer place = signed_record_key(PeerId::of(key.public_key()), name);
    return seal_payload(key,
                        {.key = place, .sequence = sequence, .expires = expires, .value = value});
}

Result<SignedRecord> open_signed_record(Bytes key, Bytes envelope) {
    KWAAI_TRY(SignedRecord record, open_payload(key, envelope));
    if (!is_name_behind(as_text(signed_record_key(record.peer, "")), key))
        return fail(Errc::malformed, "the record is not its signer's under this key");
    return record;
}

std::shared_ptr<const Validator> signed_record_validator(std::function<std::uint64_t()> unix_time) {
    return std::make_shared<SignedRecordValidator>(std::move(unix_time));
}

codec::Buffer shared_record_key(std::string_view name) {
    codec::Buffer key;
    codec::append(key, kSharedPrefix);
    codec::append(key, name);
    return key;
}

codec::Buffer seal_shared_record(const crypto::PrivateKey& key,
                                 std::string_view name,
                                 std::uint64_t sequence,
                                 std::uint64_t expires,
                                 Bytes value) {
    const codec::Buffer place = shared_record_key(name);
    return seal_payload(key,
                        {.key = place, .sequence = sequence, .expires = expires, .value = value});
}

Result<SignedRecord> open_shared_record(Bytes key, Bytes envelope) {
    KWAAI_TRY(SignedRecord record, open_payload(key, envelope));
    if (!is_name_behind(kSharedPrefix, key))
        return fail(Errc::malformed, "the key is not /kwaai-shared/ and a name of 1 to 64 bytes");
    return record;
}

std::shared_ptr<const Validator> shared_record_validator(std::function<std::uint64_t()> unix_time) {
    return std::make_shared<SharedRecordValidator>(std::move(unix_time));
}

Validators standard_validators(const std::function<std::uint64_t()>& unix_time) {
    Validators validators;
    validators.set("pk", public_key_validator());
    validators.set("ipns", ipns_validator(unix_time));
    validators.set("kwaai", signed_record_validator(unix_time));
    validators.set("kwaai-shared", shared_record_validator(unix_time));
    return validators;
}

}  // namespace kwaai::p2p::kad
