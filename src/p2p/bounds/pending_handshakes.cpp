#include "p2p/bounds/pending_handshakes.hpp"

#include <cstddef>
#include <map>
#include <utility>

#include "p2p/bounds/source_limiter.hpp"

namespace kwaai::p2p {

PendingHandshakes::PendingHandshakes(const Limits& limits)
    : grace_(limits.pending_grace), handshakes_(std::make_shared<std::list<Handshake>>()) {}

PendingHandshakes::Lease PendingHandshakes::begin(std::string_view ip,
                                                  io::TimePoint now,
                                                  std::function<void()> end) {
    const auto entry = handshakes_->insert(
        handshakes_->end(), {.source = source_key(ip), .began = now, .end = std::move(end)});
    return {static_cast<void*>(handshakes_.get()), [all = handshakes_, entry](void*) {
                all->erase(entry);
            }};
}

std::function<void()> PendingHandshakes::end_for(std::string_view ip, io::TimePoint now) const {
    const std::string source = source_key(ip);
    std::map<std::string_view, std::size_t> counts;
    for (const Handshake& one : *handshakes_)
        ++counts[one.source];
    std::size_t most = counts[source];
    const Handshake* chosen = nullptr;
    for (const Handshake& one : *handshakes_) {
        if (now - one.began < grace_) break;
        if (counts[one.source] <= most) continue;
        most = counts[one.source];
        chosen = &one;
    }
    if (chosen == nullptr) return nullptr;
    return chosen->end;
}

}  // namespace kwaai::p2p
