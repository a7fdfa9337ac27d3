// Arbitrary packets at a QUIC port, at a server whose client begins with them, and at a client that
// waits for its server: nothing crashes, and no answer is longer than what it answers.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "p2p/quic/quic_core.hpp"
#include "p2p/quic/quic_door.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

constexpr io::TimePoint kNow{std::chrono::hours(1)};

crypto::PrivateKey make_key() {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{1};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

io::Endpoint at(std::uint16_t port) {
    io::Endpoint place;
    place.ip[0] = std::byte{10};
    place.port = port;
    return place;
}

QuicCoreOptions core_options(const QuicIdentity& identity) {
    static const Limits limits;
    QuicCoreOptions options;
    options.identity = &identity;
    options.limits = &limits;
    options.local = at(1);
    options.remote = at(2);
    return options;
}

void drain(QuicCore& core, io::TimePoint now) {
    static std::vector<std::byte> space(io::kUdpBatchBytesMax);
    for (int batches = 0; batches < 100; ++batches)
        if (core.produce(space, now).bytes.empty()) return;
    std::abort();  // without anything that came
}

// The packet of a client that keeps to the protocol, so that what is changed of it gets further.
std::vector<std::byte> hello_of(QuicCore& client) {
    std::vector<std::byte> space(io::kUdpBatchBytesMax);
    const Bytes packet = client.produce(space, kNow).bytes;
    return {packet.begin(), packet.end()};
}

void at_door(const QuicIdentity& identity, Bytes packet, bool needs_proof) {
    const auto destination = quic_destination(packet);
    if (destination && destination->size > kQuicIdBytesMax) std::abort();
    const QuicVerdict verdict = judge_quic_packet(identity, at(2), packet, needs_proof, kNow);
    switch (verdict.kind) {
        case QuicVerdict::Kind::drop: return;
        case QuicVerdict::Kind::retry:
        case QuicVerdict::Kind::answer:
            if (verdict.answer.empty() || verdict.answer.size() >= packet.size()) std::abort();
            return;
        case QuicVerdict::Kind::hello: break;
    }
    if (!destination || *destination != verdict.hello.destination || needs_proof) std::abort();
    QuicCore server(core_options(identity), verdict.hello, kNow);
    server.receive(at(2), packet, kNow);
    drain(server, kNow);
    server.on_time(kNow + std::chrono::seconds(1));
    drain(server, kNow + std::chrono::seconds(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const crypto::PrivateKey key = make_key();
    static const PeerId peer = PeerId::of(key.public_key());
    static const QuicIdentity identity(key);
    if (size == 0) return 0;
    const bool needs_proof = (data[0] & 1) != 0;
    const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
    at_door(identity, input, needs_proof);
    QuicCore client(core_options(identity), peer, kNow);
    std::vector<std::byte> changed = hello_of(client);
    for (std::size_t i = 0; i < std::min(changed.size(), input.size()); ++i)
        changed[i] ^= input[i];
    at_door(identity, changed, needs_proof);
    client.receive(at(2), input, kNow);
    drain(client, kNow);
    return 0;
}
