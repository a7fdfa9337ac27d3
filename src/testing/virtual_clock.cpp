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

class VirtualClock::VirtualAlarm final : public io::Alarm {
public:
    VirtualAlarm(VirtualClock& clock, const Key& key) : clock_(clock), key_(key) {}

    ~VirtualAlarm() override { clock_.calls_.erase(key_); }

private:
    VirtualClock& clock_;
    Key key_;
};

VirtualClock::Key VirtualClock::schedule(io::TimePoint deadline,
                                         std::move_only_function<void()> fn) {
    const Key key(std::max(deadline, now_), sequence_++);
    calls_.emplace(key, std::move(fn));
    return key;
}

std::unique_ptr<io::Alarm> VirtualClock::call_at(io::TimePoint deadline,
                                                 std::move_only_function<void()> fn) {
    return std::make_unique<VirtualAlarm>(*this, schedule(deadline, std::move(fn)));
}

void VirtualClock::certainly_call_at(io::TimePoint deadline, std::move_only_function<void()> fn) {
    schedule(deadline, std::move(fn));
}

bool VirtualClock::wake_next(io::TimePoint limit) {
    const io::TimePoint next = earliest();
    if ((sleepers_.empty() && calls_.empty()) || next > limit) return false;
    now_ = next;
    if (calls_.empty() ||
        (!sleepers_.empty() && sleepers_.begin()->first < calls_.begin()->first)) {
        const auto first = sleepers_.begin();
        first->second->notify_all();
        sleepers_.erase(first);
    } else {
        auto call = calls_.extract(calls_.begin());
        call.mapped()();
    }
    return true;
}

void VirtualClock::advance_to(io::TimePoint time) {
    KWAAI_CHECK(earliest() >= time, "virtual time would jump over a sleeper");
    now_ = std::max(now_, time);
}

io::TimePoint VirtualClock::earliest() const {
    io::TimePoint time = io::TimePoint::max();
    if (!sleepers_.empty()) time = sleepers_.begin()->first.first;
    if (!calls_.empty()) time = std::min(time, calls_.begin()->first.first);
    return time;
}

}  // namespace kwaai::testing
