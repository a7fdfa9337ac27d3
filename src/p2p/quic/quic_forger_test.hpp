// Peers that send frames of QUIC which no ngtcp2 sends: they put them in the place of what theirs
// has written, before it is encrypted.
#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/quic/quic_core_state.hpp"
#include "p2p/quic/quic_door.hpp"

namespace kwaai::p2p::forgery {

using Frames = std::vector<std::uint8_t>;

// RFC 9000 section 19.
constexpr std::uint8_t kPingFrame = 0x01;
constexpr std::uint8_t kAckFrame = 0x02;
constexpr std::uint8_t kCryptoFrame = 0x06;
constexpr std::uint8_t kNewIdFrame = 0x18;
constexpr std::uint8_t kRetireIdFrame = 0x19;
constexpr std::uint8_t kPathChallengeFrame = 0x1a;
constexpr std::uint8_t kHandshakeDoneFrame = 0x1e;

enum class Packet : std::uint8_t { initial, handshake, protected_1rtt, other };

// Changes the frames of a packet, whose size stays: PADDING is 0.
using Forge = std::function<void(Packet kind, std::span<std::uint8_t> frames)>;

// Of the side that writes now. ngtcp2 tells the function that encrypts nothing about the
// connection.
inline Forge* forging = nullptr;

inline Packet kind_of(std::uint8_t first) {
    if ((first & 0x80) == 0) return Packet::protected_1rtt;
    switch (first >> 4 & 3) {
        case 0: return Packet::initial;
        case 2: return Packet::handshake;
        default: return Packet::other;
    }
}

inline int encrypt_forged(std::uint8_t* into,
                          const ngtcp2_crypto_aead* aead,
                          const ngtcp2_crypto_aead_ctx* context,
                          const std::uint8_t* plain,
                          std::size_t plain_size,
                          const std::uint8_t* nonce,
                          std::size_t nonce_size,
                          const std::uint8_t* header,
                          std::size_t header_size) {
    Frames frames(plain, plain + plain_size);
    if (forging != nullptr && *forging) (*forging)(kind_of(header[0]), frames);
    return ngtcp2_crypto_encrypt_cb(
        into, aead, context, frames.data(), frames.size(), nonce, nonce_size, header, header_size);
}

// Integers below 2^30, in four bytes.
inline void append_integer(Frames& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        to.push_back(static_cast<std::uint8_t>((value >> shift & 0xff) | (shift == 24 ? 0x80 : 0)));
}

inline Frames new_id(std::uint32_t sequence, std::uint32_t retire_prior_to) {
    Frames frame{kNewIdFrame};
    append_integer(frame, sequence);
    append_integer(frame, retire_prior_to);
    frame.push_back(8);
    for (int i = 0; i < 2; ++i)
        append_integer(frame, sequence);
    frame.resize(frame.size() + NGTCP2_STATELESS_RESET_TOKENLEN,
                 static_cast<std::uint8_t>(sequence));
    return frame;
}

// An integer of any size, which is taken off the front.
inline std::size_t take_integer(std::span<const std::uint8_t>& from) {
    const std::size_t size = std::size_t{1} << (from[0] >> 6);
    std::size_t value = from[0] & 0x3f;
    for (std::size_t i = 1; i < size; ++i)
        value = value << 8 | from[i];
    from = from.subspan(size);
    return value;
}

inline Frames retire_id(std::uint32_t sequence) {
    Frames frame{kRetireIdFrame};
    append_integer(frame, sequence);
    return frame;
}

// Puts what `next` gives into packets of 1-RTT, until that is too much or nothing, and pings behind
// it, so that the packets are acknowledged.
inline Forge only(std::function<Frames()> next) {
    return [next = std::move(next)](Packet kind, std::span<std::uint8_t> frames) {
        if (kind != Packet::protected_1rtt) return;
        for (Frames one = next(); !one.empty() && one.size() <= frames.size(); one = next()) {
            std::ranges::copy(one, frames.begin());
            frames = frames.subspan(one.size());
        }
        std::ranges::fill(frames, kPingFrame);
    };
}

inline io::Endpoint at(std::uint8_t host) {
    io::Endpoint place;
    place.ip[0] = std::byte{10};
    place.ip[3] = std::byte{host};
    place.port = 4001;
    return place;
}

inline crypto::PrivateKey key_of(unsigned char number) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{number};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

// What the connection takes of memory.
class CountingAccount final : public MemoryAccount {
public:
    [[nodiscard]] bool reserve(std::size_t bytes) override {
        held += bytes;
        return true;
    }

