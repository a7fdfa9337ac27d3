#include "interop/peer_dialler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "crypto/hash.hpp"
#include "crypto/random.hpp"
#include "interop/peer_changes.hpp"
#include "interop/peer_kad.hpp"
#include "interop/peer_measure.hpp"
#include "interop/peer_services.hpp"
#include "io/event.hpp"
#include "io/read_exactly.hpp"
#include "io/task_group.hpp"
#include "io/timeout.hpp"
#include "json/writer.hpp"

namespace kwaai::interop {
namespace {

constexpr std::chrono::seconds kPatience{60};  // for any one thing
constexpr std::size_t kShortBytes = 5;         // of a small echo
constexpr std::chrono::milliseconds kPause{20};
constexpr std::size_t kStreamsBytes = 15'000'000;  // of all of `streams`
constexpr double kMib = 1 << 20;

double seconds(io::Duration time) {
    return std::chrono::duration<double>(time).count();
}

class Dialler {
public:
    Dialler(p2p::Host& host, io::Clock& clock, const DialFlags& flags)
        : host_(host), clock_(clock), flags_(flags) {
        out_.begin_object().member("impl", std::string_view("kwaai"));
    }

    io::Task<void> try_all(p2p::Multiaddr target);
    std::string take_report();
    void note_failure(std::string what, std::string why);

private:
    void note_times(const std::string& name, std::vector<double> milliseconds);
    io::Task<void> attempt(std::string what, io::Task<Result<>> action);

    io::Task<Result<>> first_bytes(p2p::Multiaddr target);
    io::Task<Result<double>> first_byte(p2p::Multiaddr target, double& dial_ms);
    io::Task<Result<>> connect(p2p::Multiaddr target);
    io::Task<Result<>> wait_for_direct();
    io::Task<Result<>> pings();
    io::Task<Result<double>> echo_of(Bytes sent);
    io::Task<Result<double>> echo_over(p2p::Stream& stream, Bytes sent);
    io::Task<Result<>> echo();
    io::Task<Result<>> small_echo();
    io::Task<Result<>> streams();
    io::Task<void> one_stream(p2p::Stream& stream, unsigned index, Result<>& all);
    static io::Task<void> all_streams(io::TaskGroup& group,
                                      Dialler& dialler,
                                      const std::vector<std::unique_ptr<p2p::Stream>>& streams,
                                      Result<>& all);
    io::Task<Result<>> resets();
    io::Task<Result<>> requests();
    io::Task<Result<>> perf(std::string name, std::uint64_t up, std::uint64_t down);

    p2p::Host& host_;
    io::Clock& clock_;
    const DialFlags& flags_;
    json::Writer out_;
    std::vector<std::pair<std::string, std::string>> failures_;
    std::optional<p2p::PeerId> peer_;  // once connected
};

// Both directions of a stream at the same time: bytes out, then the end; all that comes in.
struct Exchange {
    explicit Exchange(p2p::Stream& over) : stream(over) {}

