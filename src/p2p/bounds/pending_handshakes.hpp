// Which handshake ends where all places of handshakes are taken and another one comes.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "io/clock.hpp"
#include "p2p/limits.hpp"

namespace kwaai::p2p {

/// The handshakes of those who come. Pure: `now` is passed in. Leases may outlive it.
class PendingHandshakes {
public:
    /// A handshake is one of these until its lease dies.
    using Lease = std::shared_ptr<void>;

    explicit PendingHandshakes(const Limits& limits);

    /// @param end what ends it
    [[nodiscard]] Lease begin(std::string_view ip, io::TimePoint now, std::function<void()> end);

    /// What ends the one that has to make room for one from `ip`: of those that have lasted for
    /// Limits::pending_grace the oldest of the place (as in SourceLimiter) that has most under way,
    /// where it has more than that of `ip`. Empty where none has to. The caller calls it.
    [[nodiscard]] std::function<void()> end_for(std::string_view ip, io::TimePoint now) const;

private:
    struct Handshake {
        std::string source;
        io::TimePoint began;
        std::function<void()> end;
    };

    io::Duration grace_;
    std::shared_ptr<std::list<Handshake>> handshakes_;  // the oldest first
};

}  // namespace kwaai::p2p