    void release(std::size_t bytes) override { held -= bytes; }

    [[nodiscard]] bool has_room_to_grow() const override { return true; }

    std::size_t held = 0;
};

class CountingIds final : public QuicIdObserver {
public:
    void id_added(const QuicId& id) override {
        ids.insert({id.bytes.begin(), id.bytes.end()});
        ++added;
        most = std::max(most, ids.size());
    }

    void id_removed(const QuicId& id) override { ids.erase({id.bytes.begin(), id.bytes.end()}); }

    std::multiset<std::vector<std::byte>> ids;
    std::size_t added = 0;
    std::size_t most = 0;
};

using Packets = std::vector<std::vector<std::byte>>;

// One side with its identity, and what it holds.
struct Side {
    explicit Side(unsigned char number) : key(key_of(number)), identity(key), place(at(number)) {}

    [[nodiscard]] QuicCoreOptions options(const Side& peer) {
        QuicCoreOptions all;
        all.identity = &identity;
        all.limits = &limits;
        all.account = &account;
        all.observer = &ids;
        all.local = place;
        all.remote = peer.place;
        return all;
    }

    [[nodiscard]] PeerId id() const { return PeerId::of(key.public_key()); }

    crypto::PrivateKey key;
    QuicIdentity identity;
    Limits limits;
    io::Endpoint place;
    CountingAccount account;
    CountingIds ids;
};

// The side that forges: a connection of ngtcp2 alone, which is not asked whether that is allowed.
class Forger {
public:
    Forger(const QuicCoreOptions& options, const PeerId& expected, io::TimePoint now)
        : state_(options, false) {
        state_.peer.expected = expected;
        state_.start_client(callbacks(false), now);
    }

    Forger(const QuicCoreOptions& options, const QuicHello& hello, io::TimePoint now)
        : state_(options, true) {
        state_.start_server(callbacks(true), hello, now);
    }

    // Whatever ngtcp2 thinks of it.
    void receive(const Packets& packets, io::TimePoint now) {
        QuicAddress local(state_.options.local);
        QuicAddress remote(state_.options.remote);
        const ngtcp2_path path{
            .local = local.view(), .remote = remote.view(), .user_data = nullptr};
        for (const auto& packet : packets)
            last_error = ngtcp2_conn_read_pkt(
                state_.connection, &path, nullptr, in(packet), packet.size(), stamp_of(now));
    }

    // What it has to send by itself, and a thousand bytes of a stream where there is one.
    Packets send(io::TimePoint now) {
        forging = &forge;
        static_cast<void>(ngtcp2_conn_handle_expiry(state_.connection, stamp_of(now)));
        Packets packets;
        std::vector<std::byte> space(1452);
        for (int count = 0; count < 10; ++count) {
            ngtcp2_path_storage path;
            ngtcp2_path_storage_zero(&path);
            const ngtcp2_ssize written = write(path.path, space, stamp_of(now));
            if (written <= 0) break;
            packets.emplace_back(space.begin(), space.begin() + written);
        }
        ngtcp2_conn_update_pkt_tx_time(state_.connection, stamp_of(now));
        forging = nullptr;
        return packets;
    }

    [[nodiscard]] bool open() {
        return ngtcp2_conn_open_bidi_stream(state_.connection, &stream_, nullptr) == 0;
    }

    Forge forge;
    int last_error = 0;

private:
    static ngtcp2_callbacks callbacks(bool is_server) {
        ngtcp2_callbacks all = quic_callbacks(is_server);
        all.encrypt = encrypt_forged;
        return all;
    }

    ngtcp2_ssize write(ngtcp2_path& path, MutableBytes into, ngtcp2_tstamp now) {
        static std::array<std::uint8_t, 1000> content{};
        ngtcp2_vec piece{.base = content.data(), .len = content.size()};
        ngtcp2_ssize taken = -1;
        return ngtcp2_conn_writev_stream(state_.connection,
                                         &path,
                                         nullptr,
                                         out(into),
                                         into.size(),
                                         &taken,
                                         NGTCP2_WRITE_STREAM_FLAG_NONE,
                                         stream_,
                                         stream_ < 0 ? nullptr : &piece,
                                         stream_ < 0 ? 0 : 1,
                                         now);
    }

