// One UDP socket and the QUIC connections on it.
#pragma once
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "io/clock.hpp"
#include "io/udp.hpp"
#include "p2p/limits.hpp"
#include "p2p/peer_id.hpp"
#include "p2p/quic/quic_door.hpp"
#include "p2p/quic/quic_id.hpp"
#include "p2p/quic/quic_identity.hpp"

namespace kwaai::p2p {

class MemoryAccount;
class QuicSession;

/// A client that begins a connection; `packet` is valid during the call of the acceptor.
struct QuicArrival {
    io::Endpoint from;
    QuicHello hello;
    Bytes packet;
};

/// Confined to the loop's thread. Its sessions keep it alive.
class QuicEndpoint : public std::enable_shared_from_this<QuicEndpoint> {
public:
    /// Calls QuicEndpoint::take() where it wants the connection.
    using Acceptor = std::function<void(const QuicArrival& arrival)>;

    QuicEndpoint(std::unique_ptr<io::UdpSocket> socket,
                 std::shared_ptr<const QuicIdentity> identity,
                 const Limits& limits,
                 io::Clock& clock);
    QuicEndpoint(const QuicEndpoint&) = delete;
    QuicEndpoint& operator=(const QuicEndpoint&) = delete;
    ~QuicEndpoint();

    /// Takes connections from now on; none where it is empty.
    void set_acceptor(Acceptor acceptor) { acceptor_ = std::move(acceptor); }

    /// Receives until close().
    io::Task<void> run();

    void close() { socket_->close(); }

    /// @param account outlives the session; may be null
    [[nodiscard]] std::unique_ptr<QuicSession> take(const QuicArrival& arrival,
                                                    MemoryAccount* account);
    /// Has the client come again with a token, which shows that it gets what is sent to its
    /// address.
    void ask_for_proof(const QuicArrival& arrival);
    [[nodiscard]] std::unique_ptr<QuicSession> dial(const io::Endpoint& remote,
                                                    const PeerId& expected,
                                                    MemoryAccount* account);

    [[nodiscard]] io::UdpSocket& port() { return *socket_; }

    [[nodiscard]] const QuicIdentity& identity() const { return *identity_; }

    [[nodiscard]] const Limits& limits() const { return limits_; }

    [[nodiscard]] io::Clock& clock() { return clock_; }

    /// For packets on their way out, until the next suspension. [io::kUdpBatchBytesMax]
    [[nodiscard]] MutableBytes scratch() { return scratch_; }

    [[nodiscard]] std::size_t id_count() const { return sessions_.size(); }

    // For the sessions.
    void add(const QuicId& id, QuicSession& session) { sessions_[id] = &session; }

    void remove(const QuicId& id) { sessions_.erase(id); }

    void enter(const io::Endpoint& remote, QuicSession& session);
    void leave(const io::Endpoint& remote, const QuicSession& session);

    void count_unproven(int change) { unproven_ += static_cast<std::size_t>(change); }

private:
    /// The session that got the packet, if any.
    QuicSession* receive(const io::Packet& packet);
    /// Where a peer may say that it knows a connection no more: such a packet names none.
    [[nodiscard]] QuicSession* session_with(const io::Packet& packet) const;
    void greet(const io::Packet& packet);
    void answer(const io::Endpoint& to, Bytes packet);
    [[nodiscard]] bool may_answer();

    std::unique_ptr<io::UdpSocket> socket_;
    std::shared_ptr<const QuicIdentity> identity_;
    Limits limits_;
    io::Clock& clock_;
    Acceptor acceptor_;
    std::unordered_map<QuicId, QuicSession*, QuicIdHash> sessions_;
    std::unordered_multimap<QuicId, QuicSession*, QuicIdHash> remotes_;  // by IP and port
    std::vector<std::byte> scratch_;
    std::size_t unproven_ = 0;  // handshakes of clients under way
    io::TimePoint answers_since_{};
    std::size_t answers_ = 0;
};

}  // namespace kwaai::p2p
