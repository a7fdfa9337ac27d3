#include "interop/peer_measure.hpp"

#include <array>
#include <chrono>
#include <utility>

#include "interop/peer_services.hpp"
#include "io/read_exactly.hpp"
#include "io/task_group.hpp"
#include "p2p/protocol/perf.hpp"

namespace kwaai::interop {
namespace {

constexpr unsigned kFirstRequests = 200;  // that are not counted

io::Task<void> one_stream(
    p2p::Host& host, io::Clock& clock, p2p::PeerId peer, PerfStreams wanted, Result<>& all) {
    p2p::PerfRequest request{.upload_bytes = wanted.upload_bytes / wanted.count,
                             .download_bytes = wanted.download_bytes / wanted.count,
                             .on_progress = nullptr};
    auto took = co_await p2p::measure_perf(
        host, clock, p2p::PerfLimits(), std::move(peer), std::move(request));
    if (!took) all = forward_error(took);
}

io::Task<void> all_streams(io::TaskGroup& group,
                           p2p::Host& host,
                           io::Clock& clock,
                           p2p::PeerId peer,
                           PerfStreams wanted,
                           Result<>& all) {
    for (unsigned i = 0; i < wanted.count; ++i)
        group.spawn(one_stream, std::ref(host), std::ref(clock), peer, wanted, std::ref(all));
    co_return;
}

}  // namespace

io::Task<Result<double>> measure_streams(p2p::Host& host,
                                         io::Clock& clock,
                                         p2p::PeerId peer,
                                         PerfStreams wanted) {
    Result<> all;
    const io::TimePoint begin = clock.now();
    co_await io::with_group(
        all_streams, std::ref(host), std::ref(clock), std::move(peer), wanted, std::ref(all));
    if (!all) co_return forward_error(all);
    co_return std::chrono::duration<double>(clock.now() - begin).count();
}

io::Task<Result<std::vector<double>>> measure_requests(p2p::Host& host,
                                                       io::Clock& clock,
                                                       p2p::PeerId peer,
                                                       unsigned count) {
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> stream,
                 co_await host.open(std::move(peer), kEchoProtocol));
    std::array<std::byte, 64> block{};
    const Bytes sent(block);
    const MutableBytes space(block);
    std::vector<double> times;
    for (unsigned i = 0; i < kFirstRequests + count; ++i) {
        const io::TimePoint begin = clock.now();
        KWAAI_CO_CHECKED(co_await stream->write(sent));
        KWAAI_CO_CHECKED(co_await io::read_exactly(*stream, space));
        const std::chrono::duration<double, std::micro> took = clock.now() - begin;
        if (i >= kFirstRequests) times.push_back(took.count());
    }
    stream->close();
    co_return times;
}

}  // namespace kwaai::interop
