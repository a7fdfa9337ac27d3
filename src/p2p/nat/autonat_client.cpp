#include "p2p/nat/autonat_client.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/random.hpp"
#include "io/timeout.hpp"
#include "p2p/kad/address_scope.hpp"
#include "p2p/length_prefixed.hpp"
#include "p2p/nat/autonat_v1_wire.hpp"

namespace kwaai::p2p {
namespace v1 = autonat_v1;
namespace v2 = autonat_v2;

namespace {

constexpr std::uint64_t kDataSentBytes = 4000;  // at a time, so that the message is below 4096

}  // namespace

// While one is open, connections that peers open to us are remembered.
class AutonatClient::Question {
public:
    Question(AutonatClient& client, std::uint64_t nonce) : client_(client), nonce_(nonce) {
        ++client_.questions_;
        client_.nonces_[nonce_] = false;
    }

    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;

    ~Question() {
        client_.nonces_.erase(nonce_);
        if (--client_.questions_ == 0) client_.fresh_.clear();
    }

private:
    AutonatClient& client_;
    std::uint64_t nonce_;
};

AutonatClient::AutonatClient(Host& host,
                             io::Clock& clock,
                             AddressManager& addresses,
                             AutonatClientOptions options)
    : host_(host),
      clock_(clock),
      addresses_(addresses),
      options_(std::move(options)),
      asked_v1_(options_.limits),
      asked_v2_(options_.limits),
      v1_(options_.limits),
      v2_(options_.limits) {
    if (!options_.random) options_.random = crypto::fill_random;
    host_.handle(v2::kDialBackProtocol, [this](std::unique_ptr<Stream> stream) {
        return serve_dial_back(std::move(stream));
    });
    observing_ = host_.observe([this](const PeerInfo& info, ConnectionChange change) {
        if (change != ConnectionChange::opened || questions_ == 0 || !info.is_inbound) return;
        if (!info.connected || info.connected->is_relayed()) return;
        if (fresh_.size() < options_.limits.fresh_connections_max)
            fresh_.push_back(*info.connected);
        came_.notify_all();
    });
}

AutonatClient::~AutonatClient() {
    host_.stop_handling(v2::kDialBackProtocol);
}

bool AutonatClient::is_fresh(const Multiaddr& connection) const {
    return std::ranges::find(fresh_, connection) != fresh_.end();
}

io::Task<void> AutonatClient::run() {
    co_await io::with_group(&AutonatClient::run_both, std::ref(*this));
}

io::Task<void> AutonatClient::run_both(io::TaskGroup& group, AutonatClient& self) {
    group.spawn(&AutonatClient::run_v1, std::ref(self));
    group.spawn(&AutonatClient::run_v2, std::ref(self));
    co_return;
}

// Those that are reached directly: over a relay we would ask about the relay's address.
std::vector<PeerId> AutonatClient::servers(const std::string& protocol) const {
    std::vector<PeerId> all;
    for (const PeerInfo& info : host_.peers()) {
        if (!info.connected || info.connected->is_relayed()) continue;
        if (std::ranges::find(info.protocols, protocol) != info.protocols.end())
            all.push_back(info.peer);
    }
    return all;
}

// Servers put the IP that they see in place of ours: what counts is the ports. Nothing of this
// machine alone is told.
std::vector<Multiaddr> AutonatClient::asked_of_v1() const {
    std::vector<Multiaddr> all = addresses_.candidates();
    for (const Multiaddr& address : addresses_.told())
        if (!address.is_relayed() && kad::scope_of(address) >= kad::Scope::private_network &&
            std::ranges::find(all, address) == all.end())
            all.push_back(address);
    while (all.size() > v1::kAddressesMax)
        all.pop_back();
    return all;
}

io::Task<void> AutonatClient::run_v1() {
    co_await clock_.sleep_for(options_.limits.first_probe);
    while (true) {
        std::vector<Multiaddr> addresses = asked_of_v1();
        const io::TimePoint now = clock_.now();
        std::optional<PeerId> server;
        if (v1_.due() <= now && !addresses.empty())
            server = asked_v1_.choose(servers(v1::kProtocol), now);
        if (server) {
            asked_v1_.asked(*server, now);
            const auto answer = co_await ask_v1(*server, std::move(addresses));
            if (!answer && answer.error().code == Errc::unavailable)
                asked_v1_.refused(*server, clock_.now());
            if (answer) {
                v1_.answered(*answer, clock_.now());
                addresses_.set_node_verdict(v1_.verdict());
            }
        }
        co_await clock_.sleep_for(options_.limits.probe_pause);
    }
}

io::Task<void> AutonatClient::run_v2() {
    co_await clock_.sleep_for(options_.limits.first_probe);
    while (true) {
        const io::TimePoint now = clock_.now();
        const std::optional<Multiaddr> address = v2_.next(addresses_.candidates(), now);
        std::optional<PeerId> server;
        if (address) server = asked_v2_.choose(servers(v2::kDialProtocol), now);
        if (server) {
            asked_v2_.asked(*server, now);
            const auto answer = co_await ask_v2(*server, *address);
            if (!answer && answer.error().code == Errc::unavailable)
                asked_v2_.refused(*server, clock_.now());
            if (answer) {
                const Reachability verdict = v2_.answered(*address, *server, *answer, clock_.now());
                if (verdict != Reachability::unknown) addresses_.set_verdict(*address, verdict);
            }
        }
        co_await clock_.sleep_for(options_.limits.probe_pause);
    }
}

io::Task<Result<Reachability>> AutonatClient::ask_v1(PeerId server,
                                                     std::vector<Multiaddr> addresses) {
    auto asking = exchange_v1(std::move(server), std::move(addresses));
    auto answer = co_await io::with_timeout(clock_, options_.limits.ask_timeout, std::move(asking));
    co_return answer;
}

io::Task<Result<Reachability>> AutonatClient::exchange_v1(PeerId server,
                                                          std::vector<Multiaddr> addresses) {
    const Question question(*this, 0);
    const OpenOptions eager{.is_lazy = false, .timeout = options_.limits.ask_timeout};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host_.open(server, v1::kProtocol, eager));
    const v1::Dial dial{.peer = codec::to_buffer(host_.id().bytes()),
                        .addresses = std::move(addresses)};
    const codec::Buffer request = v1::encode(dial);
    KWAAI_CO_CHECKED(co_await write_length_prefixed(*stream, request));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(*stream, v1::kMessageBytesMax));
    stream->close();
    if (!bytes) co_return fail(Errc::closed, "autonat: no answer");
    KWAAI_CO_TRY(const v1::DialResponse response, v1::decode_response(*bytes));
    switch (response.status) {
        case v1::Status::ok: break;
        case v1::Status::dial_error: co_return Reachability::unreachable;
        case v1::Status::dial_refused:
        case v1::Status::bad_request:
        case v1::Status::internal_error:
            co_return fail(Errc::unavailable, "autonat: refused: " + response.text);
    }
    // Who dials has finished the handshakes before us.
    auto waiting = wait_for_connection();
    const bool has_come =
        co_await io::finishes_within(clock_, options_.limits.nonce_patience, std::move(waiting));
    co_return has_come ? Reachability::reachable : Reachability::unknown;
}

