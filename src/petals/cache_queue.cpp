#include "petals/cache_queue.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "base/checked.hpp"
#include "io/timeout.hpp"

namespace kwaai::petals {
namespace {

// The backend promises whole pages.
constexpr std::uint64_t kPagePositions = 64;
// The backend's other users free room without a word to us.
constexpr std::chrono::seconds kLookAgain{1};

std::uint64_t tokens_of(const CacheWish& wish) {
    const std::uint64_t each =
        round_up(std::max<std::uint64_t>(wish.max_length, 1), kPagePositions);
    return wish.batch * each * wish.stages.size();
}

// What Petals' messages count.
std::string bytes_text(const CacheWish& wish, const engine::BlockBackendStats& stats) {
    const std::uint64_t bytes_each =
        stats.kv_tokens_max == 0 ? 0 : stats.kv_bytes_max / stats.kv_tokens_max;
    return std::to_string(std::uint64_t{wish.batch} * wish.max_length * bytes_each *
                          wish.stages.size()) +
           " bytes";
}

std::string seconds_text(io::Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", std::chrono::duration<double>(duration).count());
    return text;
}

}  // namespace

CacheRoom::CacheRoom(CacheRoom&& other) noexcept
    : queue_(other.queue_), stages_(std::exchange(other.stages_, {})) {}

CacheRoom::~CacheRoom() {
    for (const engine::SessionId stage : stages_)
        queue_.backend_.close(stage);
    if (!stages_.empty()) queue_.freed_.notify_all();
}

// A place in the queue, left when it dies.
class CacheQueue::Ticket {
public:
    explicit Ticket(CacheQueue& queue) : queue_(queue) {
        place_ = queue.waiting_.insert(queue.waiting_.end(), this);
    }

    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    ~Ticket() {
        queue_.waiting_.erase(place_);
        queue_.freed_.notify_all();
    }

    [[nodiscard]] bool is_first() const { return place_ == queue_.waiting_.begin(); }

private:
    CacheQueue& queue_;
    std::list<const Ticket*>::iterator place_;
};

Result<CacheRoom> CacheQueue::open(const CacheWish& wish) {
    CacheRoom room(*this);
    for (const inference::BlockRange& stage : wish.stages) {
        KWAAI_TRY(
            const engine::SessionId id,
            backend_.open({.batch = wish.batch, .max_length = wish.max_length, .range = stage}));
        room.stages_.push_back(id);
    }
    return room;
}

io::Task<Result<CacheRoom>> CacheQueue::reserve(CacheWish wish, io::Duration patience) {
    const bool is_waiting = patience > io::Duration::zero();
    if (!is_waiting || waiting_.empty()) {
        Result<CacheRoom> room = open(wish);
        if (room || room.error().code != Errc::limit_exceeded) co_return room;
    }
    const engine::BlockBackendStats stats = backend_.stats();
    if (!is_waiting)
        co_return fail(
            Errc::limit_exceeded,
            "Could not allocate " + bytes_text(wish, stats) + " immediately: out of memory");
    if (tokens_of(wish) > stats.kv_tokens_max)
        co_return fail(Errc::limit_exceeded,
                       "Could not allocate " + bytes_text(wish, stats) +
                           ", max cache size = " + std::to_string(stats.kv_bytes_max) + " bytes");
    Result<CacheRoom> room = co_await wait(wish, patience);
    co_return room;
}

io::Task<Result<CacheRoom>> CacheQueue::wait(const CacheWish& wish, io::Duration patience) {
    const Ticket ticket(*this);
    const io::TimePoint deadline = clock_.now() + patience;
    while (true) {
        if (ticket.is_first()) {
            Result<CacheRoom> room = open(wish);
            if (room || room.error().code != Errc::limit_exceeded) co_return room;
        }
        const io::Duration left = deadline - clock_.now();
        if (left <= io::Duration::zero()) break;
        io::Task<void> freed = freed_.wait();
        const io::Duration nap = std::min<io::Duration>(left, kLookAgain);
        co_await io::finishes_within(clock_, nap, std::move(freed));
    }
    co_return fail(Errc::limit_exceeded,
                   "Server's attention cache is full, failed to allocate " +
                       bytes_text(wish, backend_.stats()) + " in " + seconds_text(patience) +
                       " seconds");
}

}  // namespace kwaai::petals
