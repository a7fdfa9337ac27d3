// Addresses that say how to use them: "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/address.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

/// Protocol codes of multiaddr/protocols.csv (libp2p.md §1.3).
enum class AddrCode : std::uint32_t {  // NOLINT(performance-enum-size): codes grow
    ip4 = 4,
    tcp = 6,
    ip6 = 41,
    ip6zone = 42,
    ipcidr = 43,
    dns = 53,
    dns4 = 54,
    dns6 = 55,
    dnsaddr = 56,
    udp = 273,
    webrtc_direct = 280,
    webrtc = 281,
    p2p_circuit = 290,
    unix_path = 400,
    p2p = 421,
    https = 443,
    onion3 = 445,
    tls = 448,
    sni = 449,
    noise = 454,
    quic = 460,
    quic_v1 = 461,
    webtransport = 465,
    certhash = 466,
    ws = 477,
    wss = 478,
    http = 480,
    http_path = 481,
    memory = 777,
};

struct AddrPart {
    AddrCode code;
    Bytes value;  // without its length prefix; a view into the address
};

/// What a connection begins with.
enum class Transport : std::uint8_t {
    tcp,               // multistream-select, at once
    websocket,         // /ws: over TCP, an HTTP upgrade, and the same inside binary messages
    secure_websocket,  // /tls/ws or /wss: TLS as on the web, and a WebSocket inside
    quic,              // /quic-v1: over UDP, everything but the protocols of streams
};

/// Where an address says to go.
struct DialTarget {
    AddrCode kind;     // ip4, ip6, dns, dns4 or dns6
    std::string host;  // an IP address or a name
    std::uint16_t port = 0;
    Transport transport = Transport::tcp;
    /// For a secure WebSocket, what the listener's certificate has to be for: the name behind /sni,
    /// else the host.
    std::string server_name = {};
};

/// A valid multiaddr. A value, ordered by its bytes. At most 1024 bytes and 32 parts.
class Multiaddr {
public:
    /// `Errc::malformed` says which part is wrong and why; `unsupported` for a protocol that is not
    /// in the table (its length is unknown, so the whole address is).
    static Result<Multiaddr> parse(std::string_view text);
    static Result<Multiaddr> from_bytes(Bytes bytes);
    /// "/ip4/…/tcp/…" or "/ip6/…/tcp/…" of a socket's address, for WebSocket with /ws, or where
    /// that is secure /tls/ws, with `server_name` (which may be empty) /tls/sni/NAME/ws, for QUIC
    /// "/ip4/…/udp/…/quic-v1"; `invalid_argument` for a name in place of an IP address.
    static Result<Multiaddr> of(const io::Address& address,
                                Transport transport = Transport::tcp,
                                std::string_view server_name = {});

    [[nodiscard]] Bytes bytes() const { return as_bytes(bytes_); }

    [[nodiscard]] std::string to_text() const;
    [[nodiscard]] std::vector<AddrPart> parts() const;
    /// parts()[index], where there is one; allocates nothing.
    [[nodiscard]] std::optional<AddrPart> part(std::size_t index) const;

    /// The peer that is reached: the last part, where that is /p2p.
    [[nodiscard]] std::optional<PeerId> peer() const;
    /// Without a last /p2p part.
    [[nodiscard]] Multiaddr without_peer() const;
    /// With /p2p/ID as last part, in place of one that is there.
    [[nodiscard]] Multiaddr with_peer(const PeerId& peer) const;

    /// Where the address can be dialled without a relay (ip4, ip6, dns, dns4, dns6, then tcp, maybe
    /// /ws, /tls/ws, /tls/sni/NAME/ws or /wss, or udp with /quic-v1; maybe /p2p): its target.
    [[nodiscard]] std::optional<DialTarget> target() const;
    /// Where that is over TCP.
    [[nodiscard]] std::optional<DialTarget> tcp_target() const;
    /// Whether it leads over another peer: has a /p2p-circuit part.
    [[nodiscard]] bool is_relayed() const;
    /// With /p2p-circuit as last part: by way of the peer that this address ends with.
    [[nodiscard]] Multiaddr with_circuit() const;
    /// What is in front of the first /p2p-circuit: where the relay is reached, with its /p2p.
    [[nodiscard]] std::optional<Multiaddr> relay() const;
    [[nodiscard]] bool is_loopback() const;
    /// 0.0.0.0 or ::, which stand for every address of the machine.
    [[nodiscard]] bool is_unspecified() const;

    bool operator==(const Multiaddr&) const = default;
    auto operator<=>(const Multiaddr&) const = default;

private:
    explicit Multiaddr(std::string bytes) : bytes_(std::move(bytes)) {}

    std::string bytes_;
};

}  // namespace kwaai::p2p
