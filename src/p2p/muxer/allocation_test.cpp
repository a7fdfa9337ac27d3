// What a connection at work allocates. This program has a malloc of its own, which counts every
// block that anybody takes: this project, Asio, OpenSSL and the C++ library. What Asio has kept for
// the next coroutine or operation, and takes again from there, is none.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "io/loop.hpp"
#include "io/tcp.hpp"
#include "p2p/muxer/session_world_test.hpp"
#include "p2p/security/secure_channel.hpp"

// NOLINTBEGIN: the names are glibc's
namespace {

constexpr std::size_t kSmallBytes = 64;

constinit std::atomic<std::size_t> small_blocks = 0;  // of kSmallBytes at most
constinit std::atomic<std::size_t> large_blocks = 0;

void count_block(std::size_t size) {
    ++(size <= kSmallBytes ? small_blocks : large_blocks);
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
void* __libc_realloc(void* block, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;

void* malloc(std::size_t size) noexcept {
    count_block(size);
    return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
    count_block(count * size);
    return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) noexcept {
    count_block(size);
    return __libc_realloc(block, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    count_block(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
    count_block(size);
    *block = __libc_memalign(alignment, size);
    return *block == nullptr ? ENOMEM : 0;
}
}

// NOLINTEND

namespace kwaai::p2p {
namespace {

using io::Loop;
using io::Task;
using io::TaskGroup;
using session_world::StreamPtr;

constexpr std::size_t kFrameBytes = 64 << 10;
constexpr std::size_t kFrames = 1000;  // each way
// For what is not done for each frame: the coroutines that send and take them, chunks that a slow
// turn of the machine makes the receiver keep.
constexpr std::size_t kAllowed = 200;
// What OpenSSL 3.0 takes and gives back at once for records of TLS: 40 bytes for each part of one.
constexpr std::size_t kRecordsPerFrame = 5;  // 64 KiB and a header
constexpr std::size_t kPartsPerRecord = 4;   // of one that is written and read

crypto::PrivateKey key_of(unsigned char number) {
    std::array<std::byte, 32> seed{};
    seed[0] = std::byte{number};
    return crypto::PrivateKey::ed25519_from_seed(seed);
}

// Two sessions over TCP on loopback, and a stream that both have.
struct World {
    explicit World(Security security)
        : securities{security},
          client(key_of(1), securities, nullptr),
          server(key_of(2), securities, nullptr) {}

    Loop loop;
    std::vector<Security> securities;
    std::vector<std::string> muxers{"/yamux/1.0.0"};
    SecureIdentity client;
    SecureIdentity server;
    std::unique_ptr<io::Listener> listener;
    std::unique_ptr<YamuxSession> dialling;
    std::unique_ptr<YamuxSession> listening;
    std::optional<Errc> dialling_end;
    std::optional<Errc> listening_end;
    StreamPtr ours;
    StreamPtr theirs;
};

Task<void> serve(TaskGroup& sessions, World& world) {
    Result<std::unique_ptr<io::Stream>> raw = co_await world.listener->accept();
    REQUIRE(raw);
    Result<SecureChannel> channel =
        co_await secure_inbound(std::move(*raw), world.server, world.muxers);
    REQUIRE(channel);
    world.listening = std::make_unique<YamuxSession>(
        std::move(channel->stream), YamuxRole::listener, Limits(), world.loop.clock());
    sessions.spawn(session_world::run, std::ref(*world.listening), std::ref(world.listening_end));
    world.theirs = co_await session_world::accept(*world.listening);
    const std::string first = co_await session_world::read_text(*world.theirs);
    REQUIRE(first == "!");
}

Task<void> connect(TaskGroup& serving, TaskGroup& sessions, World& world) {
    serving.spawn(serve, std::ref(sessions), std::ref(world));
    const auto address = io::parse_address(world.listener->local_address());
    REQUIRE(address);
    Result<std::unique_ptr<io::Stream>> raw = co_await io::connect_tcp(world.loop, *address);
    REQUIRE(raw);
    const std::optional<PeerId> anybody;
    Result<SecureChannel> channel = co_await secure_outbound(
        std::move(*raw), world.client, world.securities, world.muxers, anybody);
    REQUIRE(channel);
    world.dialling = std::make_unique<YamuxSession>(
        std::move(channel->stream), YamuxRole::dialer, Limits(), world.loop.clock());
    sessions.spawn(session_world::run, std::ref(*world.dialling), std::ref(world.dialling_end));
    world.ours = co_await session_world::open(*world.dialling);
    co_await session_world::write_text(*world.ours, "!");
}

Task<void> send_frames(MuxedStream& stream, std::size_t count) {
    const std::vector<std::byte> frame(kFrameBytes, std::byte{'a'});
    const Bytes bytes(frame);
    for (std::size_t i = 0; i < count; ++i) {
        const Result<> written = co_await stream.write(bytes);
        if (!written) FAIL(written.error().context);
    }
}

Task<void> take_frames(MuxedStream& stream, std::size_t count) {
    std::vector<std::byte> space(kFrameBytes);
    const MutableBytes into(space);
    for (std::size_t left = count * kFrameBytes; left > 0;) {
        const Result<std::size_t> taken = co_await stream.read_some(into);
        if (!taken || *taken == 0) FAIL("the stream has ended");
        left -= *taken;
    }
}

Task<void> send_both_ways(TaskGroup& group, World& world, std::size_t count) {
    group.spawn(take_frames, std::ref(*world.theirs), count);
    group.spawn(take_frames, std::ref(*world.ours), count);
    group.spawn(send_frames, std::ref(*world.ours), count);
    group.spawn(send_frames, std::ref(*world.theirs), count);
    co_return;
}

// Blocks taken while so many frames passed each way.
struct Blocks {
    std::size_t small = small_blocks;
    std::size_t large = large_blocks;
};

Task<void> measure(TaskGroup& sessions, World& world, Blocks& blocks) {
    co_await io::with_group(connect, std::ref(sessions), std::ref(world));
    co_await io::with_group(send_both_ways, std::ref(world), kFrames);
    const Blocks before;
    co_await io::with_group(send_both_ways, std::ref(world), kFrames);
    const Blocks after;
    blocks = {.small = after.small - before.small, .large = after.large - before.large};
    world.ours.reset();
    world.theirs.reset();
    world.dialling->close();
    world.listening->close();
}

Blocks blocks_of(Security security) {
    World world(security);
    auto listener = io::listen_tcp(world.loop, {.host = "127.0.0.1", .port = 0});
    REQUIRE(listener);
    world.listener = std::move(*listener);
    Blocks blocks;
    world.loop.run(io::with_group(measure, std::ref(world), std::ref(blocks)));
    MESSAGE(blocks.small, " small blocks and ", blocks.large, " larger ones");
    return blocks;
}

TEST_CASE("this program counts what is allocated") {
    const Blocks before;
    const auto small = std::make_unique<std::array<std::byte, kSmallBytes>>();
    const auto large = std::make_unique<std::array<std::byte, kSmallBytes + 1>>();
    CHECK(small != nullptr);
    CHECK(large != nullptr);
    CHECK(Blocks().small > before.small);
    CHECK(Blocks().large > before.large);
}

TEST_CASE("frames over Noise and TCP allocate nothing once a connection is warm") {
    const Blocks blocks = blocks_of(Security::noise);
    CHECK(blocks.small + blocks.large < kAllowed);
}

TEST_CASE("frames over TLS and TCP make OpenSSL alone allocate once a connection is warm") {
    const Blocks blocks = blocks_of(Security::tls);
    CHECK(blocks.small < 2 * kFrames * kRecordsPerFrame * kPartsPerRecord + kAllowed);
    CHECK(blocks.large < kAllowed);
}

}  // namespace
}  // namespace kwaai::p2p
