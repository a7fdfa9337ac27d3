// The messages of AutoNAT v1 (libp2p specs, autonat; libp2p.md §1.17).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p::autonat_v1 {

inline constexpr const char* kProtocol = "/libp2p/autonat/1.0.0";
inline constexpr std::size_t kMessageBytesMax = 4096;  // as go-libp2p
inline constexpr std::size_t kAddressesMax = 16;       // of one request, as go-libp2p

enum class Status : std::uint32_t {  // NOLINT(performance-enum-size): of the wire
    ok = 0,
    dial_error = 100,
    dial_refused = 101,
    bad_request = 200,
    internal_error = 300,
};

/// "Dial me back at one of these."
struct Dial {
    codec::Buffer peer;  // bytes of a peer id; may be empty
    std::vector<Multiaddr> addresses;
};

struct DialResponse {
    Status status = Status::ok;
    std::string text;                  // for people
    std::optional<Multiaddr> address;  // where the dial succeeded
};

[[nodiscard]] codec::Buffer encode(const Dial& dial);
[[nodiscard]] codec::Buffer encode(const DialResponse& response);

/// `Errc::malformed` for what is no such message. Addresses that cannot be parsed and those beyond
/// kAddressesMax are left out.
[[nodiscard]] Result<Dial> decode_dial(Bytes message);
/// A status that is not in the list is an internal error.
[[nodiscard]] Result<DialResponse> decode_response(Bytes message);

}  // namespace kwaai::p2p::autonat_v1
