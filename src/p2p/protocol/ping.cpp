#include "p2p/protocol/ping.hpp"

#include <algorithm>
#include <array>

#include "io/read_exactly.hpp"
#include "io/timeout.hpp"

namespace kwaai::p2p {
namespace {

using Block = std::array<std::byte, 32>;
constexpr std::chrono::seconds kSilenceMax{60};

}  // namespace

io::Task<void> serve_ping(std::unique_ptr<Stream> stream, io::Clock& clock) {
    Block block{};
    while (true) {
        io::Task<Result<>> reading = io::read_exactly(*stream, block);
        const Result<> is_read = co_await io::with_timeout(clock, kSilenceMax, std::move(reading));
        if (!is_read) break;
        const Bytes echo(block);
        const Result<> is_written = co_await stream->write(echo);
        if (!is_written) break;
    }
    stream->close();
}

io::Task<Result<std::chrono::nanoseconds>> ping_once(
    Stream& stream, io::Clock& clock, const std::function<void(MutableBytes)>& random) {
    Block sent{};
    random(sent);
    const io::TimePoint begin = clock.now();
    const Bytes block(sent);
    KWAAI_CO_CHECKED(co_await stream.write(block));
    Block echo{};
    KWAAI_CO_CHECKED(co_await io::read_exactly(stream, echo));
    if (echo != sent)
        co_return fail(Errc::malformed, "ping: the peer answered with other bytes than were sent");
    co_return std::chrono::nanoseconds(clock.now() - begin);
}

}  // namespace kwaai::p2p