    QuicCore::State state_;
    std::int64_t stream_ = -1;
};

// All that `core` sends now.
inline Packets sent_by(QuicCore& core, io::TimePoint now) {
    core.on_time(now);
    Packets packets;
    std::vector<std::byte> space(io::kUdpBatchBytesMax);
    for (int batches = 0; batches < 100; ++batches) {
        const QuicCore::Batch batch = core.produce(space, now);
        if (batch.bytes.empty()) break;
        for (Bytes rest = batch.bytes; !rest.empty();) {
            const Bytes one = rest.first(std::min(batch.packet_bytes, rest.size()));
            packets.emplace_back(one.begin(), one.end());
            rest = rest.subspan(one.size());
        }
    }
    return packets;
}

inline std::size_t bytes_of(const Packets& packets) {
    std::size_t bytes = 0;
    for (const auto& packet : packets)
        bytes += packet.size();
    return bytes;
}

inline QuicHello hello_in(const Side& server, const Side& client, Bytes packet, io::TimePoint now) {
    const QuicVerdict verdict =
        judge_quic_packet(server.identity, client.place, packet, false, now);
    REQUIRE(verdict.kind == QuicVerdict::Kind::hello);
    return verdict.hello;
}

constexpr std::chrono::milliseconds kTrip{5};

// A server of ours, and a client that may forge.
struct HostileClient {
    explicit HostileClient(const Limits& limits = Limits()) {
        server_side.limits = limits;
        forger.emplace(client_side.options(server_side), server_side.id(), now);
        const Packets first = forger->send(now);
        const QuicHello hello = hello_in(server_side, client_side, first.at(0), now);
        server.emplace(server_side.options(client_side), hello, now);
        for (const auto& packet : first)
            server->receive(client_side.place, packet, now);
    }

    // There and back once more.
    void exchange() {
        now += kTrip;
        const Packets answers = sent_by(*server, now);
        answered += answers.size();
        answered_bytes += bytes_of(answers);
        if (!is_deaf) forger->receive(answers, now);
        now += kTrip;
        const Packets more = forger->send(now);
        sent += more.size();
        sent_bytes += bytes_of(more);
        for (const auto& packet : more)
            server->receive(client_side.place, packet, now);
    }

    void exchange(int times) {
        for (int i = 0; i < times; ++i)
            exchange();
    }

    // Done, with nothing under way, and a stream to write packets for.
    void meet() {
        exchange(5);
        REQUIRE(server->is_handshaken());
        REQUIRE(forger->open());
        sent = answered = sent_bytes = answered_bytes = 0;
    }

    Side client_side{1};
    Side server_side{2};
    io::TimePoint now{std::chrono::hours(1)};
    std::optional<Forger> forger;
    std::optional<QuicCore> server;
    bool is_deaf = false;  // the client takes no notice of answers, so that it acknowledges none
    std::size_t sent = 0;
    std::size_t answered = 0;
    std::size_t sent_bytes = 0;
    std::size_t answered_bytes = 0;
};

// A client of ours, whose hello a server has that may forge.
struct HostileServer {
    HostileServer() {
        client.emplace(client_side.options(server_side), server_side.id(), now);
        const Packets first = sent_by(*client, now);
        const QuicHello hello = hello_in(server_side, client_side, first.at(0), now);
        forger.emplace(server_side.options(client_side), hello, now);
        forger->receive(first, now);
    }

    // There and back once more.
    void exchange(int times) {
        for (int i = 0; i < times; ++i) {
            now += kTrip;
            forger->receive(sent_by(*client, now), now);
            now += kTrip;
            for (const auto& packet : forger->send(now))
                client->receive(server_side.place, packet, now);
        }
    }

    Side client_side{1};
    Side server_side{2};
    io::TimePoint now{std::chrono::hours(1)};
    std::optional<QuicCore> client;
    std::optional<Forger> forger;
};

}  // namespace kwaai::p2p::forgery
