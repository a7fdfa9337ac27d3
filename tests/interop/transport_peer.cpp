// kwaai_transport_peer: this project's part in libp2p's own tests of transports between
// implementations. What to do stands in the environment, in the spelling of
// test-plans/transport-interop or of its successor unified-testing (peers/README.md).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <hiredis/hiredis.h>

#include "io/address.hpp"
#include "io/interfaces.hpp"
#include "io/loop.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "p2p/host.hpp"
#include "p2p/nat/address_parts.hpp"

namespace kwaai::interop {
namespace {

std::string variable(const char* name, const char* other, const char* fallback) {
    for (const char* one : {name, other})
        if (const char* const value = std::getenv(one)) return value;
    return fallback;
}

struct Plan {
    bool is_dialer = false;
    bool is_unified = false;  // the successor's test, with a key of its own
    std::string transport;
    std::string security;
    std::string muxer;
    std::string ip;
    std::string redis;
    std::string key;
    std::chrono::seconds patience{};
};

Result<Plan> read_plan() {
    Plan plan{.is_dialer = variable("is_dialer", "IS_DIALER", "false") == "true",
              .is_unified = std::getenv("TEST_KEY") != nullptr,
              .transport = variable("transport", "TRANSPORT", ""),
              .security = variable("security", "SECURE_CHANNEL", ""),
              .muxer = variable("muxer", "MUXER", ""),
              .ip = variable("ip", "LISTENER_IP", "0.0.0.0"),
              .redis = variable("redis_addr", "REDIS_ADDR", "redis:6379"),
              .key = "listenerAddr",
              .patience = std::chrono::seconds(
                  std::atoi(variable("test_timeout_seconds", "TEST_TIMEOUT_SECS", "180").c_str()))};
    if (plan.is_unified) plan.key = std::string(std::getenv("TEST_KEY")) + "_listener_multiaddr";
    const bool is_quic = plan.transport == "quic-v1";
    if (!is_quic && plan.transport != "tcp" && plan.transport != "ws")
        return fail(Errc::unsupported, "transport \"" + plan.transport + "\"; tcp, ws or quic-v1");
    if (!is_quic && plan.security != "noise" && plan.security != "tls")
        return fail(Errc::unsupported, "security \"" + plan.security + "\"; noise or tls");
    if (!is_quic && plan.muxer != "yamux")
        return fail(Errc::unsupported, "muxer \"" + plan.muxer + "\"; yamux");
    return plan;
}

// Where the listener tells the dialler its address.
class Blackboard {
public:
    static Result<Blackboard> open(const Plan& plan) {
        KWAAI_TRY(const io::Address address, io::parse_address(plan.redis));
        Blackboard board(redisConnect(address.host.c_str(), address.port), plan);
        if (board.context_ == nullptr || board.context_->err != 0)
            return fail(Errc::unavailable,
                        "Redis at " + plan.redis + ": " +
                            (board.context_ ? board.context_->errstr : "out of memory"));
        return board;
    }

    [[nodiscard]] Result<> tell(const std::string& address) {
        KWAAI_TRY(const auto told, ask({plan_.is_unified ? "SET" : "RPUSH", plan_.key, address}));
        static_cast<void>(told);
        return {};
    }

