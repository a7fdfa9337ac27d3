// A stream of a peer that no host has, for tests of what serves streams.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "p2p/stream.hpp"

namespace kwaai::p2p {

/// One end of a stream pair that pretends to have come from a host. A reset is an end, too.
class FakeStream final : public Stream {
public:
    FakeStream(std::unique_ptr<io::Stream> stream,
               PeerId peer,
               std::string protocol,
               Multiaddr address = Multiaddr::parse("/memory/1").value())
        : stream_(std::move(stream)),
          peer_(std::move(peer)),
          protocol_(std::move(protocol)),
          address_(std::move(address)) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        return stream_->read_some(into);
    }

    using io::Stream::write;

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        return stream_->write(parts);
    }

    io::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }

    void close() override { stream_->close(); }

    void reset(ResetCode /*code*/) override { stream_->close(); }

    [[nodiscard]] std::string peer() const override { return "memory"; }

    [[nodiscard]] const PeerId& remote_peer() const override { return peer_; }

    [[nodiscard]] const Multiaddr& remote_address() const override { return address_; }

    [[nodiscard]] const std::string& protocol() const override { return protocol_; }

private:
    std::unique_ptr<io::Stream> stream_;
    PeerId peer_;
    std::string protocol_;
    Multiaddr address_;
};

}  // namespace kwaai::p2p