    p2p::Stream& stream;
    Bytes sent;
    std::uint64_t end_after = 0;  // that many bytes came; then nothing more is read
    Result<> is_sent;
    Result<> is_received;
    bool is_receiving = true;
    std::uint64_t received = 0;
    std::optional<crypto::Sha256> hash;  // of what came, where it is wanted
    io::Event progressed;
};

io::Task<Result<>> send_and_end(Exchange& exchange) {
    KWAAI_CO_CHECKED(co_await exchange.stream.write(exchange.sent));
    while (exchange.is_receiving && exchange.received < exchange.end_after)
        co_await exchange.progressed.wait();
    Result<> ended = co_await exchange.stream.shutdown_write();
    co_return ended;
}

io::Task<void> send_side(Exchange& exchange) {
    exchange.is_sent = co_await send_and_end(exchange);
}

io::Task<Result<>> receive_all(Exchange& exchange) {
    std::vector<std::byte> buffer(256 << 10);
    const MutableBytes space(buffer);
    while (true) {
        KWAAI_CO_TRY(const std::size_t count, co_await exchange.stream.read_some(space));
        if (count == 0) co_return Result<>();
        exchange.received += count;
        if (exchange.hash) exchange.hash->update(space.first(count));
        exchange.progressed.notify_all();
        // A peer that needs end_after resets what has half-closed.
        if (exchange.end_after > 0 && exchange.received >= exchange.end_after) co_return Result<>();
    }
}

io::Task<void> both_sides(io::TaskGroup& group, Exchange& exchange) {
    group.spawn(send_side, std::ref(exchange));
    exchange.is_received = co_await receive_all(exchange);
    exchange.is_receiving = false;
    exchange.progressed.notify_all();
}

io::Task<Result<>> run_exchange(Exchange& exchange) {
    co_await io::with_group(both_sides, std::ref(exchange));
    if (!exchange.is_received)
        co_return forward_error(exchange.is_received,
                                "after " + std::to_string(exchange.received) + " bytes");
    if (!exchange.is_sent) co_return forward_error(exchange.is_sent, "sending");
    exchange.stream.close();
    co_return Result<>();
}

void Dialler::note_failure(std::string what, std::string why) {
    failures_.emplace_back(std::move(what), std::move(why));
}

void Dialler::note_times(const std::string& name, std::vector<double> milliseconds) {
    if (milliseconds.empty()) return;
    std::ranges::sort(milliseconds);
    out_.member(name + "_min", milliseconds.front());
    out_.member(name + "_median", milliseconds[milliseconds.size() / 2]);
}

io::Task<void> Dialler::attempt(std::string what, io::Task<Result<>> action) {
    const Result<> done = co_await io::with_timeout(clock_, kPatience, std::move(action));
    if (!done) note_failure(std::move(what), done.error().context);
}

io::Task<Result<double>> Dialler::first_byte(p2p::Multiaddr target, double& dial_ms) {
    const io::TimePoint begin = clock_.now();
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await host_.connect(std::move(target)));
    dial_ms = 1000 * seconds(clock_.now() - begin);
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> stream,
                 co_await host_.open(peer, kEchoProtocol));
    std::array<std::byte, 1> one{};
    const Bytes sent(one);
    KWAAI_CO_CHECKED(co_await stream->write(sent));
    const MutableBytes space(one);
    KWAAI_CO_CHECKED(co_await io::read_exactly(*stream, space));
    const io::Duration took = clock_.now() - begin;
    stream->close();
    host_.disconnect(peer);
    while (host_.is_connected(peer))
        co_await clock_.sleep_for(kPause);
    co_await clock_.sleep_for(kPause);
    co_return 1000 * seconds(took);
}

// From nothing to the first byte of an answer, over a new connection each time.
io::Task<Result<>> Dialler::first_bytes(p2p::Multiaddr target) {
    std::vector<double> dials;
    std::vector<double> firsts;
    for (unsigned i = 0; i < flags_.first_bytes; ++i) {
        double dial_ms = 0;
        KWAAI_CO_TRY(const double first_ms, co_await first_byte(target, dial_ms));
        dials.push_back(dial_ms);
        firsts.push_back(first_ms);
    }
    note_times("handshake_ms", std::move(dials));
    note_times("first_byte_ms", std::move(firsts));
    co_return Result<>();
}

io::Task<Result<>> Dialler::connect(p2p::Multiaddr target) {
    const io::TimePoint begin = clock_.now();
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await host_.connect(std::move(target)));
    out_.member("connect_ms", 1000 * seconds(clock_.now() - begin));
    peer_ = peer;
    KWAAI_CO_TRY(const p2p::PeerInfo info, co_await host_.identify(peer));
    out_.member("agent", info.agent).key("protocols").begin_array();
    for (const std::string& protocol : info.protocols)
        out_.value(protocol);
    out_.end().member("signed_record", info.is_record_signed);
    if (info.observed) out_.member("observed", info.observed->to_text());
    if (info.connected) out_.member("remote", info.connected->to_text());
    out_.member("limited", info.limit.has_value());
    out_.key("addresses").begin_array();
    for (const p2p::Multiaddr& address : info.addresses)
        out_.value(address.to_text());
    out_.end();
    co_return Result<>();
}

// Where that leads; empty where the connection stays relayed.
io::Task<Result<>> Dialler::wait_for_direct() {
    std::string place;
    for (int i = 0; i < 300 && place.empty(); ++i) {
        for (const p2p::PeerInfo& info : host_.peers())
            if (info.peer == *peer_ && info.connected && !info.connected->is_relayed())
                place = info.connected->to_text();
        co_await clock_.sleep_for(std::chrono::milliseconds(100));
    }
    out_.member("direct", std::string_view(place));
    co_return Result<>();
}

