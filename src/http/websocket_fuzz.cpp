// Arbitrary bytes behind a WebSocket's upgrade, or instead of it, in arbitrary pieces, for who
// accepts one and for who asks for one. The stream gives what a second look at the same bytes at
// once gives, never more than came, and ends.
#include <algorithm>
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

// What each input is tried as; from its first byte.
struct Trial {
    http::WebSocketRole role = http::WebSocketRole::server;
    bool is_upgrading = true;  // else the input is the upgrade, or the answer to it, as well
    Bytes input;
};

void fill_with_zeros(MutableBytes into) {
    std::ranges::fill(into, std::byte{0});
}

// The answer to the key of zeros.
const std::string& agreement() {
    static const std::string text =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        http::websocket_accept(http::websocket_key({})) + "\r\n\r\n";
    return text;
}

Task<void> send(io::Stream& peer, Trial trial) {
    const bool is_server = trial.role == http::WebSocketRole::server;
    const std::string_view upgrade = is_server ? kUpgrade : std::string_view(agreement());
    std::array<Bytes, 2> list = {trial.is_upgrading ? as_bytes(upgrade) : Bytes(), trial.input};
    const std::span<const Bytes> parts(list);
    const Result<> written = co_await peer.write(parts);
    if (written) (void)co_await peer.shutdown_write();
}

Task<void> drain(io::Stream& peer) {
    std::array<std::byte, 4096> chunk;
    while (true) {
        const Result<std::size_t> count = co_await peer.read_some(chunk);
        if (!count || *count == 0) co_return;
    }
}

Task<Result<std::unique_ptr<io::Stream>>> shake_hands(std::unique_ptr<io::Stream> raw,
                                                      http::WebSocketRole role) {
    if (role == http::WebSocketRole::server) return http::accept_websocket(std::move(raw), kLimits);
    return http::connect_websocket(
        std::move(raw), {.host = "a", .path = "/"}, fill_with_zeros, kLimits);
}

Task<void> take(std::unique_ptr<io::Stream> raw,
                http::WebSocketRole role,
                std::string& received,
                bool& is_open) {
    auto stream = co_await shake_hands(std::move(raw), role);
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
                    Trial trial,
                    std::string& received,
                    bool& is_open) {
    group.spawn(take, std::move(pair.server), trial.role, std::ref(received), std::ref(is_open));
    group.spawn(send, std::ref(*pair.client), trial);
    group.spawn(drain, std::ref(*pair.client));
    co_return;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Trial trial{
        .role = (data[0] & 0x80) == 0 ? http::WebSocketRole::server : http::WebSocketRole::client,
        .is_upgrading = (data[0] & 1) == 0,
        .input = std::as_bytes(std::span(data, size)).subspan(1)};
    testing::Simulation simulation;
    testing::StreamPair pair = testing::make_stream_pair({.seed = data[0], .capacity = 4096});
    std::string received;
    bool is_open = false;
    simulation.run(
        io::with_group(converse, std::ref(pair), trial, std::ref(received), std::ref(is_open)));
    if (!trial.is_upgrading) return 0;
    std::string whole(as_text(trial.input));
    http::WebSocketState state(trial.role, kLimits);
    whole.resize(state.take(std::as_writable_bytes(std::span(whole))));
    if (!is_open || received != whole) std::abort();
    return 0;
}
