#include "interop/peer_services.hpp"

#include <array>
#include <cstdio>
#include <vector>

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

io::Task<void> serve_reset(std::unique_ptr<p2p::Stream> stream) {
    std::array<std::byte, 1> one{};
    const MutableBytes space(one);
    const auto count = co_await stream->read_some(space);
    static_cast<void>(count);
    stream->reset(p2p::ResetCode::none);
}

}  // namespace

io::Task<void> serve_echo(std::unique_ptr<p2p::Stream> stream) {
    const Result<> served = co_await echo_all(*stream);
    if (served)
        stream->close();
    else
        tell(("RESET " + served.error().context).c_str());
}

void add_services(p2p::Host& host) {
    host.handle(kEchoProtocol, serve_echo);
    host.handle(kResetProtocol, serve_reset);
}

}  // namespace kwaai::interop
