// For the tests of secure channels: two sides, the bytes between them, and what they say.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "io/task_group.hpp"
#include "p2p/security/noise_keys_test.hpp"
#include "p2p/security/secure_channel.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

namespace kwaai::p2p {

/// Keeps what is written, a flight each.
class RecordingStream final : public io::Stream {
public:
    RecordingStream(std::unique_ptr<io::Stream> stream, std::vector<codec::Buffer>& flights)
        : stream_(std::move(stream)), flights_(flights) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        return stream_->read_some(into);
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        codec::Buffer& flight = flights_.emplace_back();
        for (const Bytes part : parts)
            codec::append(flight, part);
        return stream_->write(parts);
    }

    io::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }

    void close() override { stream_->close(); }

    [[nodiscard]] std::string peer() const override { return stream_->peer(); }

private:
    std::unique_ptr<io::Stream> stream_;
    std::vector<codec::Buffer>& flights_;
};

/// Writes all of `text`; false where that failed.
inline io::Task<bool> send(io::Stream& stream, std::string_view text) {
    const Bytes bytes = as_bytes(text);
    const Result<> written = co_await stream.write(bytes);
    co_return written.has_value();
}

/// The next `size` bytes, or what comes before an end or an error.
inline io::Task<std::string> receive(io::Stream& stream, std::size_t size) {
    std::string text(size, '\0');
    std::size_t filled = 0;
    while (filled < size) {
        const MutableBytes rest = std::as_writable_bytes(std::span(text)).subspan(filled);
        const Result<std::size_t> count = co_await stream.read_some(rest);
        if (!count || *count == 0) break;
        filled += *count;
    }
    text.resize(filled);
    co_return text;
}

/// Two nodes with the keys of the vectors, who secure a connection in memory.
struct SecureWorld {
    using Talk = io::Task<void> (*)(SecureWorld& world, io::Stream& stream);

    explicit SecureWorld(testing::StreamPairOptions options = testing::StreamPairOptions())
        : pair(testing::make_stream_pair(options)) {}

    /// Secures both ends; each side that succeeds then talks.
    void converse(Talk client_talk, Talk server_talk) {
        static const auto dial = [](SecureWorld& world, Talk talk) -> io::Task<void> {
            auto raw = std::make_unique<RecordingStream>(std::move(world.pair.client),
                                                         world.client_flights);
            Result<SecureChannel> channel = co_await secure_outbound(std::move(raw),
                                                                     world.client_identity,
                                                                     world.securities,
                                                                     world.client_muxers,
                                                                     world.expected);
            world.client.emplace(std::move(channel));
            if (world.client->has_value()) co_await talk(world, *(*world.client)->stream);
        };
        static const auto listen = [](SecureWorld& world, Talk talk) -> io::Task<void> {
            auto raw = std::make_unique<RecordingStream>(std::move(world.pair.server),
                                                         world.server_flights);
            Result<SecureChannel> channel =
                co_await secure_inbound(std::move(raw), world.server_identity, world.server_muxers);
            world.server.emplace(std::move(channel));
            if (world.server->has_value()) co_await talk(world, *(*world.server)->stream);
        };
        static const auto both = [](io::TaskGroup& group,
                                    SecureWorld& world,
                                    Talk first,
                                    Talk second) -> io::Task<void> {
            group.spawn(listen, std::ref(world), second);
            group.spawn(dial, std::ref(world), first);
            co_return;
        };
        simulation.run(io::with_group(both, std::ref(*this), client_talk, server_talk));
    }

    testing::Simulation simulation;
    testing::StreamPair pair;
    SecureIdentity client_identity = initiator_identity();
    SecureIdentity server_identity = responder_identity();
    std::vector<Security> securities{Security::noise};  // that the client proposes
    std::vector<std::string> client_muxers{"/yamux/1.0.0"};
    std::vector<std::string> server_muxers{"/yamux/1.0.0"};
    std::optional<PeerId> expected;
    std::vector<codec::Buffer> client_flights;
    std::vector<codec::Buffer> server_flights;
    std::optional<Result<SecureChannel>> client;
    std::optional<Result<SecureChannel>> server;
};

}  // namespace kwaai::p2p
