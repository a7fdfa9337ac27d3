// Which addresses a node has, as far as it knows. Pure: `now` is passed in.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/clock.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

/// Who set addresses; what peers observe and what AutoNAT confirms comes besides.
enum class AddressSource : std::uint8_t {
    declared,  // by the node's owner: believed
    mapped,    // by the router, on our request (UPnP, NAT-PMP)
    relay,     // reservations with relays, …/p2p-circuit
};

enum class Reachability : std::uint8_t { unknown, reachable, unreachable };

/// Sources: libp2p.md §1.11, original.md §3.2 (5), go-libp2p's observed address manager.
struct AddressLimits {
    std::size_t told_max = 32;
    std::size_t set_max = 16;           // of one source
    std::size_t observed_max = 32;      // addresses that peers said to see
    std::size_t observers_max = 16;     // counted of each
    std::size_t observers_needed = 4;   // before it is told: distinct IPv4 addresses or IPv6 /56
    std::size_t observed_told_max = 3;  // of those, the ones with the most observers
    std::chrono::seconds observed_grace{45};  // AutoNAT and the router speak first
    std::chrono::minutes observation_lifetime{30};
    std::size_t candidates_max = 16;  // for AutoNAT to try
    std::chrono::minutes verdict_lifetime{180};
};

/// An address is told to peers ("announceable"), is where others reach us from anywhere
/// ("external"), or might be ("candidate"): three different things. How far a source is believed:
/// declared, then AutoNAT's verdict, then the router's mapping, then what enough peers observe.
class AddressState {
public:
    /// @param is_relayed_only nothing but relays' addresses is told
    explicit AddressState(const AddressLimits& limits, bool is_relayed_only = false)
        : limits_(limits), is_relayed_only_(is_relayed_only) {}

    /// Where the node listens, 0.0.0.0 and :: resolved to the machine's addresses.
    void set_listening(std::vector<Multiaddr> listening);
    /// Replaces what `source` said before; at most `set_max`, without /p2p of ourselves.
    void set_addresses(AddressSource source, const std::vector<Multiaddr>& addresses);
    /// A peer at `observer` sees us at `observed`. Who dialled us did so at an address that works
    /// for him; of a connection that we dialled only the IP counts, for the port is a passing one:
    /// a candidate with the port where we listen. Nothing is learnt over relays nor from or about
    /// addresses that do not reach everywhere.
    void observe(const Multiaddr& observer,
                 const Multiaddr& observed,
                 bool is_inbound,
                 io::TimePoint now);
    /// AutoNAT v2's verdict about one address.
    void set_verdict(const Multiaddr& address, Reachability verdict, io::TimePoint now);

    /// AutoNAT v1's verdict about the node.
    void set_node_verdict(Reachability verdict) { node_verdict_ = verdict; }

    /// What peers may be told: external addresses first, then those of the interfaces, then
    /// relays', these while nothing shows that the node is reachable from everywhere.
    [[nodiscard]] std::vector<Multiaddr> told(io::TimePoint now) const;
    /// Where the node can be reached from everywhere, as far as is known. What a relay hands out.
    [[nodiscard]] std::vector<Multiaddr> external(io::TimePoint now) const;
    /// What AutoNAT should try, the most promising first; none that was declared.
    [[nodiscard]] std::vector<Multiaddr> candidates(io::TimePoint now) const;
    [[nodiscard]] Reachability reachability(io::TimePoint now) const;
    [[nodiscard]] Reachability verdict(const Multiaddr& address, io::TimePoint now) const;
    /// Whether dialling it would reach this node itself.
    [[nodiscard]] bool is_own(const Multiaddr& address, io::TimePoint now) const;

    /// Observed addresses and verdicts that are remembered.
    [[nodiscard]] std::size_t size() const { return observed_.size() + verdicts_.size(); }

private:
    struct Observed {
        Multiaddr address;
        bool is_guessed = false;  // the port is ours
        io::TimePoint since;
        std::map<std::string, io::TimePoint> observers;  // group, last seen
    };

    struct Verdict {
        Reachability reachability = Reachability::unknown;
        io::TimePoint at;
    };

    [[nodiscard]] const std::vector<Multiaddr>& of(AddressSource source) const {
        return set_[static_cast<std::size_t>(source)];
    }

    [[nodiscard]] std::size_t observers_of(const Observed& entry, io::TimePoint now) const;
    [[nodiscard]] std::vector<const Observed*> ranked_observed(io::TimePoint now) const;
    [[nodiscard]] std::vector<Multiaddr> believed_observed(io::TimePoint now) const;
    [[nodiscard]] bool is_refuted(const Multiaddr& address, io::TimePoint now) const;
    [[nodiscard]] std::optional<Multiaddr> guess_from(const Multiaddr& seen) const;
    void note_observer(const Multiaddr& address,
                       bool is_guessed,
                       const std::string& group,
                       io::TimePoint now);
    Observed* place_for(const Multiaddr& address, bool is_guessed, io::TimePoint now);

    AddressLimits limits_;
    bool is_relayed_only_;
    std::vector<Multiaddr> listening_;
    std::array<std::vector<Multiaddr>, 3> set_;
    std::vector<Observed> observed_;
    std::map<Multiaddr, Verdict> verdicts_;
    Reachability node_verdict_ = Reachability::unknown;
};

}  // namespace kwaai::p2p