    /// Waits for it.
    [[nodiscard]] Result<std::string> learn() {
        const auto end = std::chrono::steady_clock::now() + plan_.patience;
        while (std::chrono::steady_clock::now() < end) {
            KWAAI_TRY(const auto address, ask({plan_.is_unified ? "GET" : "LPOP", plan_.key}));
            if (address) return *address;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        return fail(Errc::timed_out, "no listener told its address");
    }

private:
    Blackboard(redisContext* context, Plan plan)
        : context_(context, redisFree), plan_(std::move(plan)) {}

    // The string of the answer, where it is one.
    Result<std::optional<std::string>> ask(const std::vector<std::string>& words) {
        std::vector<const char*> starts;
        std::vector<std::size_t> sizes;
        for (const std::string& word : words) {
            starts.push_back(word.data());
            sizes.push_back(word.size());
        }
        const std::unique_ptr<redisReply, decltype(&freeReplyObject)> reply(
            static_cast<redisReply*>(redisCommandArgv(
                context_.get(), static_cast<int>(words.size()), starts.data(), sizes.data())),
            freeReplyObject);
        if (reply == nullptr)
            return fail(Errc::unavailable, std::string("Redis: ") + context_->errstr);
        if (reply->type == REDIS_REPLY_ERROR)
            return fail(Errc::unavailable, "Redis: " + std::string(reply->str, reply->len));
        if (reply->type != REDIS_REPLY_STRING) return std::nullopt;
        return std::string(reply->str, reply->len);
    }

    std::unique_ptr<redisContext, decltype(&redisFree)> context_;
    Plan plan_;
};

Result<p2p::Multiaddr> listen_address(const Plan& plan) {
    std::string text = "/ip4/" + plan.ip;
    text += plan.transport == "quic-v1" ? "/udp/0/quic-v1" : "/tcp/0";
    if (plan.transport == "ws") text += "/ws";
    return p2p::Multiaddr::parse(text);
}

p2p::Transport transport_of(const Plan& plan) {
    if (plan.transport == "quic-v1") return p2p::Transport::quic;
    return plan.transport == "ws" ? p2p::Transport::websocket : p2p::Transport::tcp;
}

// A port takes TCP and WebSocket alike. Not loopback, where there is another one.
Result<> tell_address(const p2p::Host& host, const Plan& plan, Blackboard& board) {
    std::vector<p2p::Multiaddr> all;
    for (const p2p::Multiaddr& address : host.addresses()) {
        if (address.target()->transport != transport_of(plan)) continue;
        for (p2p::Multiaddr& at : p2p::at_interfaces(address, io::interface_addresses))
            all.push_back(std::move(at));
    }
    if (all.empty()) return fail(Errc::unavailable, "it listens nowhere");
    const auto outside = std::ranges::find_if_not(all, &p2p::Multiaddr::is_loopback);
    return board.tell((outside == all.end() ? all.front() : *outside).to_text());
}

struct Times {
    double handshake_and_ping_ms = 0;
    double ping_ms = 0;
};

io::Task<Result<Times>> dial(p2p::Host& host, io::Clock& clock, p2p::Multiaddr listener) {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    const io::TimePoint begin = clock.now();
    KWAAI_CO_TRY(p2p::PeerId peer, co_await host.connect(std::move(listener)));
    KWAAI_CO_TRY(const std::chrono::nanoseconds ping, co_await host.ping(std::move(peer)));
    co_return Times{.handshake_and_ping_ms = Milliseconds(clock.now() - begin).count(),
                    .ping_ms = Milliseconds(ping).count()};
}

void print(const Plan& plan, const Times& times) {
    if (plan.is_unified)
        std::printf("latency:\n  handshake_plus_one_rtt: %.3f\n  ping_rtt: %.3f\n  unit: ms\n",
                    times.handshake_and_ping_ms,
                    times.ping_ms);
    else  // the name's three l are theirs
        std::printf("{\"handshakePlusOneRTTMillis\":%.3f,\"pingRTTMilllis\":%.3f}\n",
                    times.handshake_and_ping_ms,
                    times.ping_ms);
}

struct Job {
    p2p::Host& host;
    io::Clock& clock;
    const Plan& plan;
    std::optional<p2p::Multiaddr> listener;  // of a dialler
    Result<Times> times;
};

io::Task<void> attend(io::TaskGroup& group, Job& job) {
    group.spawn(&p2p::Host::run, std::ref(job.host));
    if (job.listener)
        job.times = co_await dial(job.host, job.clock, *job.listener);
    else
        co_await job.clock.sleep_for(job.plan.patience);
    job.host.close();
}

Result<> run() {
    KWAAI_TRY(const Plan plan, read_plan());
    KWAAI_TRY(Blackboard board, Blackboard::open(plan));
    KWAAI_TRY(crypto::PrivateKey key, crypto::PrivateKey::generate(crypto::KeyType::ed25519));
    io::Loop loop;
    io::TcpNetwork network(loop);
    p2p::HostOptions options{.identity = std::move(key), .limits = {}, .random = {}};
    options.securities = {plan.security == "tls" ? p2p::Security::tls : p2p::Security::noise};
    p2p::Host host(network, loop.clock(), std::move(options));
    Job job{.host = host, .clock = loop.clock(), .plan = plan, .listener = {}, .times = Times()};
    if (plan.is_dialer) {
        KWAAI_TRY(const std::string text, board.learn());
        KWAAI_TRY(job.listener, p2p::Multiaddr::parse(text));
    } else {
        KWAAI_TRY(const p2p::Multiaddr address, listen_address(plan));
        KWAAI_CHECKED(host.listen(address));
        KWAAI_CHECKED(tell_address(host, plan, board));
    }
    loop.run(io::with_group(attend, std::ref(job)));
    KWAAI_TRY(const Times times, std::move(job.times));
    if (plan.is_dialer) print(plan, times);
    return {};
}

}  // namespace
}  // namespace kwaai::interop

int main() {
    const kwaai::Result<> done = kwaai::interop::run();
    if (done) return 0;
    std::fprintf(stderr, "kwaai_transport_peer: %s\n", done.error().context.c_str());
    return 1;
}