io::Task<void> AutonatClient::wait_for_connection() {
    while (fresh_.empty())
        co_await came_.wait();
}

io::Task<Result<Reachability>> AutonatClient::ask_v2(PeerId server, Multiaddr address) {
    std::array<std::byte, 8> bytes{};
    options_.random(bytes);
    std::uint64_t nonce = 0;
    for (const std::byte byte : bytes)
        nonce = nonce << 8 | std::to_integer<std::uint64_t>(byte);
    nonce |= 1;  // 0 stands for none
    const Question question(*this, nonce);
    auto asking = exchange_v2(std::move(server), std::move(address), nonce);
    auto answer = co_await io::with_timeout(clock_, options_.limits.ask_timeout, std::move(asking));
    co_return answer;
}

io::Task<Result<Reachability>> AutonatClient::exchange_v2(PeerId server,
                                                          Multiaddr address,
                                                          std::uint64_t nonce) {
    const OpenOptions eager{.is_lazy = false, .timeout = options_.limits.ask_timeout};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host_.open(server, v2::kDialProtocol, eager));
    KWAAI_CO_TRY(const v2::DialResponse response,
                 co_await converse_v2(*stream, std::move(address), nonce));
    stream->close();
    if (response.status != v2::Status::ok)
        co_return fail(Errc::unavailable,
                       "autonat: refused with status " +
                           std::to_string(static_cast<std::uint32_t>(response.status)));
    if (response.index != 0) co_return fail(Errc::malformed, "autonat: about no address of ours");
    if (response.dial_status == v2::DialStatus::ok) {
        auto waiting = wait_for_nonce(nonce);
        const bool is_back = co_await io::finishes_within(
            clock_, options_.limits.nonce_patience, std::move(waiting));
        static_cast<void>(is_back);
    }
    co_return v2_outcome(response, nonces_.at(nonce));
}

