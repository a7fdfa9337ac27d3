#include "petals/block_service.hpp"

#include <chrono>
#include <utility>

#include "io/timeout.hpp"
#include "petals/inference_call.hpp"
#include "petals/wire.hpp"

namespace kwaai::petals {
namespace {

// Stock clients wait longer for rpc_info.
constexpr std::chrono::seconds kDigestWait{5};

}  // namespace

// A session counts from its call's first moment to its last.
class BlockService::Admission {
public:
    Admission(BlockService& service, const p2p::PeerId& peer) : service_(service) {
        ++service.session_count_;
        place_ = service.sessions_of_.try_emplace(peer, 0).first;
        ++place_->second;
    }

    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;

    ~Admission() {
        --service_.session_count_;
        if (--place_->second == 0) service_.sessions_of_.erase(place_);
    }

private:
    BlockService& service_;
    std::map<p2p::PeerId, std::size_t>::iterator place_;
};

BlockService::BlockService(io::Loop& loop,
                           io::Clock& clock,
                           engine::BlockBackend& backend,
                           ServerOptions options,
                           std::function<void(const ServerEvent&)> on_event)
    : loop_(loop),
      clock_(clock),
      backend_(backend),
      options_(std::move(options)),
      on_event_(std::move(on_event)),
      served_{.prefix = options_.prefix,
              .range = backend.range(),
              .hidden = backend.config().hidden,
              .length_max = options_.limits.length_max,
              .batch_max = options_.limits.batch_max,
              .step_tokens_max = options_.limits.step_tokens_max},
      cache_(clock, backend) {}

void BlockService::set_digest(const ModelDigest& digest) {
    digest_ = digest;
    digest_came_.notify_all();
}

void BlockService::tell(ServerEvent::Kind kind, const p2p::PeerId& peer, std::string text) const {
    if (on_event_) on_event_({.kind = kind, .peer = peer.to_text(), .text = std::move(text)});
}

ServerInfo BlockService::describe() const {
    const engine::BlockBackendStats stats = backend_.stats();
    ServerInfo info;
    info.version = options_.version;
    info.cache_tokens_available = stats.kv_tokens_free * served_.range.count();
    info.schema_type = options_.rows;
    info.kwaai = KwaaiInfo{.prefix = served_.prefix,
                           .range = served_.range,
                           .digest = digest_,
                           .arithmetic_id = stats.arithmetic_id,
                           .rows = options_.rows};
    return info;
}

io::Task<Result<codec::Buffer>> BlockService::info(p2p::PeerId caller, codec::Buffer request) {
    static_cast<void>(caller);
    KWAAI_CO_TRY(const std::string uid, decode_uid(request));
    if (!uid.empty()) {
        KWAAI_CO_CHECKED(served_part(uid, served_));
        if (!digest_) {
            io::Task<void> coming = digest_came_.wait();
            co_await io::finishes_within(clock_, kDigestWait, std::move(coming));
        }
    }
    ServerInfo info = describe();
    if (!uid.empty()) info.schema_hidden = served_.hidden;
    co_return encode_info(encode_server_info(info));
}

Result<> BlockService::may_enter(const p2p::PeerId& peer) const {
    const ServerLimits& limits = options_.limits;
    if (session_count_ >= limits.sessions_max)
        return fail(Errc::limit_exceeded,
                    "this server serves " + std::to_string(limits.sessions_max) +
                        " sessions already; try again later");
    const auto own = sessions_of_.find(peer);
    if (own != sessions_of_.end() && own->second >= limits.sessions_per_peer_max)
        return fail(Errc::limit_exceeded,
                    "you have " + std::to_string(own->second) +
                        " sessions on this server already, which is the most it gives to a peer");
    return {};
}

io::Task<Result<>> BlockService::infer(hivemind::ServedCall& call) {
    Result<> entered = may_enter(call.caller());
    if (!entered) {
        tell(ServerEvent::Kind::refused, call.caller(), entered.error().context);
        co_return entered;
    }
    const Admission admission(*this, call.caller());
    InferenceCall session(*this, call);
    io::Task<Result<>> running = session.run();
    const std::chrono::seconds limit = options_.limits.session_timeout;
    Result<> outcome = co_await io::with_timeout(clock_, limit, std::move(running));
    if (!session.is_over())
        outcome = fail(Errc::timed_out,
                       "TimeoutError: a session may last " + std::to_string(limit.count()) + " s");
    co_return outcome;
}

}  // namespace kwaai::petals
