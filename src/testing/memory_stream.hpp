// Streams and listeners without sockets, as unfriendly as the network: reads come in pieces of any
// size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "io/event.hpp"
#include "io/stream.hpp"

namespace kwaai::testing {

struct StreamPairOptions {
    std::uint64_t seed = 0;           // decides where reads are split; 0 = never split
    std::size_t capacity = 64 << 10;  // bytes on their way in one direction before a write waits
};

/// Two ends of a connection. An end that is closed or destroyed reads as an end to the other,
/// whose writes then fail with `Errc::closed`; what was written before still arrives.
struct StreamPair {
    std::unique_ptr<io::Stream> client;
    std::unique_ptr<io::Stream> server;
};

[[nodiscard]] StreamPair make_stream_pair(const StreamPairOptions& options);
[[nodiscard]] StreamPair make_stream_pair();

/// Accepts what connect() made, in that order.
class MemoryListener final : public io::Listener {
public:
    explicit MemoryListener(StreamPairOptions options) : options_(options) {}

    /// The client's end of a new connection; it waits to be accepted.
    [[nodiscard]] std::unique_ptr<io::Stream> connect();
    /// The next accept() without a waiting connection fails with `error`.
    void fail_next(Error error);

    io::Task<Result<std::unique_ptr<io::Stream>>> accept() override;
    void close() override;

    [[nodiscard]] std::string local_address() const override { return "memory"; }

    [[nodiscard]] bool is_closed() const { return is_closed_; }

private:
    StreamPairOptions options_;
    std::deque<Result<std::unique_ptr<io::Stream>>> waiting_;
    io::Event changed_;
    bool is_closed_ = false;
};

}  // namespace kwaai::testing
