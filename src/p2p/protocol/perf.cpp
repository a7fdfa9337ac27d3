#include "p2p/protocol/perf.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "io/read_exactly.hpp"
#include "io/timeout.hpp"
#include "p2p/bounds/served_count.hpp"

namespace kwaai::p2p {

struct PerfServer::State {
    io::Clock& clock;
    PerfLimits limits;
    ServedCount served{};
};

namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

// Both sides of an exchange move bytes this way; each step has `silence_max`.
class Mover {
public:
    Mover(Stream& stream, io::Clock& clock, io::Duration silence_max)
        : stream_(stream), clock_(clock), silence_max_(silence_max), chunk_(kChunkBytes) {}

    io::Task<Result<>> read_exactly(MutableBytes into) {
        auto reading = io::read_exactly(stream_, into);
        Result<> is_read = co_await io::with_timeout(clock_, silence_max_, std::move(reading));
        co_return is_read;
    }

    io::Task<Result<>> write(Bytes bytes) {
        auto writing = stream_.write(bytes);
        Result<> is_written = co_await io::with_timeout(clock_, silence_max_, std::move(writing));
        co_return is_written;
    }

    /// How many of the next bytes came; 0 at the end. What they are does not matter.
    io::Task<Result<std::size_t>> discard_some() {
        const MutableBytes into(chunk_);
        auto reading = stream_.read_some(into);
        auto count = co_await io::with_timeout(clock_, silence_max_, std::move(reading));
        co_return count;
    }

    io::Task<Result<>> send(std::uint64_t count, std::function<void(std::uint64_t)> on_chunk) {
        while (count > 0) {
            const Bytes part = Bytes(chunk_).first(std::min<std::uint64_t>(count, chunk_.size()));
            KWAAI_CO_CHECKED(co_await write(part));
            count -= part.size();
            if (on_chunk) on_chunk(part.size());
        }
        co_return Result<>();
    }

private:
    Stream& stream_;
    io::Clock& clock_;
    io::Duration silence_max_;
    std::vector<std::byte> chunk_;
};

using Head = std::array<std::byte, 8>;

Head encode_head(std::uint64_t wanted) {
    Head head{};
    for (std::size_t i = 0; i < head.size(); ++i)
        head[i] = static_cast<std::byte>(wanted >> (56 - 8 * i));
    return head;
}

std::uint64_t decode_head(const Head& head) {
    std::uint64_t wanted = 0;
    for (const std::byte byte : head)
        wanted = wanted << 8 | std::to_integer<std::uint64_t>(byte);
    return wanted;
}

io::Task<Result<>> answer(PerfServer::State& state, Stream& stream) {
    Mover mover(stream, state.clock, state.limits.silence_max);
    Head head{};
    const MutableBytes head_space(head);
    KWAAI_CO_CHECKED(co_await mover.read_exactly(head_space));
    const std::uint64_t wanted = decode_head(head);
    if (wanted > state.limits.answer_bytes_max)
        co_return fail(Errc::limit_exceeded,
                       "perf: " + std::to_string(wanted) + " bytes are asked for; at most " +
                           std::to_string(state.limits.answer_bytes_max) + " are sent");
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await mover.discard_some());
        if (count == 0) break;
    }
    KWAAI_CO_CHECKED(co_await mover.send(wanted, nullptr));
    Result<> ended = co_await stream.shutdown_write();
    co_return ended;
}

io::Task<void> serve_perf(std::shared_ptr<PerfServer::State> state,
                          std::unique_ptr<Stream> stream) {
    const ServedCount::Lease lease(state->served, stream->remote_peer());
    if (state->served.total() > state->limits.streams_max ||
        state->served.of(stream->remote_peer()) > state->limits.streams_per_peer_max) {
        stream->reset(ResetCode::resource_limit);
        co_return;
    }
    const Result<> answered = co_await answer(*state, *stream);
    if (answered)
        stream->close();
    else
        stream->reset(answered.error().code == Errc::limit_exceeded ? ResetCode::resource_limit
                                                                    : ResetCode::none);
}

io::Task<Result<>> receive(Mover& mover,
                           std::uint64_t wanted,
                           std::function<void(std::uint64_t)> on_chunk) {
    std::uint64_t received = 0;
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await mover.discard_some());
        received += count;
        if (count == 0 || received > wanted) break;
        if (on_chunk) on_chunk(count);
    }
    if (received == wanted) co_return Result<>();
    co_return fail(Errc::malformed,
                   std::string("perf: the peer sent ") + (received > wanted ? "more" : "less") +
                       " than the " + std::to_string(wanted) + " bytes that it was asked for");
}

}  // namespace

PerfServer::PerfServer(Host& host, io::Clock& clock, PerfLimits limits)
    : host_(host), state_(std::make_shared<State>(clock, limits)) {
    host_.handle(kPerfProtocol, [state = state_](std::unique_ptr<Stream> stream) {
        return serve_perf(state, std::move(stream));
    });
}

PerfServer::~PerfServer() {
    host_.stop_handling(kPerfProtocol);
}

io::Task<Result<io::Duration>> measure_perf(
    Host& host, io::Clock& clock, PerfLimits limits, PeerId peer, PerfRequest request) {
    // Eager: a refusal in the middle of an upload would look like a peer that went away.
    const OpenOptions eager{.is_lazy = false};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host.open(std::move(peer), kPerfProtocol, eager));
    Mover mover(*stream, clock, limits.silence_max);
    std::uint64_t moved = 0;
    const auto on_chunk = [&](std::uint64_t count) {
        moved += count;
        if (request.on_progress) request.on_progress(moved);
    };
    const io::TimePoint begin = clock.now();
    const Head head = encode_head(request.download_bytes);
    const Bytes head_bytes(head);
    KWAAI_CO_CHECKED(co_await mover.write(head_bytes));
    KWAAI_CO_CHECKED(co_await mover.send(request.upload_bytes, on_chunk));
    KWAAI_CO_CHECKED(co_await stream->shutdown_write());
    KWAAI_CO_CHECKED(co_await receive(mover, request.download_bytes, on_chunk));
    const io::Duration took = clock.now() - begin;
    stream->close();
    co_return took;
}

}  // namespace kwaai::p2p
