// A muxed stream whose protocol was agreed or, lazily, proposed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "p2p/connection.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p {

/// What a stream holds while it lives, e.g. its place in a limit's count; released by its
/// destruction.
using StreamLease = std::shared_ptr<void>;

struct StreamParts {
    std::shared_ptr<Connection> connection;
    std::unique_ptr<MuxedStream> muxed;
    std::string protocol;
    StreamLease lease;
};

/// `residue` are bytes of the protocol that came with the negotiation.
[[nodiscard]] std::unique_ptr<Stream> make_agreed_stream(StreamParts parts,
                                                         std::vector<std::byte> residue);

/// Sends the proposal with the first write, or alone where the first call is a read; the first read
/// takes the answer. `Errc::unsupported` where that is a refusal.
[[nodiscard]] std::unique_ptr<Stream> make_proposed_stream(StreamParts parts);

}  // namespace kwaai::p2p
