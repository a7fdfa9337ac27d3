// The DNS messages of libp2p's mDNS (RFC 1035 and 6762, as far as that needs them).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/ip_text.hpp"

namespace kwaai::p2p {

inline constexpr const char* kMdnsService = "_p2p._udp.local";

/// Names are labels with dots between them, in lower case; dots inside labels do not occur here.
struct DnsQuestion {
    std::string name;
    std::uint16_t type = 0;
};

inline constexpr std::uint16_t kDnsA = 1;     // written only
inline constexpr std::uint16_t kDnsSrv = 33;  // written only
inline constexpr std::uint16_t kDnsPtr = 12;
inline constexpr std::uint16_t kDnsTxt = 16;
inline constexpr std::size_t kDnsQuestionsMax = 16;  // of one message; more are not read
inline constexpr std::size_t kDnsRecordsMax = 64;
inline constexpr std::size_t kDnsTextsMax = 32;           // of one TXT record
inline constexpr std::size_t kDnsMessageBytesMax = 1400;  // sent

struct DnsRecord {
    std::string name;
    std::uint16_t type = 0;
    std::uint32_t ttl_s = 0;
    std::string target;              // of PTR and SRV
    std::uint16_t port = 0;          // of SRV
    Ip4 ip{};                        // of A
    std::vector<std::string> texts;  // of TXT, any bytes
};

struct DnsMessage {
    bool is_response = false;
    std::vector<DnsQuestion> questions;
    std::vector<DnsRecord> records;  // answers, authorities and additional ones, PTR and TXT alone
};

/// `Errc::malformed` for what is cut, for names beyond 255 bytes, and for compression that does not
/// lead backwards: it cannot loop. Records of other types are skipped.
[[nodiscard]] Result<DnsMessage> decode_dns(Bytes message);

/// Without compression. Records go out as answers, of class IN with the cache-flush bit but for
/// PTR. Texts beyond 255 bytes and labels beyond 63 are bugs of the caller.
[[nodiscard]] codec::Buffer encode_dns(const DnsMessage& message);

}  // namespace kwaai::p2p
