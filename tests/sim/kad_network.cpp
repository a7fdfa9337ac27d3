#include "sim/kad_network.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/multihash.hpp"
#include "io/timeout.hpp"

namespace kwaai::sim {
namespace {

using namespace std::chrono_literals;

constexpr io::Duration kRetransmission = 200ms;
constexpr io::Duration kKeptAlive = 45s;  // until a dead peer's connection is noticed
constexpr std::size_t kAddressesMax = 8;  // of a peer

// Bytes on their way in one direction.
struct Direction {
    codec::Buffer bytes;
    std::size_t taken = 0;
    io::TimePoint arrives{};
    bool is_ended = false;
    bool is_reset = false;
    bool is_read = true;  // its reader has not closed it
    io::Event changed;
};

struct Pipe {
    KadNode* ends[2];
    std::uint32_t lives[2];
    Direction directions[2];  // [i] is read by end i
};

class KadStream final : public p2p::Stream {
public:
    KadStream(KadNetwork& network,
              std::shared_ptr<Pipe> pipe,
              std::size_t end,
              std::string protocol)
        : network_(network), pipe_(std::move(pipe)), end_(end), protocol_(std::move(protocol)) {}

    ~KadStream() override { KadStream::reset(p2p::ResetCode::none); }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        Direction& in = pipe_->directions[end_];
        while (true) {
            if (is_closed_) co_return fail(Errc::closed, "the stream was closed here");
            const bool has_news = in.bytes.size() > in.taken || in.is_ended || in.is_reset;
            if (!has_news || network_.clock().now() < in.arrives || !is_up()) {
                co_await in.changed.wait();
                continue;
            }
            if (in.is_reset) co_return fail(Errc::closed, "the peer reset the stream");
            const std::size_t count = std::min(into.size(), in.bytes.size() - in.taken);
            std::copy_n(
                in.bytes.begin() + static_cast<std::ptrdiff_t>(in.taken), count, into.begin());
            in.taken += count;
            co_return count;
        }
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        Direction& out = pipe_->directions[1 - end_];
        if (is_closed_ || pipe_->directions[end_].is_reset)
            co_return fail(Errc::closed, "the stream has ended");
        std::size_t count = 0;
        for (const Bytes part : parts) {
            codec::append(out.bytes, part);
            count += part.size();
        }
        send(out, count);
        co_return Result<>();
    }

    io::Task<Result<>> shutdown_write() override {
        Direction& out = pipe_->directions[1 - end_];
        out.is_ended = true;
        send(out, 0);
        co_return Result<>();
    }

    void close() override {
        if (std::exchange(is_closed_, true)) return;
        Direction& out = pipe_->directions[1 - end_];
        if (!out.is_ended) {
            out.is_ended = true;
            send(out, 0);
        }
        stop_reading();
    }

    void reset(p2p::ResetCode /*code*/) override {
        if (std::exchange(is_closed_, true)) return;
        Direction& out = pipe_->directions[1 - end_];
        out.is_reset = true;
        send(out, 0);
        stop_reading();
    }

    [[nodiscard]] std::string peer() const override { return other().address().to_text(); }

    [[nodiscard]] const p2p::PeerId& remote_peer() const override { return other().id(); }

    [[nodiscard]] const p2p::Multiaddr& remote_address() const override {
        return other().address();
    }

    [[nodiscard]] const std::string& protocol() const override { return protocol_; }

private:
    [[nodiscard]] const KadNode& other() const { return *pipe_->ends[1 - end_]; }

    // What was under way when an end died or was cut off never arrives.
    [[nodiscard]] bool is_up() const {
        for (const std::size_t i : {0U, 1U})
            if (!pipe_->ends[i]->is_alive() || pipe_->ends[i]->life() != pipe_->lives[i])
                return false;
        return network_.reaches(*pipe_->ends[0], *pipe_->ends[1]);
    }

    void stop_reading() {
        Direction& in = pipe_->directions[end_];
        in.is_read = false;
        in.changed.notify_all();
    }

    void send(Direction& out, std::size_t bytes) {
        network_.note(pipe_->ends[end_]->index(), other().index(), bytes);
        out.arrives = std::max(out.arrives, network_.clock().now() + network_.delay());
        if (out.is_read)
            network_.clock().certainly_call_at(out.arrives,
                                               [pipe = pipe_, &out] { out.changed.notify_all(); });
    }

