// Peers for the fuzz targets of this folder, one of each byte.
#pragma once
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "codec/multihash.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/kad/kad_wire.hpp"
#include "testing/script.hpp"

namespace kwaai::p2p::kad {

inline void require(bool condition) {
    if (!condition) std::abort();
}

/// The first is the one under test.
[[nodiscard]] inline const PeerId& fuzz_peer(std::size_t index) {
    static const std::vector<PeerId> all = [] {
        std::vector<PeerId> made;
        for (std::size_t i = 0; i < 256; ++i) {
            std::array<std::byte, 32> digest{};
            digest[0] = static_cast<std::byte>(i);
            const codec::Buffer id = codec::make_multihash(codec::HashCode::sha2_256, digest);
            made.push_back(PeerId::from_bytes(id).value());
        }
        return made;
    }();
    return all[index];
}

/// Of every reach.
[[nodiscard]] inline const Multiaddr& fuzz_address(std::size_t index) {
    static const std::vector<Multiaddr> all = [] {
        std::vector<Multiaddr> made;
        for (const char* const text : {"/ip4/10.0.0.1/tcp/4001",
                                       "/ip4/198.51.100.7/tcp/4001",
                                       "/ip4/127.0.0.1/tcp/4001",
                                       "/ip6/2001:db8::1/udp/4001/quic-v1",
                                       "/dns4/peer.example/tcp/443/tls/ws",
                                       "/ip4/0.0.0.0/tcp/0",
                                       "/memory/1"})
            made.push_back(Multiaddr::parse(text).value());
        return made;
    }();
    return all[index % all.size()];
}

/// Of a handful, so that requests meet each other's traces.
[[nodiscard]] inline codec::Buffer read_key(testing::Script& script) {
    const std::uint8_t which = script.next();
    if (which % 4U == 0) return codec::to_buffer(fuzz_peer(which / 4U).bytes());
    if (which % 4U == 3) return codec::to_buffer(script.take(which));
    return codec::to_buffer(as_bytes("/any/" + std::to_string(which % 16U)));
}

inline void read_peers(testing::Script& script, std::vector<WirePeer>& into) {
    for (const std::byte which : script.take(script.next() % 48U)) {
        const auto index = std::to_integer<std::size_t>(which);
        WirePeer peer{.peer = fuzz_peer(index), .addresses = {}};
        for (std::size_t i = 0; i < index % 5U; ++i)
            peer.addresses.push_back(fuzz_address(index / 5U + i));
        into.push_back(std::move(peer));
    }
}

/// One that decodes, whatever it says.
[[nodiscard]] inline Message read_message(testing::Script& script) {
    Message message;
    const std::uint8_t parts = script.next();
    message.type = static_cast<MessageType>((parts & 7U) % 6U);
    message.key = read_key(script);
    if ((parts & 0x40U) != 0) {
        message.record = WireRecord{.key = message.key, .value = {}};
        if ((parts & 0x20U) != 0) message.record->key = read_key(script);
        const std::size_t size = script.next() * 40U;
        message.record->value.resize(size, static_cast<std::byte>(script.next()));
    }
    if ((parts & 0x10U) != 0) read_peers(script, message.closer);
    if ((parts & 0x80U) != 0) read_peers(script, message.providers);
    return message;
}

}  // namespace kwaai::p2p::kad
