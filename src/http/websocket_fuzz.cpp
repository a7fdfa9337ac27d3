// Arbitrary bytes behind a WebSocket's upgrade, in arbitrary pieces. The stream gives what a second
// look at the same bytes at once gives, never more than came, and ends.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/websocket.hpp"
#include "io/task_group.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using io::Task;

namespace {

constexpr http::WebSocketLimits kLimits{
    .header_bytes_max = 1024, .frame_bytes_max = 4096, .message_bytes_max = 6000};

constexpr std::string_view kUpgrade =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

Task<void> send(io::Stream& client, Bytes input, bool is_upgrading) {
    std::array<Bytes, 2> list = {is_upgrading ? as_bytes(kUpgrade) : Bytes(), input};
    const std::span<const Bytes> parts(list);
    const Result<> written = co_await client.write(parts);
    if (written) (void)co_await client.shutdown_write();
}

Task<void> drain(io::Stream& client) {
    std::array<std::byte, 4096> chunk;
    while (true) {
        const Result<std::size_t> count = co_await client.read_some(chunk);
        if (!count || *count == 0) co_return;
    }
}

Task<void> serve(std::unique_ptr<io::Stream> raw, std::string& received, bool& is_open) {
    auto stream = co_await http::accept_websocket(std::move(raw), kLimits);
    if (!stream) co_return;
    is_open = true;
    std::array<std::byte, 100> chunk;
    while (true) {
        const Result<std::size_t> count = co_await (*stream)->read_some(chunk);
        if (!count || *count == 0) break;
        received += as_text(Bytes(chunk).first(*count));
    }
    (void)co_await (*stream)->shutdown_write();
}

Task<void> converse(io::TaskGroup& group,
                    testing::StreamPair& pair,
                    Bytes input,
                    bool is_upgrading,
                    std::string& received,
                    bool& is_open) {
    group.spawn(serve, std::move(pair.server), std::ref(received), std::ref(is_open));
    group.spawn(send, std::ref(*pair.client), input, is_upgrading);
    group.spawn(drain, std::ref(*pair.client));
    co_return;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
    const bool is_upgrading = (data[0] & 1) == 0;  // else the input is the upgrade as well
    testing::Simulation simulation;
    testing::StreamPair pair = testing::make_stream_pair({.seed = data[0], .capacity = 4096});
    std::string received;
    bool is_open = false;
    simulation.run(io::with_group(
        converse, std::ref(pair), input, is_upgrading, std::ref(received), std::ref(is_open)));
    if (!is_upgrading) return 0;
    std::string whole(as_text(input));
    http::WebSocketState state(http::WebSocketRole::server, kLimits);
    whole.resize(state.take(std::as_writable_bytes(std::span(whole))));
    if (!is_open || received != whole) std::abort();
    return 0;
}
