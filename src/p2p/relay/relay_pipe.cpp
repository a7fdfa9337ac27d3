#include "p2p/relay/relay_pipe.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/task_group.hpp"
#include "io/timeout.hpp"

namespace kwaai::p2p::relay {
namespace {

io::Task<Result<>> copy(Stream& from, Stream& to, PipeLimits limits) {
    std::vector<std::byte> buffer(limits.buffer_bytes);
    const MutableBytes space(buffer);
    const std::uint64_t most = limits.circuit ? limits.circuit->bytes : 0;
    std::uint64_t passed = 0;
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await from.read_some(space));
        if (count == 0) break;
        if (most != 0 && count > most - passed)
            co_return fail(Errc::limit_exceeded,
                           "a circuit for " + std::to_string(most) + " bytes");
        passed += count;
        const Bytes got(space.first(count));
        KWAAI_CO_CHECKED(co_await to.write(got));
    }
    Result<> ended = co_await to.shutdown_write();
    co_return ended;
}

// What one direction came to; its failure ends the other.
io::Task<void> copy_into(
    Stream& from, Stream& to, PipeLimits limits, io::TaskGroup& group, Result<>& result) {
    const Result<> copied = co_await copy(from, to, limits);
    if (copied) co_return;
    if (result) result = copied;
    group.cancel();
}

io::Task<void> copy_both(
    io::TaskGroup& group, Stream& one, Stream& other, PipeLimits limits, Result<>& result) {
    group.spawn(
        copy_into, std::ref(one), std::ref(other), limits, std::ref(group), std::ref(result));
    group.spawn(
        copy_into, std::ref(other), std::ref(one), limits, std::ref(group), std::ref(result));
    co_return;
}

}  // namespace

io::Task<Result<>> pass_on(Stream& one, Stream& other, io::Clock& clock, PipeLimits limits) {
    Result<> result;
    io::Task<void> copying =
        io::with_group(copy_both, std::ref(one), std::ref(other), limits, std::ref(result));
    if (!limits.circuit || limits.circuit->duration.count() == 0) {
        co_await std::move(copying);
        co_return result;
    }
    const Result<> in_time =
        co_await io::with_timeout(clock, limits.circuit->duration, std::move(copying));
    if (!in_time) co_return in_time;
    co_return result;
}

}  // namespace kwaai::p2p::relay
