// How many connections come from one place, and how fast (libp2p.md §1.26 and §4.2).
#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/clock.hpp"
#include "p2p/bounds/gater.hpp"
#include "p2p/limits.hpp"

namespace kwaai::p2p {

/// What is bounded together: all of an IPv4 address, or of an IPv6 /56, has the same.
[[nodiscard]] std::string source_key(std::string_view ip);

/// Holds a place in a count until it dies.
using SourceLease = std::shared_ptr<void>;

/// Pure: `now` is passed in. A place is an IPv4 address or an IPv6 /56. Loopback addresses and
/// those of trusted networks are not bounded. Leases may outlive it.
class SourceLimiter {
public:
    /// @param trusted networks of which many connections come, e.g. those of one's own swarm
    SourceLimiter(const Limits& limits, std::vector<Subnet> trusted);

    struct Admitted {
        SourceLease pending;     // to be held while the handshake lasts
        SourceLease connection;  // and while there is the connection
    };

    /// Leases where one more may come now; nothing (both are null) where not.
    [[nodiscard]] Admitted admit(std::string_view ip, io::TimePoint now);

    /// Whether more than half of what may come from there is left. Beyond that a sender that did
    /// not prove its address has to: the other half is not for those who forge one.
    [[nodiscard]] bool is_quiet(std::string_view ip, io::TimePoint now);

    /// Places of which it knows how much they may send.
    [[nodiscard]] std::size_t source_count() const { return buckets_.size(); }

private:
    using Counts = std::map<std::string, std::size_t, std::less<>>;

    /// What may come at once; refilled as time passes.
    struct Bucket {
        std::size_t left;
        io::TimePoint filled_at;
        std::list<std::string>::iterator age;
    };

    [[nodiscard]] bool is_exempt(std::string_view ip) const;
    void refill(Bucket& bucket, io::TimePoint now) const;
    [[nodiscard]] bool take(const std::string& source, io::TimePoint now);

    Limits limits_;
    std::vector<Subnet> trusted_;
    std::shared_ptr<Counts> pending_;
    std::shared_ptr<Counts> connections_;
    std::shared_ptr<Counts> connections_48_;
    std::unordered_map<std::string, Bucket> buckets_;
    std::list<std::string> ages_;  // the one that came longest ago first
};

}  // namespace kwaai::p2p
