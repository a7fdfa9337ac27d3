#include "interop/peer_services.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "io/read_exactly.hpp"

namespace kwaai::interop {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

void tell(const char* line) {
    std::puts(line);
    std::fflush(stdout);
}

io::Task<Result<>> echo_all(p2p::Stream& stream) {
    std::vector<std::byte> buffer(kChunkBytes);
    const MutableBytes space(buffer);
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(space));
        if (count == 0) break;
        const Bytes got(space.first(count));
        KWAAI_CO_CHECKED(co_await stream.write(got));
    }
    tell("HALF-CLOSED");
    Result<> ended = co_await stream.shutdown_write();
    co_return ended;
}

io::Task<void> serve_echo(std::unique_ptr<p2p::Stream> stream) {
    const Result<> served = co_await echo_all(*stream);
    if (served)
        stream->close();
    else
        tell(("RESET " + served.error().context).c_str());
}

io::Task<void> serve_reset(std::unique_ptr<p2p::Stream> stream) {
    std::array<std::byte, 1> one{};
    const MutableBytes space(one);
    const auto count = co_await stream->read_some(space);
    static_cast<void>(count);
    stream->reset(p2p::ResetCode::none);
}

io::Task<Result<>> answer_perf(p2p::Stream& stream) {
    std::array<std::byte, 8> head{};
    const MutableBytes head_space(head);
    KWAAI_CO_CHECKED(co_await io::read_exactly(stream, head_space));
    std::uint64_t wanted = 0;
    for (const std::byte byte : head)
        wanted = wanted << 8 | std::to_integer<std::uint64_t>(byte);
    std::vector<std::byte> buffer(kChunkBytes);
    const MutableBytes space(buffer);
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(space));
        if (count == 0) break;
    }
    KWAAI_CO_CHECKED(co_await send_zeros(stream, wanted));
    Result<> ended = co_await stream.shutdown_write();
    co_return ended;
}

io::Task<void> serve_perf(std::unique_ptr<p2p::Stream> stream) {
    const Result<> served = co_await answer_perf(*stream);
    if (served) stream->close();
}

}  // namespace

io::Task<Result<>> send_zeros(p2p::Stream& stream, std::uint64_t count) {
    const std::vector<std::byte> zeros(kChunkBytes);
    while (count > 0) {
        const Bytes part = Bytes(zeros).first(std::min<std::uint64_t>(count, zeros.size()));
        KWAAI_CO_CHECKED(co_await stream.write(part));
        count -= part.size();
    }
    co_return Result<>();
}

void add_services(p2p::Host& host) {
    host.handle(kEchoProtocol, serve_echo);
    host.handle(kResetProtocol, serve_reset);
    host.handle(kPerfProtocol, serve_perf);
}

}  // namespace kwaai::interop
