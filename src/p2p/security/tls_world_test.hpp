// For the tests of TLS: the two sides of SecureWorld with certificates, and what they say.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "p2p/security/secure_world_test.hpp"
#include "p2p/security/tls_channel.hpp"

namespace kwaai::p2p {

/// An identity for TLS alone, with the key of a seed of `byte`.
inline SecureIdentity tls_identity(int byte) {
    return SecureIdentity(TlsIdentity(key_of_seed(byte)));
}

struct TlsWorld : SecureWorld {
    explicit TlsWorld(testing::StreamPairOptions options = testing::StreamPairOptions())
        : SecureWorld(options) {
        client_identity = tls_identity(0x55);
        server_identity = tls_identity(0x66);
        securities = {Security::tls};
    }
};

inline io::Task<void> say_hello(SecureWorld&, io::Stream& stream) {
    const bool is_sent = co_await send(stream, "hello");
    CHECK(is_sent);
    const std::string answer = co_await receive(stream, 5);
    CHECK(answer == "world");
}

inline io::Task<void> answer_world(SecureWorld&, io::Stream& stream) {
    const std::string greeting = co_await receive(stream, 5);
    CHECK(greeting == "hello");
    const bool is_sent = co_await send(stream, "world");
    CHECK(is_sent);
}

/// Changes what is written, a call each, before it leaves.
class TamperingStream final : public io::Stream {
public:
    using Tamper = std::function<void(std::size_t call, codec::Buffer& bytes)>;

    TamperingStream(std::unique_ptr<io::Stream> stream, Tamper tamper)
        : stream_(std::move(stream)), tamper_(std::move(tamper)) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        return stream_->read_some(into);
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        codec::Buffer all;
        for (const Bytes part : parts)
            codec::append(all, part);
        tamper_(calls_++, all);
        const Bytes bytes(all);
        Result<> written = co_await stream_->write(bytes);
        co_return written;
    }

    io::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }

    void close() override { stream_->close(); }

    [[nodiscard]] std::string peer() const override { return stream_->peer(); }

private:
    std::unique_ptr<io::Stream> stream_;
    Tamper tamper_;
    std::size_t calls_ = 0;
};

}  // namespace kwaai::p2p
