// Peers that answer a lookup with anything, late, twice or never. Nobody is asked twice, nor more
// at a time or in all than was agreed; it ends; and its result is what a plain model says.
#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "p2p/kad/lookup_state.hpp"
#include "p2p/kad/peers_fuzz.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace kwaai::p2p::kad;

namespace {

LookupOptions read_options(testing::Script& script) {
    LookupOptions options{.target = KadKey::of(fuzz_peer(script.next()))};
    options.parallel = script.next() % 12U;
    options.closest_answered = 1U + script.next() % 4U;
    options.result_size = 1U + script.next() % 20U;
    options.paths = script.next() % 5U;
    options.queries_max = script.next() % 64U;
    return options;
}

class Run {
public:
    explicit Run(Bytes input)
        : script_(input), options_(read_options(script_)), state_(fuzz_peer(0), options_) {}

    void run() {
        const std::vector<PeerId> seeds = read_told();
        heard(seeds);
        state_.add_seeds(seeds);
        while (true) {
            ask();
            check();
            if (state_.is_over()) break;
            require(!waited_for_.empty());  // else it waits for what never happens
            do_one();
        }
        require(!state_.next());
    }

private:
    enum class Fate : std::uint8_t { heard, asked, stalled, answered, failed };

    struct Peer {
        PeerId id;
        Fate fate = Fate::heard;
    };

    std::vector<PeerId> read_told() {
        std::vector<PeerId> read;
        const std::size_t count = script_.next() % 48U;  // more than anybody should send
        for (const std::byte which : script_.take(count))
            read.push_back(fuzz_peer(std::to_integer<std::size_t>(which)));
        return read;
    }

    [[nodiscard]] Distance distance_of(const PeerId& peer) const {
        return Distance::between(options_.target, KadKey::of(peer));
    }

    Peer* find(const PeerId& peer) {
        const auto found = model_.find(distance_of(peer));
        return found == model_.end() ? nullptr : &found->second;
    }

    void heard(const std::vector<PeerId>& told) {
        for (const PeerId& peer : told)
            if (peer != fuzz_peer(0)) model_.try_emplace(distance_of(peer), Peer{.id = peer});
    }

    void ask() {
        while (const auto peer = state_.next()) {
            Peer* const known = find(*peer);
            require(known != nullptr && known->fate == Fate::heard);
            known->fate = Fate::asked;
            waited_for_.push_back(*peer);
            ++asked_;
            require(state_.is_asked(*peer) && state_.query_count() == asked_);
        }
    }

    void do_one() {
        const std::uint8_t deed = script_.is_empty() ? 1 : script_.next();
        const std::size_t which = deed / 8U % waited_for_.size();
        const PeerId peer = waited_for_[which];
        switch (deed % 8U) {
            case 0: {
                const PeerId& anyone = fuzz_peer(script_.next());
                report(anyone, Fate::failed, {});
                break;
            }
            case 1: report(peer, Fate::failed, {}); break;
            case 2: report(peer, Fate::stalled, {}); break;
            case 3: {
                const PeerId& anyone = fuzz_peer(script_.next());  // asked or not, or once before
                report(anyone, Fate::answered, read_told());
                break;
            }
            case 4:
                if (deed == 0xfc) state_.stop();
                break;
            default: report(peer, Fate::answered, read_told());
        }
    }

    void report(const PeerId& peer, Fate fate, const std::vector<PeerId>& closer) {
        switch (fate) {
            case Fate::failed: state_.failed(peer); break;
            case Fate::stalled: state_.stalled(peer); break;
            default: state_.answered(peer, closer);
        }
        Peer* const known = find(peer);
        require(known == nullptr || fate == Fate::stalled || !state_.is_asked(peer));
        if (known == nullptr) return;
        const bool counts =
            known->fate == Fate::asked || (known->fate == Fate::stalled && fate != Fate::stalled);
        if (!counts) return;
        known->fate = fate;
        if (fate == Fate::answered) heard(closer);
        if (fate != Fate::stalled) std::erase(waited_for_, peer);
    }

    void check() {
        std::size_t under_way = 0;
        std::vector<PeerId> closest;
        std::vector<PeerId> answered;
        for (const auto& [distance, peer] : model_) {
            if (peer.fate == Fate::asked) ++under_way;
            if (peer.fate == Fate::answered) answered.push_back(peer.id);
            if (peer.fate != Fate::failed && closest.size() < options_.result_size)
                closest.push_back(peer.id);
        }
        require(under_way <= std::max<std::size_t>(options_.parallel, 1));
        require(asked_ <= options_.queries_max);
        require(state_.closest() == closest && state_.answerers() == answered);
        require((state_.hops() == 0) == answered.empty() && state_.hops() <= answered.size());
    }

    testing::Script script_;
    LookupOptions options_;
    LookupState state_;
    std::map<Distance, Peer> model_;  // whoever was named by a seed or an answer
    std::vector<PeerId> waited_for_;
    std::size_t asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Run(std::as_bytes(std::span(data, size))).run();
    return 0;
}
