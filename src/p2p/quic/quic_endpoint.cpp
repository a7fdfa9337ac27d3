#include "p2p/quic/quic_endpoint.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/random.hpp"
#include "p2p/quic/quic_session.hpp"

namespace kwaai::p2p {
namespace {

constexpr int kReceivesPerTurn = 4;  // then others run
constexpr std::chrono::seconds kAnswerPeriod{1};

QuicIdHash random_hash() {
    QuicIdHash hash;
    crypto::fill_random(std::as_writable_bytes(std::span(&hash.secret, 1)));
    return hash;
}

QuicId key_of(const io::Endpoint& place) {
    std::array<std::byte, 18> bytes{};
    std::ranges::copy(place.ip, bytes.begin());
    bytes[16] = static_cast<std::byte>(place.port >> 8);
    bytes[17] = static_cast<std::byte>(place.port & 0xff);
    return QuicId(bytes);
}

}  // namespace

QuicEndpoint::QuicEndpoint(std::unique_ptr<io::UdpSocket> socket,
                           std::shared_ptr<const QuicIdentity> identity,
                           const Limits& limits,
                           io::Clock& clock)
    : socket_(std::move(socket)),
      identity_(std::move(identity)),
      limits_(limits),
      clock_(clock),
      sessions_(16, random_hash()),
      remotes_(16, random_hash()),
      scratch_(io::kUdpBatchBytesMax) {}

QuicEndpoint::~QuicEndpoint() = default;

io::Task<void> QuicEndpoint::run() {
    std::vector<QuicSession*> woken;
    for (int receives = 1;; ++receives) {
        const auto packets = co_await socket_->receive();
        if (!packets && packets.error().code == Errc::closed) co_return;
        if (packets) {
            woken.clear();
            for (const io::Packet& packet : *packets) {
                QuicSession* const session = receive(packet);
                if (session != nullptr && std::ranges::find(woken, session) == woken.end())
                    woken.push_back(session);
            }
            for (QuicSession* const session : woken)
                session->wake();
        }
        if (receives % kReceivesPerTurn == 0 || !packets) co_await io::yield();
    }
}

QuicSession* QuicEndpoint::receive(const io::Packet& packet) {
    const std::optional<QuicId> destination = quic_destination(packet.bytes);
    if (!destination) return nullptr;
    const auto found = sessions_.find(*destination);
    QuicSession* const session = found == sessions_.end() ? session_with(packet) : found->second;
    if (session == nullptr)
        greet(packet);
    else
        session->receive(packet.from, packet.bytes);
    return session;
}

void QuicEndpoint::enter(const io::Endpoint& remote, QuicSession& session) {
    remotes_.emplace(key_of(remote), &session);
}

void QuicEndpoint::leave(const io::Endpoint& remote, const QuicSession& session) {
    const auto [first, last] = remotes_.equal_range(key_of(remote));
    const auto found =
        std::find_if(first, last, [&](const auto& entry) { return entry.second == &session; });
    if (found != last) remotes_.erase(found);
}

// Of several with that peer the oldest; the others notice in their own time.
QuicSession* QuicEndpoint::session_with(const io::Packet& packet) const {
    const bool is_long = (packet.bytes[0] & std::byte{0x80}) != std::byte{0};
    if (is_long) return nullptr;
    const auto found = remotes_.find(key_of(packet.from));
    return found == remotes_.end() ? nullptr : found->second;
}

bool QuicEndpoint::may_answer() {
    const io::TimePoint now = clock_.now();
    if (now - answers_since_ >= kAnswerPeriod) {
        answers_since_ = now;
        answers_ = 0;
    }
    return ++answers_ <= limits_.quic_answers_per_second;
}

void QuicEndpoint::greet(const io::Packet& packet) {
    const bool needs_proof = unproven_ >= limits_.quic_unproven_max;
    const QuicVerdict verdict =
        judge_quic_packet(*identity_, packet.from, packet.bytes, needs_proof, clock_.now());
    switch (verdict.kind) {
        case QuicVerdict::Kind::drop: return;
        case QuicVerdict::Kind::hello:
            if (acceptor_)
                acceptor_({.from = packet.from, .hello = verdict.hello, .packet = packet.bytes});
            return;
        case QuicVerdict::Kind::retry:
            if (!acceptor_) return;
            break;
        case QuicVerdict::Kind::answer:
            if (!may_answer()) return;
            break;
    }
    answer(packet.from, verdict.answer);
}

// What the system has no room for is lost, as packets are.
void QuicEndpoint::answer(const io::Endpoint& to, Bytes packet) {
    static_cast<void>(socket_->send(to, packet, packet.size()));
}

void QuicEndpoint::ask_for_proof(const QuicArrival& arrival) {
    const QuicVerdict verdict =
        judge_quic_packet(*identity_, arrival.from, arrival.packet, true, clock_.now());
    if (verdict.kind == QuicVerdict::Kind::retry) answer(arrival.from, verdict.answer);
}

std::unique_ptr<QuicSession> QuicEndpoint::take(const QuicArrival& arrival,
                                                MemoryAccount* account) {
    auto session =
        std::make_unique<QuicSession>(shared_from_this(), arrival.from, arrival.hello, account);
    session->receive(arrival.from, arrival.packet);
    return session;
}

std::unique_ptr<QuicSession> QuicEndpoint::dial(const io::Endpoint& remote,
                                                const PeerId& expected,
                                                MemoryAccount* account) {
    return std::make_unique<QuicSession>(shared_from_this(), remote, expected, account);
}

}  // namespace kwaai::p2p
