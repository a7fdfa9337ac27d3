// kwaai_p2p_load: one side of a load test: a listener, many dialers in one process, a peer that
// measures pings, or one that attacks. run.py starts them and reads their lines.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/resource.h>

#include "io/loop.hpp"
#include "io/signals.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "load/attacks.hpp"
#include "p2p/host.hpp"

namespace kwaai::load {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHold = "/hold/1.0.0";
constexpr std::size_t kDialsAtOnce = 16;

struct Flags {
    std::string mode;
    std::string address;
    std::size_t connections = 100;
    std::size_t streams = 0;  // of each connection
    std::size_t memory_mib = 0;
    int seconds = 10;
    bool is_default = false;
};

/// What a listener takes that is to hold so much.
p2p::Limits listener_limits(const Flags& flags) {
    p2p::Limits limits;
    if (flags.memory_mib > 0) limits.memory_max = flags.memory_mib << 20;
    if (flags.is_default) return limits;
    const std::size_t connections = flags.connections + 100;
    const std::size_t streams = connections * (flags.streams + 4);
    limits.connections_max = limits.connections_inbound_max = connections;
    limits.connections_low = limits.connections_high = connections;
    limits.descriptors_max = 2 * connections;
    limits.streams_max = limits.streams_per_protocol_max = streams;
    limits.streams_pending_max = streams;
    limits.identifies_max = connections;
    limits.memory_max =
        std::max(limits.memory_max,
                 2 * connections * limits.connection_bytes + 2 * streams * limits.stream_bytes);
    return limits;
}

// As many descriptors as the machine's administrator allows.
void raise_descriptors() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    std::fprintf(stderr, "descriptors: %llu\n", static_cast<unsigned long long>(limit.rlim_cur));
}

/// Says back what comes first, then holds the stream until the peer ends it.
io::Task<void> hold(std::unique_ptr<p2p::Stream> stream) {
    std::array<std::byte, 16> buffer{};
    while (true) {
        const auto count = co_await stream->read_some(buffer);
        if (!count || *count == 0) co_return;
        const Bytes bytes = std::span(buffer).first(*count);
        const Result<> written = co_await stream->write(bytes);
        if (!written) co_return;
    }
}

io::Task<void> report(p2p::Host& host, io::Clock& clock) {
    while (true) {
        const p2p::ResourceUse& use = host.resources();
        std::printf("%zu connections %zu streams %zu accounted\n",
                    use.connections(),
                    use.streams_inbound + use.streams_outbound,
                    use.memory_bytes);
        std::fflush(stdout);
        co_await clock.sleep_for(500ms);
    }
}

io::Task<void> listen_until_signal(io::TaskGroup& group, io::Loop& loop, p2p::Host& host) {
    group.spawn(&p2p::Host::run, std::ref(host));
    std::printf("%s\n", host.addresses().front().to_text().c_str());
    group.spawn(report, std::ref(host), std::ref(loop.clock()));
    io::Signals signals(loop);
    co_await signals.next();
    group.cancel();
}

std::unique_ptr<p2p::Host> make_host(io::TcpNetwork& network,
                                     io::Clock& clock,
                                     const p2p::Limits& limits) {
    crypto::PrivateKey identity = crypto::PrivateKey::generate(crypto::KeyType::ed25519).value();
    return std::make_unique<p2p::Host>(
        network, clock, p2p::HostOptions{.identity = std::move(identity), .limits = limits});
}

struct Dialers {
    std::vector<std::unique_ptr<p2p::Host>> hosts;
    std::vector<std::unique_ptr<p2p::Stream>> streams;
    std::size_t next = 0;
    std::size_t connected = 0;
    std::size_t failed = 0;
};

io::Task<Result<>> dial_one(p2p::Host& host,
                            p2p::Multiaddr address,
                            std::size_t streams,
                            Dialers& all) {
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await host.connect(address));
    ++all.connected;
    for (std::size_t i = 0; i < streams; ++i) {
        KWAAI_CO_TRY(std::unique_ptr<p2p::Stream> stream, co_await host.open(peer, kHold));
        std::array<std::byte, 1> byte{};
        const Bytes bytes(byte);
        KWAAI_CO_CHECKED(co_await stream->write(bytes));
        KWAAI_CO_TRY(const std::size_t count, co_await stream->read_some(byte));
        if (count == 0) co_return fail(Errc::closed, "the stream ended");
        all.streams.push_back(std::move(stream));
    }
    co_return Result<>();
}

io::Task<void> dial_some(Dialers& all, p2p::Multiaddr address, std::size_t streams) {
    while (all.next < all.hosts.size()) {
        p2p::Host& host = *all.hosts[all.next++];
        const Result<> done = co_await dial_one(host, address, streams, all);
        if (done) continue;
        if (++all.failed < 10) std::fprintf(stderr, "dial: %s\n", done.error().context.c_str());
    }
}