io::Task<Result<>> Dialler::pings() {
    std::vector<double> times;
    for (unsigned i = 0; i < flags_.pings; ++i) {
        KWAAI_CO_TRY(const std::chrono::nanoseconds time, co_await host_.ping(*peer_));
        times.push_back(1000 * seconds(time));
    }
    out_.member("pings", times.size());
    note_times("ping_ms", std::move(times));
    co_return Result<>();
}

// The bytes there and back. How long that took.
io::Task<Result<double>> Dialler::echo_of(Bytes sent) {
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> stream,
                 co_await host_.open(*peer_, kEchoProtocol));
    Result<double> took = co_await echo_over(*stream, sent);
    co_return took;
}

io::Task<Result<double>> Dialler::echo_over(p2p::Stream& stream, Bytes sent) {
    Exchange exchange(stream);
    exchange.sent = sent;
    exchange.hash.emplace();
    if (flags_.ends_last || (flags_.short_ends_last && sent.size() <= kShortBytes))
        exchange.end_after = sent.size();
    const io::TimePoint begin = clock_.now();
    KWAAI_CO_CHECKED(co_await run_exchange(exchange));
    const double took = seconds(clock_.now() - begin);
    if (exchange.received != sent.size())
        co_return fail(Errc::malformed,
                       std::to_string(exchange.received) + " bytes of " +
                           std::to_string(sent.size()) + " came back");
    if (exchange.hash->finish() != crypto::sha256(sent))
        co_return fail(Errc::malformed, "other bytes came back");
    co_return took;
}

io::Task<Result<>> Dialler::echo() {
    std::vector<std::byte> bytes(std::size_t{flags_.echo_mib} << 20);
    crypto::fill_random(bytes);
    const Bytes sent(bytes);
    KWAAI_CO_TRY(const double took, co_await echo_of(sent));
    out_.member("echo_ok", true);
    // Or the peer would not have ended its side.
    if (!flags_.ends_last) out_.member("half_close_seen", true);
    out_.member("echo_mib_s", flags_.echo_mib / took);
    co_return Result<>();
}

// A few bytes and the end at once: what leaves must not be one flight for js-libp2p.
io::Task<Result<>> Dialler::small_echo() {
    const std::array<std::byte, kShortBytes> bytes{};
    const Bytes sent(bytes);
    KWAAI_CO_CHECKED(co_await echo_of(sent));
    co_return Result<>();
}

io::Task<void> Dialler::one_stream(p2p::Stream& stream, unsigned index, Result<>& all) {
    const std::vector<std::byte> bytes(kStreamsBytes / flags_.streams,
                                       static_cast<std::byte>(index));
    const Bytes sent(bytes);
    Result<double> took = co_await echo_over(stream, sent);
    if (!took) all = forward_error(took, "stream " + std::to_string(index));
}

io::Task<void> Dialler::all_streams(io::TaskGroup& group,
                                    Dialler& dialler,
                                    const std::vector<std::unique_ptr<p2p::Stream>>& streams,
                                    Result<>& all) {
    for (unsigned i = 0; i < streams.size(); ++i)
        group.spawn(
            &Dialler::one_stream, std::ref(dialler), std::ref(*streams[i]), i, std::ref(all));
    co_return;
}

// Many beside each other, each with its own bytes, once all are open.
io::Task<Result<>> Dialler::streams() {
    // The peer does not hear of a lazy one before the first write, and acknowledges none.
    const p2p::OpenOptions eager{.is_lazy = false};
    std::vector<std::unique_ptr<p2p::Stream>> opened;
    for (unsigned i = 0; i < flags_.streams; ++i) {
        KWAAI_CO_TRY(std::unique_ptr<p2p::Stream> stream,
                     co_await host_.open(*peer_, kEchoProtocol, eager));
        opened.push_back(std::move(stream));
    }
    Result<> all;
    co_await io::with_group(
        &Dialler::all_streams, std::ref(*this), std::cref(opened), std::ref(all));
    if (all) out_.member("streams", flags_.streams);
    co_return all;
}