io::Task<Result<v2::DialResponse>> AutonatClient::converse_v2(Stream& stream,
                                                              Multiaddr address,
                                                              std::uint64_t nonce) {
    v2::DialRequest request{.addresses = {}, .nonce = nonce};
    request.addresses.emplace_back(std::move(address));
    const codec::Buffer first = v2::encode(request);
    KWAAI_CO_CHECKED(co_await write_length_prefixed(stream, first));
    bool has_paid = false;
    while (true) {
        KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                     co_await read_length_prefixed(stream, v2::kMessageBytesMax));
        if (!bytes) co_return fail(Errc::closed, "autonat: no answer");
        KWAAI_CO_TRY(const v2::Message message, v2::decode(*bytes));
        if (const auto* const response = std::get_if<v2::DialResponse>(&message))
            co_return *response;
        const auto* const demand = std::get_if<v2::DialDataRequest>(&message);
        if (demand == nullptr || demand->index != 0)
            co_return fail(Errc::malformed, "autonat: not an answer");
        if (has_paid || demand->bytes > v2::kDataBytesMax)
            co_return fail(Errc::limit_exceeded, "autonat: the server demands too much data");
        KWAAI_CO_CHECKED(co_await pay(stream, demand->bytes));
        has_paid = true;
    }
}

io::Task<Result<>> AutonatClient::pay(Stream& stream, std::uint64_t bytes) {
    while (bytes > 0) {
        const std::uint64_t count = std::min<std::uint64_t>(bytes, kDataSentBytes);
        const codec::Buffer part =
            v2::encode(v2::DialDataResponse{.bytes = static_cast<std::size_t>(count)});
        KWAAI_CO_CHECKED(co_await write_length_prefixed(stream, part));
        bytes -= count;
    }
    co_return Result<>();
}

io::Task<void> AutonatClient::wait_for_nonce(std::uint64_t nonce) {
    while (!nonces_.at(nonce))
        co_await came_.wait();
}

io::Task<void> AutonatClient::serve_dial_back(std::unique_ptr<Stream> stream) {
    auto taking = take_nonce(*stream);
    const Result<> taken =
        co_await io::with_timeout(clock_, options_.limits.nonce_patience, std::move(taking));
    if (taken)
        stream->close();
    else
        stream->reset(ResetCode::protocol_violation);
}

io::Task<Result<>> AutonatClient::take_nonce(Stream& stream) {
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(stream, v2::kDialBackBytesMax));
    if (!bytes) co_return fail(Errc::malformed, "autonat: no nonce");
    KWAAI_CO_TRY(const std::uint64_t nonce, v2::decode_dial_back(*bytes));
    const auto found = nonces_.find(nonce);
    if (nonce == 0 || found == nonces_.end())
        co_return fail(Errc::malformed, "autonat: a nonce that nobody waits for");
    // Over a connection that was there before, it would prove nothing.
    if (!is_fresh(stream.remote_address()))
        co_return fail(Errc::malformed, "autonat: a nonce over an old connection");
    found->second = true;
    came_.notify_all();
    const codec::Buffer answer = v2::encode_dial_back_response();
    Result<> sent = co_await write_length_prefixed(stream, answer);
    co_return sent;
}

}  // namespace kwaai::p2p
