// Streams of calls without a host: two ends in memory that tell a FIN from a reset.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "p2p/stream.hpp"
#include "testing/hex.hpp"
#include "testing/memory_stream.hpp"

namespace kwaai::hivemind {

using testing::from_hex;
using testing::to_hex;

/// How an end was left, for the other end and the test.
struct EndState {
    std::optional<p2p::ResetCode> reset;
    bool is_closed = false;
};

inline p2p::PeerId test_peer() {
    const auto peer = p2p::PeerId::parse("12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A");
    REQUIRE(peer.has_value());
    return *peer;
}

class FakeStream final : public p2p::Stream {
public:
    FakeStream(std::unique_ptr<io::Stream> inner,
               std::string protocol,
               std::shared_ptr<EndState> ours,
               std::shared_ptr<const EndState> theirs)
        : inner_(std::move(inner)),
          protocol_(std::move(protocol)),
          ours_(std::move(ours)),
          theirs_(std::move(theirs)) {}

    ~FakeStream() override {
        if (!ours_->is_closed) FakeStream::reset(p2p::ResetCode::none);
    }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        Result<std::size_t> count = co_await inner_->read_some(into);
        if (count && *count == 0 && theirs_->reset) co_return fail(Errc::closed, "stream reset");
        co_return count;
    }

    using io::Stream::write;

    io::Task<Result<>> write(std::span<const Bytes> parts) override { return inner_->write(parts); }

    io::Task<Result<>> shutdown_write() override { return inner_->shutdown_write(); }

    void close() override {
        ours_->is_closed = true;
        inner_->close();
    }

    void reset(p2p::ResetCode code) override {
        if (!ours_->is_closed) ours_->reset = code;
        FakeStream::close();
    }

    [[nodiscard]] std::string peer() const override { return inner_->peer(); }

    [[nodiscard]] const p2p::PeerId& remote_peer() const override { return remote_peer_; }

    [[nodiscard]] const p2p::Multiaddr& remote_address() const override { return address_; }

    [[nodiscard]] const std::string& protocol() const override { return protocol_; }

private:
    std::unique_ptr<io::Stream> inner_;
    std::string protocol_;
    std::shared_ptr<EndState> ours_;
    std::shared_ptr<const EndState> theirs_;
    p2p::PeerId remote_peer_ = test_peer();
    p2p::Multiaddr address_ = *p2p::Multiaddr::parse("/ip4/10.0.0.1/tcp/4001");
};

struct FakePair {
    std::unique_ptr<p2p::Stream> caller;
    std::unique_ptr<p2p::Stream> callee;
    std::shared_ptr<EndState> caller_end = std::make_shared<EndState>();
    std::shared_ptr<EndState> callee_end = std::make_shared<EndState>();
};

inline FakePair make_fake_pair(const std::string& protocol, std::size_t capacity = 64 << 10) {
    testing::StreamPair inner =
        testing::make_stream_pair(testing::StreamPairOptions{.seed = 7, .capacity = capacity});
    FakePair pair;
    pair.caller = std::make_unique<FakeStream>(
        std::move(inner.client), protocol, pair.caller_end, pair.callee_end);
    pair.callee = std::make_unique<FakeStream>(
        std::move(inner.server), protocol, pair.callee_end, pair.caller_end);
    return pair;
}

}  // namespace kwaai::hivemind