    KadNetwork& network_;
    std::shared_ptr<Pipe> pipe_;
    std::size_t end_;
    std::string protocol_;
    bool is_closed_ = false;
};

std::string text_of(const p2p::Multiaddr& address) {
    return std::string(as_text(address.bytes()));
}

}  // namespace

KadNetwork::KadNetwork(testing::VirtualClock& clock,
                       io::TaskGroup& group,
                       std::uint64_t seed,
                       const KadLink& link)
    : clock_(clock), group_(group), link_(link), random_(seed) {}

KadNode& KadNetwork::add() {
    std::array<std::byte, 32> digest{};
    for (std::byte& byte : digest)
        byte = static_cast<std::byte>(random_.next());
    const codec::Buffer id = codec::make_multihash(codec::HashCode::sha2_256, digest);
    const std::size_t index = nodes_.size();
    const std::string ip = "10.0." + std::to_string(index >> 8) + "." + std::to_string(index & 255);
    p2p::Multiaddr address = p2p::Multiaddr::parse("/ip4/" + ip + "/tcp/4001").value();
    nodes_.push_back(std::make_unique<KadNode>(
        *this, index, p2p::PeerId::from_bytes(id).value(), std::move(address)));
    KadNode& added = *nodes_.back();
    by_address_.emplace(text_of(added.address()), &added);
    by_id_.emplace(added.id(), &added);
    return added;
}

io::Duration KadNetwork::delay() {
    auto time = link_.latency +
                std::chrono::duration_cast<io::Duration>(link_.jitter * random_.next_unit());
    for (io::Duration more = kRetransmission; random_.next_unit() < link_.loss; more *= 2)
        time += more;
    return time;
}

bool KadNetwork::reaches(const KadNode& one, const KadNode& other) const {
    return is_left_.empty() || is_left_[one.index()] == is_left_[other.index()];
}

KadNode* KadNetwork::find(const p2p::PeerId& peer) const {
    const auto found = by_id_.find(peer);
    return found == by_id_.end() ? nullptr : found->second;
}

KadNode* KadNetwork::at(const p2p::Multiaddr& address) {
    const auto found = by_address_.find(text_of(address));
    return found == by_address_.end() ? nullptr : found->second;
}

void KadNetwork::note(std::size_t from, std::size_t to, std::size_t bytes) {
    const auto time = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
    for (const std::uint64_t part :
         {time, std::uint64_t{from}, std::uint64_t{to}, std::uint64_t{bytes}})
        trace_ = (trace_ ^ part) * 0x100000001b3;
}

KadNode::KadNode(KadNetwork& network, std::size_t index, p2p::PeerId id, p2p::Multiaddr address)
    : network_(network), index_(index), id_(std::move(id)), address_(std::move(address)) {}

void KadNode::die() {
    is_alive_ = false;
    died_ = network_.clock().now();
    ++life_;
}

void KadNode::rise() {
    links_.clear();
    strangers_.clear();
    handlers_.clear();
    is_alive_ = true;
}

std::vector<p2p::Multiaddr> KadNode::addresses() const {
    return {address_.with_peer(id_)};
}

void KadNode::handle(std::string protocol, p2p::StreamHandler handler) {
    handlers_.insert_or_assign(std::move(protocol), std::move(handler));
}

void KadNode::stop_handling(const std::string& protocol) {
    handlers_.erase(protocol);
}

KadNode::Link& KadNode::link_to(const KadNode& peer) {
    if (peer.index_ >= links_.size()) links_.resize(network_.size());
    return links_[peer.index_];
}

const KadNode::Addresses* KadNode::find_addresses(const p2p::PeerId& peer) const {
    if (const KadNode* const other = network_.find(peer))
        return other->index_ < links_.size() ? &links_[other->index_].addresses : nullptr;
    const auto found = strangers_.find(peer);
    return found == strangers_.end() ? nullptr : &found->second;
}

void KadNode::add_address(const p2p::PeerId& peer, const p2p::Multiaddr& address) {
    const KadNode* const other = network_.find(peer);
    Addresses& known = other != nullptr ? link_to(*other).addresses : strangers_[peer];
    if (std::ranges::find(known, address) != known.end()) return;
    if (known.size() >= kAddressesMax) known.erase(known.begin());
    known.push_back(address);
}

