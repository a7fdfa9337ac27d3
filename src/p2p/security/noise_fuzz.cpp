// A peer's bytes into each half of Noise, with fixed keys: nothing crashes, and what is accepted is
// what a peer with the keys has sealed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "p2p/security/noise_keys_test.hpp"
#include "p2p/security/noise_records.hpp"
#include "p2p/security/noise_vectors_test.hpp"
#include "p2p/security/noise_wire.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

// Only the seeds hold what somebody has sealed, with the keys of the vectors.
void require_vector(NoiseHandshake& handshake, Bytes payload, const NoiseKeys& peer) {
    require(handshake.remote_static() == peer.local_static.public_key);
    const Result<NoisePayload> read = read_noise_payload(payload);
    require(read && verify_identity(*read, handshake.remote_static(), std::nullopt));
}

// The input as the messages of an initiator.
void into_responder(Bytes input) {
    NoiseHandshake responder(NoiseRole::responder, responder_keys());
    const std::size_t first_size = std::min<std::size_t>(input.size(), 32);
    if (!responder.read_message(input.first(first_size))) return;
    if (!responder.write_message(from_hex(kNoiseVectors[0].payload2))) return;
    const Result<codec::Buffer> payload = responder.read_message(input.subspan(first_size));
    if (payload) require_vector(responder, *payload, initiator_keys());
}

// The input as the answer to our first message.
void into_initiator(Bytes input) {
    NoiseHandshake initiator(NoiseRole::initiator, initiator_keys());
    require(initiator.write_message(Bytes()).has_value());
    const Result<codec::Buffer> payload = initiator.read_message(input);
    if (payload) require_vector(initiator, *payload, responder_keys());
}

// The input as the payload of a peer that keeps to Noise, so that it gets behind the encryption.
void as_payload(Bytes input) {
    NoiseHandshake initiator(NoiseRole::initiator, initiator_keys());
    NoiseHandshake responder(NoiseRole::responder, responder_keys());
    require(responder.read_message(initiator.write_message(Bytes()).value()).has_value());
    const Result<codec::Buffer> message = responder.write_message(input);
    if (!message) return;
    const codec::Buffer bytes = initiator.read_message(*message).value();
    require(std::ranges::equal(bytes, input));
    const Result<NoisePayload> payload = read_noise_payload(bytes);
    if (!payload) return;
    require(payload->muxers.size() <= kMuxersMax);
    const Result<NoisePayload> again = read_noise_payload(write_noise_payload(*payload));
    require(again && again->identity_key == payload->identity_key &&
            again->muxers == payload->muxers);
    (void)verify_identity(*payload, initiator.remote_static(), std::nullopt);
}

NoiseCipher cipher() {
    return NoiseCipher(repeated(7));
}

// Gives `bytes` in pieces; what was opened until the end or an error.
codec::Buffer open(Bytes bytes, std::size_t residue, std::size_t piece) {
    RecordOpener opener(cipher(), bytes.first(residue));
    bytes = bytes.subspan(residue);
    codec::Buffer plain;
    for (;;) {
        const Result<std::optional<Bytes>> record = opener.next();
        if (!record) break;
        if (*record) {
            codec::append(plain, **record);
            continue;
        }
        if (bytes.empty()) break;
        const MutableBytes space = opener.space();
        require(!space.empty() && space.size() <= 2 * kRecordBytesMax);
        const std::size_t count = std::min({piece, space.size(), bytes.size()});
        std::copy_n(bytes.begin(), count, space.begin());
        opener.commit(count);
        bytes = bytes.subspan(count);
    }
    return plain;
}

// The input as records of a stranger.
void as_records(Bytes input, std::size_t piece) {
    require(open(input, std::min<std::size_t>(input.size(), piece), piece).empty());
}

// The input as plaintext in two parts, sealed, maybe changed in one bit, and opened.
void round_trip(Bytes input, std::size_t piece) {
    const std::array<Bytes, 2> parts = {input.first(input.size() / 3),
                                        input.subspan(input.size() / 3)};
    PartsReader reader(parts);
    RecordSealer sealer(cipher());
    codec::Buffer records;
    while (reader.remaining() > 0)
        codec::append(records, sealer.next_flight(reader).value());
    const codec::Buffer opened = open(records, 0, piece);
    require(std::ranges::equal(opened, input));
    if (records.empty()) return;
    records[piece * 37 % records.size()] ^= std::byte{4};
    require(open(records, 0, piece).size() < input.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Bytes input = std::as_bytes(std::span(data, size)).subspan(2);
    const std::size_t piece = data[1] + std::size_t{1};
    switch (data[0] % 5) {
        case 0: into_responder(input); break;
        case 1: into_initiator(input); break;
        case 2: as_payload(input); break;
        case 3: as_records(input, piece); break;
        default: round_trip(input, piece); break;
    }
    return 0;
}
