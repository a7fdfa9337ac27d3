// What connections, streams and the bytes that arrive may take, counted in nested scopes as
// go-libp2p does (libp2p.md §1.26).
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "p2p/bounds/memory_account.hpp"
#include "p2p/limits.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::p2p {

enum class Direction : std::uint8_t { inbound, outbound };

/// What a scope holds.
struct ResourceUse {
    std::size_t connections_inbound = 0;
    std::size_t connections_outbound = 0;
    std::size_t streams_inbound = 0;
    std::size_t streams_outbound = 0;
    std::size_t descriptors = 0;
    std::size_t memory_bytes = 0;

    [[nodiscard]] std::size_t connections() const {
        return connections_inbound + connections_outbound;
    }

    bool operator==(const ResourceUse&) const = default;
};

/// What a scope may hold.
struct ScopeLimits {
    static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();
    std::size_t connections = kUnlimited;
    std::size_t connections_inbound = kUnlimited;
    std::size_t connections_outbound = kUnlimited;
    std::size_t streams_inbound = kUnlimited;
    std::size_t streams_outbound = kUnlimited;
    std::size_t descriptors = kUnlimited;
    std::size_t memory_bytes = kUnlimited;
};

struct ResourceLedger;
class StreamScope;

/// One connection in the accounts, until it dies. First it is a pending one, whose handshake is
/// under way; then it is its peer's. Memory: all that it may hold is bounded by its own, its peer's
/// and the system's limit. Above half of the system's, only connections that hold no more than
/// Limits::memory_always get any, so that who reads what it is sent is served, whatever others do.
class ConnectionScope final : public MemoryAccount,
                              public std::enable_shared_from_this<ConnectionScope> {
public:
    /// Made by ResourceManager::open_connection().
    ConnectionScope(std::shared_ptr<ResourceLedger> ledger, const ResourceUse& place);
    ~ConnectionScope() override;

    /// The handshake has told who it is, once. `Errc::limit_exceeded`.
    [[nodiscard]] Result<> set_peer(const PeerId& peer);
    /// An inbound one waits for its turn to agree on a protocol. `Errc::limit_exceeded` names the
    /// scope.
    [[nodiscard]] Result<std::shared_ptr<StreamScope>> open_stream(Direction direction);
    /// The connection is over: another one may take its place, though streams of it are still held.
    void end();

    [[nodiscard]] bool reserve(std::size_t bytes) override;
    void release(std::size_t bytes) override;
    [[nodiscard]] bool has_room_to_grow() const override;

    [[nodiscard]] const ResourceUse& use() const { return use_; }

private:
    friend class StreamScope;

    std::shared_ptr<ResourceLedger> ledger_;
    std::optional<PeerId> peer_;
    ResourceUse place_;  // the connection itself, until end()
    ResourceUse use_;    // all of it
    std::size_t buffered_bytes_ = 0;
    std::size_t pending_streams_ = 0;  // inbound, that agree on a protocol
};

/// One stream in the accounts, until it dies. What it may buffer is bounded by its window
/// (Limits::window_max) and accounted by its connection.
class StreamScope {
public:
    /// Made by ConnectionScope::open_stream().
    StreamScope(std::shared_ptr<ConnectionScope> connection, const ResourceUse& place);
    StreamScope(const StreamScope&) = delete;
    StreamScope& operator=(const StreamScope&) = delete;
    ~StreamScope();

    /// Whether it is an inbound one's turn: not too many others of its connection agree.
    [[nodiscard]] bool may_agree() const;
    /// Agreeing on an inbound one's protocol begins, once, where may_agree().
    /// `Errc::limit_exceeded`.
    [[nodiscard]] Result<> begin_agreeing();
    /// What it speaks was agreed, once. `Errc::limit_exceeded` names the protocol.
    [[nodiscard]] Result<> set_protocol(std::string_view protocol);

private:
    void end_agreeing();

    bool is_agreeing_ = false;
    std::shared_ptr<ConnectionScope> connection_;
    ResourceUse place_;
    std::optional<std::string> protocol_;
};

/// Pure. Scopes may outlive it.
class ResourceManager {
public:
    explicit ResourceManager(const Limits& limits);

    /// A connection whose handshake begins. `Errc::limit_exceeded` names the scope.
    [[nodiscard]] Result<std::shared_ptr<ConnectionScope>> open_connection(Direction direction,
                                                                           bool has_descriptor);
    /// Why no connection can be dialled now, if none can.
    [[nodiscard]] Result<> check_dial() const;

    [[nodiscard]] const ResourceUse& total() const;
    [[nodiscard]] const ResourceUse& pending() const;
    [[nodiscard]] ResourceUse of_peer(const PeerId& peer) const;
    /// Inbound ones.
    [[nodiscard]] std::size_t streams_of(std::string_view protocol) const;

private:
    std::shared_ptr<ResourceLedger> ledger_;
};

}  // namespace kwaai::p2p