std::vector<p2p::Multiaddr> KadNode::known_addresses(const p2p::PeerId& peer) const {
    const Addresses* const found = find_addresses(peer);
    return found == nullptr ? Addresses() : *found;
}

KadNode* KadNode::connected(const p2p::PeerId& peer) const {
    KadNode* const other = network_.find(peer);
    if (other == nullptr || other->index_ >= links_.size()) return nullptr;
    const Link& link = links_[other->index_];
    if (link.own_life != life_) return nullptr;
    if (link.peer_life == other->life_) return other;
    const bool is_unnoticed = !other->is_alive_ && link.peer_life + 1 == other->life_ &&
                              network_.clock().now() - other->died_ < kKeptAlive;
    return is_unnoticed ? other : nullptr;
}

bool KadNode::is_connected(const p2p::PeerId& peer) const {
    return connected(peer) != nullptr;
}

void KadNode::connected_to(KadNode& peer) {
    // Identify tells where it listens.
    link_to(peer) = {.own_life = life_, .peer_life = peer.life_, .addresses = {peer.address_}};
}

io::Task<Result<>> KadNode::dial(p2p::PeerId peer, io::Duration limit) {
    const io::TimePoint deadline = network_.clock().now() + limit;
    std::string failure = "no address is known";
    for (const p2p::Multiaddr& address : known_addresses(peer)) {
        KadNode* const other = network_.at(address);
        const bool is_silent =
            other == nullptr || !other->is_alive_ || !network_.reaches(*this, *other) || !is_alive_;
        // Nobody waits so long for who does not answer.
        io::Duration time = is_silent ? io::Duration(5s) : network_.delay();
        if (!is_silent)
            for (int i = 0; i < 3; ++i)
                time += network_.delay();
        const io::TimePoint end = network_.clock().now() + time;
        co_await network_.clock().sleep_until(std::min(end, deadline));
        if (end > deadline) co_return std::unexpected<Error>(io::timeout_error(limit));
        if (!is_silent && other->id_ == peer && other->is_alive_ && is_alive_) {
            connected_to(*other);
            other->connected_to(*this);
            co_return Result<>();
        }
        failure = is_silent ? "no answer" : "another peer is there";
    }
    co_return fail(Errc::unavailable, "dialling: " + failure);
}

io::Task<Result<p2p::PeerId>> KadNode::connect(p2p::Multiaddr address) {
    const p2p::PeerId peer = address.peer().value();
    add_address(peer, address.without_peer());
    if (!is_connected(peer)) {
        KWAAI_CO_CHECKED(co_await dial(peer, 15s));
    }
    co_return peer;
}

io::Task<Result<std::unique_ptr<p2p::Stream>>> KadNode::open(p2p::PeerId peer,
                                                             std::string protocol,
                                                             p2p::OpenOptions options) {
    if (!is_connected(peer)) {
        KWAAI_CO_CHECKED(co_await dial(peer, options.timeout));
    }
    KadNode* const other = connected(peer);
    if (other == nullptr) co_return fail(Errc::closed, "the connection is gone");
    const auto pipe = std::make_shared<Pipe>();
    pipe->ends[0] = this;
    pipe->ends[1] = other;
    pipe->lives[0] = life_;
    pipe->lives[1] = link_to(*other).peer_life;
    const auto handler = other->handlers_.find(protocol);
    if (other->is_alive_ && handler == other->handlers_.end())
        co_return fail(Errc::unsupported, "the peer does not speak " + protocol);
    if (other->is_alive_ && network_.reaches(*this, *other))
        network_.group().spawn(handler->second,
                               std::make_unique<KadStream>(network_, pipe, 1, protocol));
    co_return std::make_unique<KadStream>(network_, pipe, 0, protocol);
}

io::Task<Result<p2p::PeerInfo>> KadNode::identify(p2p::PeerId peer) {
    co_await network_.clock().sleep_for(network_.delay() + network_.delay());
    KadNode* const other = connected(peer);
    if (other == nullptr || !other->is_alive_)
        co_return fail(Errc::unavailable, "the peer is not connected");
    p2p::PeerInfo info{.peer = peer, .agent = "sim", .protocols = {}, .addresses = {}};
    for (const auto& [protocol, handler] : other->handlers_)
        info.protocols.push_back(protocol);
    info.addresses = {other->address_};
    info.connected = other->address_;
    co_return info;
}

}  // namespace kwaai::sim
