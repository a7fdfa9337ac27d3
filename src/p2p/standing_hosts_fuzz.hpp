// Hosts for fuzz targets of what serves their streams: handshakes take a hundred times as long as
// what is tried, so they stay connected from one input to the next.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/varint.hpp"
#include "p2p/host_world_test.hpp"
#include "p2p/length_prefixed.hpp"
#include "testing/script.hpp"

namespace kwaai::p2p {

inline void require(bool condition) {
    if (!condition) std::abort();
}

/// Hosts of HostWorld that run until the process ends: never destroyed.
class StandingHosts {
public:
    explicit StandingHosts(unsigned char count)
        : world_(simulation_, keys_of(count), Limits(), trust_all) {
        for (std::size_t i = 0; i < world_.size(); ++i)
            start(world_.host(i).run());
    }

    [[nodiscard]] HostWorld& world() { return world_; }

    [[nodiscard]] Host& host(std::size_t index) { return world_.host(index); }

    [[nodiscard]] io::Clock& clock() { return world_.clock(); }

    /// Beside all that follows.
    void start(io::Task<void> task) {
        simulation_.loop().start(std::move(task),
                                 [](std::exception_ptr /*thrown*/) { std::abort(); });
    }

    /// To its end; the hosts go on afterwards.
    void run(io::Task<void> task) {
        constexpr std::size_t kWakesMax = 1'000'000;
        bool is_done = false;
        simulation_.loop().start(std::move(task), [&](std::exception_ptr thrown) {
            require(thrown == nullptr);
            is_done = true;
        });
        for (std::size_t wakes = 0; wakes < kWakesMax; ++wakes) {
            simulation_.loop().poll();
            if (is_done) return;
            require(simulation_.clock().wake_next());
        }
        std::abort();  // it never ends
    }

private:
    static std::vector<crypto::PrivateKey> keys_of(unsigned char count) {
        std::vector<crypto::PrivateKey> keys;
        for (unsigned char i = 0; i < count; ++i)
            keys.push_back(make_key(i));
        return keys;
    }

    static void trust_all(std::size_t /*index*/, HostOptions& options) {
        options.trusted_networks = {Subnet::parse("10.0.0.0/8").value()};
    }

    testing::Simulation simulation_;
    HostWorld world_;
};

/// For LLVMFuzzerInitialize. What stands grows and shrinks from one input to the next: libFuzzer
/// would run each of them twice in search of a leak.
inline void search_no_leaks(int& argc, char**& argv) {
    static std::string flag = "-detect_leaks=0";
    static std::vector<char*> all(argv, argv + argc);
    all.push_back(flag.data());
    argc = static_cast<int>(all.size());
    all.push_back(nullptr);
    argv = all.data();
}

/// The length and the message.
[[nodiscard]] inline codec::Buffer framed(Bytes message) {
    codec::Buffer bytes;
    codec::append_varint(bytes, message.size());
    codec::append(bytes, message);
    return bytes;
}

/// Writes what the other end may have refused to read.
inline io::Task<void> send(Stream& stream, codec::Buffer bytes) {
    const Bytes view(bytes);
    const Result<> written = co_await stream.write(view);
    static_cast<void>(written);
}

/// The next message of the other end; nothing where it ends the stream. The length must be right.
inline io::Task<std::optional<codec::Buffer>> receive(Stream& stream, std::size_t bytes_max) {
    auto message = co_await read_length_prefixed(stream, bytes_max);
    require(message || message.error().code == Errc::closed);
    if (!message) co_return std::nullopt;
    co_return std::move(*message);
}

/// Of the hosts, of a closed port, of nobody.
[[nodiscard]] inline std::vector<Multiaddr> read_addresses(testing::Script& script) {
    std::vector<Multiaddr> all;
    for (const std::byte which : script.take(script.next() % 24U)) {
        const auto number = std::to_integer<unsigned>(which);
        std::string text = "/ip4/10.0.0." + std::to_string(1U + number % 6U);
        if (number % 16U == 15U) text = "/ip4/198.51.100." + std::to_string(number);
        text += (number & 0x20U) == 0 ? "/tcp/4001" : "/tcp/9";
        if ((number & 0x40U) != 0) text += "/ws";
        if ((number & 0x80U) != 0) text += "/p2p/" + make_identity(2).to_text() + "/p2p-circuit";
        all.push_back(Multiaddr::parse(text).value());
    }
    return all;
}

}  // namespace kwaai::p2p