io::Task<Result<>> Dialler::resets() {
    std::array<std::byte, 1> one{};
    const Bytes sent(one);
    const MutableBytes space(one);
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> theirs,
                 co_await host_.open(*peer_, kResetProtocol));
    KWAAI_CO_CHECKED(co_await theirs->write(sent));
    const auto end = co_await theirs->read_some(space);
    out_.member("reset_seen", !end.has_value() && host_.is_connected(*peer_));
    // And the other way: our reset ends that stream alone.
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> ours,
                 co_await host_.open(*peer_, kEchoProtocol));
    KWAAI_CO_CHECKED(co_await ours->write(sent));
    ours->reset(p2p::ResetCode::none);
    Result<> after = co_await small_echo();
    co_return after;
}

io::Task<Result<>> Dialler::requests() {
    KWAAI_CO_TRY(std::vector<double> times,
                 co_await measure_requests(host_, clock_, *peer_, flags_.requests));
    std::ranges::sort(times);
    out_.member("request_us_p50", times[times.size() / 2]);
    out_.member("request_us_p99", times[times.size() * 99 / 100]);
    co_return Result<>();
}

io::Task<Result<>> Dialler::perf(std::string name, std::uint64_t up, std::uint64_t down) {
    const PerfStreams wanted{
        .count = flags_.perf_streams, .upload_bytes = up, .download_bytes = down};
    KWAAI_CO_TRY(const double took, co_await measure_streams(host_, clock_, *peer_, wanted));
    out_.member(name, static_cast<double>(up + down) / kMib / took);
    co_return Result<>();
}

io::Task<void> Dialler::try_all(p2p::Multiaddr target) {
    if (flags_.first_bytes > 0) {
        auto measuring = first_bytes(target);
        co_await attempt("first bytes", std::move(measuring));
    }
    auto connecting = connect(std::move(target));
    co_await attempt("connect", std::move(connecting));
    if (!peer_) co_return;
    if (flags_.waits_for_direct) {
        auto waiting = wait_for_direct();
        co_await attempt("direct connection", std::move(waiting));
    }
    auto pinging = pings();
    co_await attempt("ping", std::move(pinging));
    if (flags_.echo_mib > 0) {
        auto small = small_echo();
        co_await attempt("small echo", std::move(small));
        auto large = echo();
        co_await attempt("echo", std::move(large));
    }
    if (flags_.streams > 0) {
        auto beside = streams();
        co_await attempt("streams", std::move(beside));
    }
    if (flags_.tries_resets) {
        auto resetting = resets();
        co_await attempt("reset", std::move(resetting));
    }
    if (flags_.table != nullptr && !flags_.kad_peer.empty()) {
        auto looking = look_in_table(*flags_.table, flags_.address, flags_.kad_peer, out_);
        co_await attempt("kad", std::move(looking));
    }
    if (flags_.requests > 0) {
        auto requesting = requests();
        co_await attempt("requests", std::move(requesting));
    }
    const std::uint64_t perf_bytes = std::uint64_t{flags_.perf_mib} << 20;
    if (perf_bytes > 0) {
        auto up = perf("perf_up_mib_s", perf_bytes, 0);
        co_await attempt("perf up", std::move(up));
        auto down = perf("perf_down_mib_s", 0, perf_bytes);
        co_await attempt("perf down", std::move(down));
    }
    if (!flags_.sees_changes) co_return;
    auto coming = see_news(host_, clock_, *peer_, out_);
    co_await attempt("news", std::move(coming));
    auto leaving = see_leave(host_, clock_, *peer_, out_);
    co_await attempt("leaving", std::move(leaving));
}

std::string Dialler::take_report() {
    out_.key("failures").begin_object();
    for (const auto& [what, why] : failures_)
        out_.member(what, why);
    out_.end().end();
    return out_.take();
}

}  // namespace

io::Task<std::string> dial_and_try(p2p::Host& host, io::Clock& clock, DialFlags flags) {
    Dialler dialler(host, clock, flags);
    auto target = p2p::Multiaddr::parse(flags.address);
    if (target)
        co_await dialler.try_all(std::move(*target));
    else
        dialler.note_failure("connect", target.error().context);
    co_return dialler.take_report();
}

}  // namespace kwaai::interop
