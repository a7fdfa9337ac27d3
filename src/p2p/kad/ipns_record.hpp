// Records of IPNS, which name what changes by a key that does not: read and judged, not written.
// Source: IPNS specification (specs.ipfs.tech, ipns-record), version 2 signatures.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "p2p/kad/validator.hpp"

namespace kwaai::p2p::kad {

inline constexpr std::size_t kIpnsRecordBytesMax = 10 << 10;

/// A moment, to the nanosecond.
struct IpnsTime {
    std::int64_t seconds = 0;  // since 1970
    std::uint32_t nanoseconds = 0;

    auto operator<=>(const IpnsTime&) const = default;
};

/// What the signature is over.
struct IpnsData {
    Bytes value;  // a path such as "/ipfs/bafk…"; a view into what was read
    std::uint64_t validity_type = 0;
    Bytes validity;
    std::uint64_t sequence = 0;
    std::uint64_t ttl = 0;  // nanoseconds
    IpnsTime expires;       // `validity`, read
};

/// "2006-01-02T15:04:05.999999999Z" (RFC 3339, UTC). `Errc::malformed`.
[[nodiscard]] Result<IpnsTime> parse_ipns_time(std::string_view text);

/// DAG-CBOR, a map { Value, ValidityType, Validity, Sequence, TTL } and whatever else.
/// `Errc::malformed`; `unsupported` for another validity type than 0, a time at which it ends.
[[nodiscard]] Result<IpnsData> read_ipns_data(Bytes cbor);

/// The signed data of a record, a view into it, where the record belongs under `key`, "/ipns/" and
/// the bytes of a peer id. `Errc::malformed` where it does not, is too large, lacks a signature or
/// says one thing signed and another thing not; errors of read_ipns_data. The caller looks at
/// `expires`.
[[nodiscard]] Result<IpnsData> open_ipns_record(Bytes key, Bytes record);

/// Holds records that have not expired; the highest sequence wins, then who expires last, then the
/// greater bytes. `unix_time` gives seconds since 1970.
[[nodiscard]] std::shared_ptr<const Validator> ipns_validator(
    std::function<std::uint64_t()> unix_time);

}  // namespace kwaai::p2p::kad
