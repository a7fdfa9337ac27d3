// Who gets room in the backend's cache: whoever finds it free; of those who wait, the first.
#pragma once
#include <cstdint>
#include <list>
#include <vector>

#include "base/result.hpp"
#include "engine/block_backend.hpp"
#include "io/clock.hpp"
#include "io/event.hpp"
#include "io/task.hpp"

namespace kwaai::petals {

class CacheQueue;

/// Sessions of the backend, one a stage: what a step goes through in turn. Closed when it dies.
class CacheRoom {
public:
    CacheRoom(CacheRoom&& other) noexcept;
    CacheRoom& operator=(CacheRoom&&) = delete;
    CacheRoom(const CacheRoom&) = delete;
    CacheRoom& operator=(const CacheRoom&) = delete;
    ~CacheRoom();

    [[nodiscard]] const std::vector<engine::SessionId>& stages() const { return stages_; }

private:
    friend class CacheQueue;

    explicit CacheRoom(CacheQueue& queue) : queue_(queue) {}

    CacheQueue& queue_;
    std::vector<engine::SessionId> stages_;
};

struct CacheWish {
    std::uint32_t batch = 1;
    std::uint32_t max_length = 0;  // positions of each sequence
    std::vector<inference::BlockRange> stages;
};

/// Confined to the loop's thread. Outlives its rooms and waiters.
class CacheQueue {
public:
    CacheQueue(io::Clock& clock, engine::BlockBackend& backend)
        : clock_(clock), backend_(backend) {}

    /// Waits at most `patience` for the room, behind those who came before. `Errc::limit_exceeded`
    /// in Petals' words, at once where it can never be there. Who does not want to wait takes what
    /// is free even while others wait for more: else one of them could stop everybody. Cancellation
    /// leaves the queue.
    io::Task<Result<CacheRoom>> reserve(CacheWish wish, io::Duration patience);

private:
    friend class CacheRoom;
    class Ticket;

    [[nodiscard]] Result<CacheRoom> open(const CacheWish& wish);
    io::Task<Result<CacheRoom>> wait(const CacheWish& wish, io::Duration patience);

    io::Clock& clock_;
    engine::BlockBackend& backend_;
    std::list<const Ticket*> waiting_;  // in the order of their coming
    io::Event freed_;                   // something was closed, or somebody left the queue
};

}  // namespace kwaai::petals
