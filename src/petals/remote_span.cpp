#include "petals/remote_span.hpp"

#include <utility>

#include "io/timeout.hpp"
#include "petals/metadata.hpp"
#include "petals/uuid.hpp"
#include "petals/wire.hpp"

namespace kwaai::petals {

namespace {

// What the relay of a limited connection to the peer grants.
std::string relay_limit_of(const p2p::Host& host, const p2p::PeerId& peer) {
    for (const p2p::PeerInfo& info : host.peers()) {
        if (info.peer != peer || !info.limit) continue;
        const auto granted = [](std::uint64_t amount, const char* unit) {
            return amount == 0 ? "any number of" + std::string(unit)
                               : std::to_string(amount) + unit;
        };
        const auto seconds = static_cast<std::uint64_t>(info.limit->duration.count());
        return " (over a relay that grants " + granted(info.limit->bytes, " bytes") +
               " each way and " + granted(seconds, " seconds") + ")";
    }
    return {};
}

}  // namespace

RemoteSpan::RemoteSpan(p2p::Host& host,
                       io::Clock& clock,
                       Hop hop,
                       std::uint32_t max_length,
                       std::uint32_t hidden,
                       RemoteSpanLimits limits,
                       std::unique_ptr<hivemind::CallStream> call)
    : host_(host),
      clock_(clock),
      hop_(std::move(hop)),
      max_length_(max_length),
      hidden_(hidden),
      limits_(limits),
      call_(std::move(call)),
      relay_limit_(relay_limit_of(host, hop_.server.peer)),
      session_id_(make_uuid()) {}

RemoteSpan::~RemoteSpan() = default;

io::Task<Result<std::unique_ptr<RemoteSpan>>> RemoteSpan::open(p2p::Host& host,
                                                               io::Clock& clock,
                                                               Hop hop,
                                                               std::uint32_t max_length,
                                                               std::uint32_t hidden,
                                                               RemoteSpanLimits limits) {
    auto opening = hivemind::open_call(host, hop.server.peer, kInferenceMethod, limits.rpc);
    auto call = co_await io::with_timeout(clock, limits.open_timeout, std::move(opening));
    if (!call) co_return forward_error(call);
    co_return std::unique_ptr<RemoteSpan>(
        new RemoteSpan(host, clock, std::move(hop), max_length, hidden, limits, std::move(*call)));
}

io::Task<Result<std::vector<float>>> RemoteSpan::step(std::uint32_t start,
                                                      std::span<const float> rows,
                                                      std::chrono::nanoseconds patience,
                                                      std::function<void()> on_sent) {
    auto exchanging = exchange(start, rows, std::move(on_sent));
    auto answer = co_await io::with_timeout(
        clock_, std::chrono::ceil<io::Duration>(patience), std::move(exchanging));
    if (!answer) answer.error().context += relay_limit_;
    co_return answer;
}

bool RemoteSpan::has_shorter_way() const {
    return !relay_limit_.empty() && host_.is_connected_directly(hop_.server.peer);
}

io::Task<Result<std::vector<float>>> RemoteSpan::exchange(std::uint32_t start,
                                                          std::span<const float> rows,
                                                          std::function<void()> on_sent) {
    KWAAI_CO_CHECKED(co_await send_step(start, rows));
    if (on_sent) on_sent();
    KWAAI_CO_TRY(const std::optional<codec::Buffer> message, co_await call_->receive());
    if (!message) co_return fail(Errc::closed, "the server ended the session without an answer");
    co_return read_answer(*message, rows.size() / hidden_);
}

io::Task<Result<>> RemoteSpan::send_step(std::uint32_t start, std::span<const float> rows) {
    SentStep step{.session_id = session_id_, .step_id = make_uuid()};
    if (steps_ == 0) step.max_length = max_length_;
    if (!hop_.server.is_stock) step.start_from_position = start;
    ++steps_;
    ExpertMessage request;
    request.uid = to_uids({.prefix = hop_.server.prefix, .range = hop_.range});
    const auto tokens = static_cast<std::uint32_t>(rows.size() / hidden_);
    request.tensors.push_back(hivemind::make_tensor({1, tokens, hidden_}, rows, limits_.rows));
    request.tensors.push_back(hivemind::make_dummy(hivemind::WireType::float32));
    request.tensors.push_back(hivemind::make_dummy(hivemind::WireType::int64));
    request.metadata = encode_step(step);
    const codec::Buffer message = encode_message(request);
    const Bytes bytes(message);
    Result<> sent = co_await call_->send(bytes);
    co_return sent;
}

Result<std::vector<float>> RemoteSpan::read_answer(Bytes message, std::size_t tokens) const {
    KWAAI_TRY(const ExpertMessage answer, decode_message(message));
    if (answer.tensors.size() != 1)
        return fail(Errc::malformed,
                    "the server answered with " + std::to_string(answer.tensors.size()) +
                        " tensors instead of one");
    const hivemind::WireTensor& tensor = answer.tensors.front();
    const std::vector<std::uint32_t> wanted{1, static_cast<std::uint32_t>(tokens), hidden_};
    if (tensor.shape != wanted) {
        std::string shape;
        for (const std::uint32_t extent : tensor.shape)
            shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
        return fail(Errc::malformed,
                    "the server answered with shape [" + shape + "] instead of [1, " +
                        std::to_string(tokens) + ", " + std::to_string(hidden_) + "]");
    }
    auto values = hivemind::float_values(tensor, {.is_finite_required = true});
    if (!values) return forward_error(values, "the server's answer");
    return std::move(*values);
}

io::Task<void> RemoteSpan::finish() {
    const Bytes nothing;
    const Result<> is_sent = co_await call_->send(nothing);
    if (!is_sent) co_return;
    const Result<> is_ended = co_await call_->end_requests();
    static_cast<void>(is_ended);
}

}  // namespace kwaai::petals
