#include "testing/virtual_clock.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace kwaai::testing {

io::Task<void> VirtualClock::sleep_until(io::TimePoint deadline) {
    struct Entry {
        std::map<Key, io::Event*>& sleepers;
        Key key;
        io::Event woken;

        ~Entry() { sleepers.erase(key); }
    };

    Entry entry{sleepers_, Key(std::max(deadline, now_), sequence_++), {}};
    sleepers_.emplace(entry.key, &entry.woken);
    co_await entry.woken.wait();
}

bool VirtualClock::wake_next(io::TimePoint limit) {
    if (sleepers_.empty() || sleepers_.begin()->first.first > limit) return false;
    const auto first = sleepers_.begin();
    now_ = first->first.first;
    first->second->notify_all();
    sleepers_.erase(first);
    return true;
}

void VirtualClock::advance_to(io::TimePoint time) {
    KWAAI_CHECK(sleepers_.empty() || sleepers_.begin()->first.first >= time,
                "virtual time would jump over a sleeper");
    now_ = std::max(now_, time);
}

}  // namespace kwaai::testing