io::Task<void> dial_all(io::TaskGroup& group,
                        Dialers& all,
                        p2p::Multiaddr address,
                        std::size_t streams) {
    for (std::size_t i = 0; i < kDialsAtOnce; ++i)
        group.spawn(dial_some, std::ref(all), address, streams);
    co_return;
}

io::Task<void> dial_until_signal(
    io::TaskGroup& group, io::Loop& loop, io::TcpNetwork& network, Dialers& all, Flags flags) {
    const p2p::Multiaddr address = p2p::Multiaddr::parse(flags.address).value();
    for (std::size_t i = 0; i < flags.connections; ++i) {
        all.hosts.push_back(make_host(network, loop.clock(), p2p::Limits()));
        group.spawn(&p2p::Host::run, std::ref(*all.hosts.back()));
    }
    co_await io::with_group(dial_all, std::ref(all), address, flags.streams);
    std::printf("held %zu connections %zu streams %zu failed\n",
                all.connected,
                all.streams.size(),
                all.failed);
    std::fflush(stdout);
    io::Signals signals(loop);
    co_await signals.next();
    std::_Exit(0);  // the listener sees ten thousand connections break at once
}

io::Task<void> ping_for(io::TaskGroup& group, io::Loop& loop, p2p::Host& host, Flags flags) {
    group.spawn(&p2p::Host::run, std::ref(host));
    const p2p::Multiaddr address = p2p::Multiaddr::parse(flags.address).value();
    const io::TimePoint end = loop.clock().now() + std::chrono::seconds(flags.seconds);
    std::vector<double> milliseconds;
    std::size_t failed = 0;
    while (loop.clock().now() < end) {
        // A new connection each time, so that being admitted is part of it.
        const io::TimePoint begin = loop.clock().now();
        const auto peer = co_await host.connect_again(address);
        std::optional<Result<std::chrono::nanoseconds>> time;
        if (peer) time = co_await host.ping(*peer);
        const std::chrono::duration<double, std::milli> took = loop.clock().now() - begin;
        if (time && *time)
            milliseconds.push_back(took.count());
        else
            ++failed;
        if (peer) host.disconnect(*peer);
        co_await loop.clock().sleep_for(100ms);
    }
    std::ranges::sort(milliseconds);
    const auto at = [&](double share) {
        if (milliseconds.empty()) return 0.0;
        return milliseconds[static_cast<std::size_t>(share *
                                                     static_cast<double>(milliseconds.size() - 1))];
    };
    std::printf("served %zu failed %zu p50 %.1f ms p99 %.1f ms\n",
                milliseconds.size(),
                failed,
                at(0.5),
                at(0.99));
    std::fflush(stdout);
    host.close();
}

Result<> listen(const Flags& flags) {
    io::Loop loop;
    io::TcpNetwork network(loop);
    const auto host = make_host(network, loop.clock(), listener_limits(flags));
    host->handle(kHold, hold);
    KWAAI_TRY(const p2p::Multiaddr address, p2p::Multiaddr::parse("/ip4/127.0.0.1/tcp/0"));
    KWAAI_CHECKED(host->listen(address));
    loop.run(io::with_group(listen_until_signal, std::ref(loop), std::ref(*host)));
    return {};
}

Result<> run(const Flags& flags) {
    raise_descriptors();
    if (flags.mode == "listen") return listen(flags);
    io::Loop loop;
    io::TcpNetwork network(loop);
    if (flags.mode == "dial") {
        Dialers all;
        loop.run(io::with_group(
            dial_until_signal, std::ref(loop), std::ref(network), std::ref(all), flags));
    } else if (flags.mode == "ping") {
        const auto host = make_host(network, loop.clock(), p2p::Limits());
        loop.run(io::with_group(ping_for, std::ref(loop), std::ref(*host), flags));
    } else {
        KWAAI_TRY(const p2p::Multiaddr address, p2p::Multiaddr::parse(flags.address));
        loop.run(attack(loop, address, flags.mode));
    }
    return {};
}

}  // namespace
}  // namespace kwaai::load

int main(int argc, char** argv) {
    CLI::App app("one side of a load test");
    kwaai::load::Flags flags;
    app.add_option("mode", flags.mode, "listen, dial, ping, or a kind of attack")->required();
    app.add_option("address", flags.address, "of the listener");
    app.add_option("--connections", flags.connections, "to hold");
    app.add_option("--streams", flags.streams, "to hold on each connection");
    app.add_option("--memory-mib", flags.memory_mib, "the listener's budget");
    app.add_option("--seconds", flags.seconds, "for which pings are measured");
    app.add_flag("--default-limits", flags.is_default, "listen as any host does");
    CLI11_PARSE(app, argc, argv);
    const kwaai::Result<> done = kwaai::load::run(flags);
    if (done) return 0;
    std::fprintf(stderr, "kwaai_p2p_load: %s\n", done.error().context.c_str());
    return 1;
}
