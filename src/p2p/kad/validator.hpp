// Which values a key may hold: decided by the key's namespace, "/NAMESPACE/…".
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/key.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p::kad {

/// What a namespace accepts. Pure but for the time that an implementation was given.
class Validator {
public:
    Validator() = default;
    Validator(const Validator&) = delete;
    Validator& operator=(const Validator&) = delete;
    virtual ~Validator() = default;

    /// Whether `key`, with its namespace, may hold `value`; `Errc::malformed` says why not.
    [[nodiscard]] virtual Result<> validate(Bytes key, Bytes value) const = 0;
    /// The index of the best of `values`, which are valid and at least one.
    [[nodiscard]] virtual std::size_t select(Bytes key, std::span<const Bytes> values) const = 0;
};

/// By namespace. A key without one, or with one that is not in here, is refused (CVE-2026-45783).
class Validators {
public:
    void set(std::string name, std::shared_ptr<const Validator> validator);

    /// Errors of the validator; `Errc::unsupported` where there is none for this key.
    [[nodiscard]] Result<> validate(Bytes key, Bytes value) const;
    /// Whether `next` is better than `stored`; both are valid.
    [[nodiscard]] bool is_better(Bytes key, Bytes next, Bytes stored) const;

private:
    [[nodiscard]] const Validator* find(Bytes key) const;

    std::map<std::string, std::shared_ptr<const Validator>, std::less<>> validators_;
};

/// "/pk/" and the peer id of a key: holds that PublicKey's protobuf, nothing else.
[[nodiscard]] std::shared_ptr<const Validator> public_key_validator();

/// What a node publishes about itself under a name of its choice.
struct SignedRecord {
    PeerId peer;
    std::uint64_t sequence = 0;  // the higher one of a key wins
    std::uint64_t expires = 0;   // seconds since 1970
    codec::Buffer value;
};

/// "/kwaai/", the peer id's bytes, "/" and a name of at most 64 bytes.
[[nodiscard]] codec::Buffer signed_record_key(const PeerId& peer, std::string_view name);

/// An envelope (domain "kwaai-record") of { key = 1, sequence = 2, expires = 3, value = 4 }, of use
/// under signed_record_key(id of `key`, `name`) alone.
[[nodiscard]] codec::Buffer seal_signed_record(const crypto::PrivateKey& key,
                                               std::string_view name,
                                               std::uint64_t sequence,
                                               std::uint64_t expires,
                                               Bytes value);

/// `Errc::malformed` where the signature, the signer or the key is another one. The caller looks at
/// `expires`.
[[nodiscard]] Result<SignedRecord> open_signed_record(Bytes key, Bytes envelope);

/// Holds records of seal_signed_record(): not expired, and at most three days ahead. `unix_time`
/// gives seconds since 1970.
[[nodiscard]] std::shared_ptr<const Validator> signed_record_validator(
    std::function<std::uint64_t()> unix_time);

/// "/kwaai-shared/" and a name of 1 to 64 bytes: where anybody may write, and who wrote last is
/// read. Readers that want the word of a certain peer look at `SignedRecord::peer`.
[[nodiscard]] codec::Buffer shared_record_key(std::string_view name);

/// As seal_signed_record(), but of use under shared_record_key(`name`) alone. `sequence` is the
/// time of writing, in milliseconds since 1970.
[[nodiscard]] codec::Buffer seal_shared_record(const crypto::PrivateKey& key,
                                               std::string_view name,
                                               std::uint64_t sequence,
                                               std::uint64_t expires,
                                               Bytes value);

/// `Errc::malformed` where the signature or the key is another one. The caller looks at `expires`.
[[nodiscard]] Result<SignedRecord> open_shared_record(Bytes key, Bytes envelope);

/// As signed_record_validator(), of seal_shared_record(); written at most five minutes ahead of
/// `unix_time`, so that nobody's record stays the last one for long. Of records of the same
/// millisecond the greater bytes win.
[[nodiscard]] std::shared_ptr<const Validator> shared_record_validator(
    std::function<std::uint64_t()> unix_time);

/// What a node of this project takes: `pk`, `ipns`, `kwaai` and `kwaai-shared`.
[[nodiscard]] Validators standard_validators(const std::function<std::uint64_t()>& unix_time);

}  // namespace kwaai::p2p::kad
