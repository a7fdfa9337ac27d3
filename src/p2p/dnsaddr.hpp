// Addresses that stand in TXT records: /dnsaddr/NAME, maybe /p2p/ID (docs/protocols/dnsaddr.md).
#pragma once
#include <cstddef>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/network.hpp"
#include "io/task.hpp"
#include "p2p/limits.hpp"
#include "p2p/multiaddr.hpp"

namespace kwaai::p2p {

/// Whether the first part is /dnsaddr.
[[nodiscard]] bool is_dnsaddr(const Multiaddr& address);

/// One such address and what the records say about it (libp2p.md §1.3, libp2p specification
/// addressing). Pure. Of the records "dnsaddr=MULTIADDR" those count that end with what is behind
/// the name that was asked for; a /dnsaddr among them is asked for in its turn, at most
/// Limits::dnsaddr_levels_max names deep. At most Limits::dnsaddr_addresses_max different
/// addresses are taken in all, those that lead on included. All other records are skipped.
class DnsaddrState {
public:
    /// is_dnsaddr(address).
    DnsaddrState(Multiaddr address, const Limits& limits);

    /// Whose TXT records are wanted next, "_dnsaddr.NAME"; nothing at the end.
    [[nodiscard]] std::optional<std::string> name() const;
    /// The records of name(); none where the look-up failed.
    void answered(const std::vector<std::string>& records);

    /// Those that can be dialled, directly or over a relay, in the order of the records.
    [[nodiscard]] const std::vector<Multiaddr>& found() const { return found_; }

private:
    struct Question {
        Multiaddr address;
        std::size_t level = 0;  // 1 for the first
    };

    void take(const Multiaddr& address, std::size_t level);

    std::size_t levels_max_;
    std::size_t addresses_max_;
    std::deque<Question> questions_;
    std::set<Multiaddr> seen_;  // with the first question
    std::vector<Multiaddr> found_;
};

/// Asks the network's name servers until the state is at its end, or for Limits::dial_timeout; at
/// least one address. `Errc::not_found` where there is none; errors of Network::resolve_text,
/// `timed_out`. `network` and `clock` outlive it.
io::Task<Result<std::vector<Multiaddr>>> resolve_dnsaddr(io::Network& network,
                                                         io::Clock& clock,
                                                         Multiaddr address,
                                                         Limits limits);

}  // namespace kwaai::p2p
