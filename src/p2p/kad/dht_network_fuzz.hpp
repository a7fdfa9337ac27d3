// A node's network in a fuzz target: peers without hosts, who do as they like.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/task_group.hpp"
#include "p2p/fake_stream_test.hpp"
#include "p2p/kad/dht.hpp"
#include "p2p/kad/peers_fuzz.hpp"
#include "testing/memory_stream.hpp"

namespace kwaai::p2p::kad {

/// Any key "/any/…" may hold any value but an empty one and one that begins with zero; the greatest
/// is the best.
class AnyValidator final : public Validator {
public:
    [[nodiscard]] Result<> validate(Bytes /*key*/, Bytes value) const override {
        if (value.empty() || value.front() == std::byte{0})
            return fail(Errc::malformed, "not a value");
        return {};
    }

    [[nodiscard]] std::size_t select(Bytes /*key*/, std::span<const Bytes> values) const override {
        std::size_t best = 0;
        for (std::size_t i = 1; i < values.size(); ++i)
            if (std::ranges::lexicographical_compare(values[best], values[i])) best = i;
        return best;
    }
};

/// Connected to each peer of an odd number, all of which say that they speak the protocol. Answers
/// run in the group that enter() gave.
class FuzzNetwork final : public DhtNetwork {
public:
    using Answer = std::function<io::Task<void>(PeerId peer, std::unique_ptr<io::Stream> stream)>;

    /// `answer` is how a peer answers a stream of ours.
    explicit FuzzNetwork(Answer answer) : answer_(std::move(answer)) {}

    void enter(io::TaskGroup& group) { group_ = &group; }

    [[nodiscard]] static bool is_server(const PeerId& peer) {
        for (std::size_t i = 1; i < 256; i += 2)
            if (fuzz_peer(i) == peer) return true;
        return false;
    }

    /// How often each peer was asked since the last call.
    [[nodiscard]] std::map<PeerId, std::size_t> take_asked() { return std::exchange(asked_, {}); }

    [[nodiscard]] const PeerId& id() const override { return fuzz_peer(0); }

    [[nodiscard]] std::vector<Multiaddr> addresses() const override { return {fuzz_address(0)}; }

    void handle(std::string /*protocol*/, StreamHandler /*handler*/) override {}

    void stop_handling(const std::string& /*protocol*/) override {}

    void add_address(const PeerId& peer, const Multiaddr& address) override {
        std::vector<Multiaddr>& known = addresses_[peer];
        if (std::ranges::find(known, address) == known.end()) known.push_back(address);
    }

    [[nodiscard]] std::vector<Multiaddr> known_addresses(const PeerId& peer) const override {
        const auto found = addresses_.find(peer);
        return found == addresses_.end() ? std::vector<Multiaddr>() : found->second;
    }

    [[nodiscard]] bool is_connected(const PeerId& peer) const override { return is_server(peer); }

    io::Task<Result<PeerId>> connect(Multiaddr address) override { co_return *address.peer(); }

    io::Task<Result<std::unique_ptr<Stream>>> open(PeerId peer,
                                                   std::string protocol,
                                                   OpenOptions /*options*/) override {
        ++asked_[peer];
        testing::StreamPair pair = testing::make_stream_pair({.seed = 0, .capacity = 4096});
        group_->spawn(answer_, peer, std::move(pair.server));
        co_return std::make_unique<FakeStream>(
            std::move(pair.client), std::move(peer), std::move(protocol), fuzz_address(0));
    }

    io::Task<Result<PeerInfo>> identify(PeerId peer) override {
        PeerInfo info{.peer = peer, .agent = "fuzz", .protocols = {}, .addresses = {}};
        if (is_server(peer)) info.protocols.emplace_back(kKadProtocol);
        info.connected = fuzz_address(0);
        co_return info;
    }

private:
    Answer answer_;
    io::TaskGroup* group_ = nullptr;
    std::map<PeerId, std::vector<Multiaddr>> addresses_;
    std::map<PeerId, std::size_t> asked_;
};

}  // namespace kwaai::p2p::kad
