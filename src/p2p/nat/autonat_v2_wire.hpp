// The messages of AutoNAT v2 (libp2p specs, autonat-v2; libp2p.md §1.17).
#pragma once
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p::autonat_v2 {

inline constexpr const char* kDialProtocol = "/libp2p/autonat/2/dial-request";
inline constexpr const char* kDialBackProtocol = "/libp2p/autonat/2/dial-back";
inline constexpr std::size_t kMessageBytesMax = 8192;   // as go-libp2p
inline constexpr std::size_t kDialBackBytesMax = 1024;  // as go-libp2p
inline constexpr std::size_t kAddressesMax = 50;        // of one request, as go-libp2p
inline constexpr std::uint64_t kDataBytesMin = 30'000;  // what a dial elsewhere costs
inline constexpr std::uint64_t kDataBytesMax = 100'000;
inline constexpr std::size_t kDataChunkBytesMax = 4096;
inline constexpr std::size_t kDataChunkBytesMin = 100;  // but for the last one, as go-libp2p

enum class Status : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    internal_error = 0,
    request_rejected = 100,  // too many
    dial_refused = 101,      // none of the addresses can be dialled from here
    ok = 200,
};

enum class DialStatus : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    unused = 0,
    dial_error = 100,
    dial_back_error = 101,
    ok = 200,
};

struct DialRequest {
    std::vector<std::optional<Multiaddr>> addresses;  // by preference; empty: cannot be parsed
    std::uint64_t nonce = 0;
};

struct DialResponse {
    Status status = Status::internal_error;
    std::uint32_t index = 0;  // of the address
    DialStatus dial_status = DialStatus::unused;
};

struct DialDataRequest {
    std::uint32_t index = 0;
    std::uint64_t bytes = 0;
};

struct DialDataResponse {
    std::size_t bytes = 0;  // whatever they are
};

using Message = std::variant<DialRequest, DialResponse, DialDataRequest, DialDataResponse>;

/// For DialDataResponse, that many zeros.
[[nodiscard]] codec::Buffer encode(const Message& message);
[[nodiscard]] codec::Buffer encode_dial_back(std::uint64_t nonce);
/// Status OK, the only one there is.
[[nodiscard]] codec::Buffer encode_dial_back_response();

/// `Errc::malformed`. Addresses beyond kAddressesMax are left out; numbers that are no status are
/// Status::internal_error and DialStatus::unused.
[[nodiscard]] Result<Message> decode(Bytes message);
[[nodiscard]] Result<std::uint64_t> decode_dial_back(Bytes message);

}  // namespace kwaai::p2p::autonat_v2
