#include "petals/session.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::petals {
namespace {

using namespace std::chrono_literals;

// Patience with a server whose pace is not known yet: connection, first use of its cache, a row.
constexpr std::chrono::nanoseconds kPatienceUnknown = 3s;
constexpr std::chrono::nanoseconds kPatienceUnknownRow = 50ms;
constexpr int kPatienceFactor = 8;  // times the usual answer before a server counts as stopped
constexpr io::Duration kPauseFirst = 250ms;
constexpr io::Duration kPauseMax = 4s;

std::string milliseconds_text(io::Duration duration) {
    const auto tenths =
        std::chrono::duration_cast<std::chrono::microseconds>(duration).count() / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

std::string blocks_text(inference::BlockRange range) {
    return "blocks " + std::to_string(range.begin) + ":" + std::to_string(range.end);
}

}  // namespace

InferenceSession::InferenceSession(Parts parts) : parts_(std::move(parts)) {}

InferenceSession::~InferenceSession() = default;

std::uint32_t InferenceSession::positions(const Stretch& stretch) const {
    return static_cast<std::uint32_t>(stretch.inputs.size() / parts_.hidden);
}

void InferenceSession::tell(SessionEvent::Kind kind, std::string text) const {
    if (parts_.on_event) parts_.on_event({.kind = kind, .text = std::move(text)});
}

io::Task<Result<std::vector<float>>> InferenceSession::step(std::vector<float> rows) {
    const std::size_t hidden = parts_.hidden;
    const auto tokens = static_cast<std::uint32_t>(rows.size() / hidden);
    const std::uint32_t end = length_ + tokens;
    if (end > parts_.max_length)
        co_return fail(Errc::limit_exceeded,
                       "the text would have " + std::to_string(end) + " positions of " +
                           std::to_string(parts_.max_length));
    if (stretches_.empty()) {
        KWAAI_CO_CHECKED(plan());
    }
    std::size_t index = 0;
    while (index < stretches_.size()) {
        std::vector<float>& inputs = stretches_[index].inputs;
        inputs.insert(inputs.end(), rows.begin(), rows.end());
        rows.clear();
        auto out = co_await advance(index);
        if (!out) {
            KWAAI_CO_CHECKED(co_await replace(index, std::move(out).error()));
            continue;
        }
        ++index;
        const std::uint32_t known =
            index < stretches_.size() ? positions(stretches_[index]) : length_;
        const std::size_t wanted = std::size_t{end - known} * hidden;
        rows.assign(out->end() - static_cast<std::ptrdiff_t>(wanted), out->end());
    }
    length_ = end;
    outage_began_.reset();
    failures_ = 0;
    co_return rows;
}

Result<> InferenceSession::plan() {
    KWAAI_TRY(std::vector<Hop> hops,
              parts_.routes.choose({0, parts_.block_count}, parts_.clock.now(), true));
    for (Hop& hop : hops)
        stretches_.push_back({.hop = std::move(hop)});
    return {};
}

io::Task<Result<>> InferenceSession::open(std::size_t index) {
    Hop hop = stretches_[index].hop;
    auto span = co_await RemoteSpan::open(parts_.host,
                                          parts_.clock,
                                          std::move(hop),
                                          parts_.max_length,
                                          parts_.hidden,
                                          parts_.limits.span);
    if (!span) co_return forward_error(span);
    stretches_[index].span = std::move(*span);
    stretches_[index].sent = 0;
    co_return Result<>();
}

// The way over a relay may end any time: where there is a direct one, the text is sent again there.
void InferenceSession::leave_relay(Stretch& stretch) {
    if (stretch.span == nullptr || !stretch.span->has_shorter_way()) return;
    stretch.span.reset();
    stretch.sent = 0;
    tell(SessionEvent::Kind::met,
         stretch.hop.server.peer.short_text() + " is reached directly from here on");
}

// Sends what the server does not have yet; gives its rows for all of that.
io::Task<Result<std::vector<float>>> InferenceSession::advance(std::size_t index) {
    leave_relay(stretches_[index]);
    if (stretches_[index].span == nullptr) {
        KWAAI_CO_CHECKED(co_await open(index));
    }
    const std::size_t hidden = parts_.hidden;
    std::vector<float> all;
    while (true) {
        Stretch& stretch = stretches_[index];
        const std::uint32_t begin = stretch.sent;
        const std::uint32_t end = std::min(positions(stretch), begin + parts_.limits.chunk_rows);
        if (begin == end) break;
        const std::span<const float> rows =
            std::span(stretch.inputs).subspan(begin * hidden, (end - begin) * hidden);
        const std::chrono::nanoseconds limit = patience(stretch, end - begin);
        const io::TimePoint started = parts_.clock.now();
        auto out = co_await stretch.span->step(begin, rows, limit, parts_.on_sent);
        if (!out) co_return forward_error(out);
        Stretch& same = stretches_[index];
        same.sent = end;
        same.last_step = parts_.clock.now() - started;
        std::optional<io::Duration> of_a_row;
        if (end - begin == 1) of_a_row = same.last_step;
        parts_.routes.answered(same.hop.server.peer, of_a_row);
        if (all.empty())
            all = std::move(*out);
        else
            all.insert(all.end(), out->begin(), out->end());
    }
    co_return all;
}

std::chrono::nanoseconds InferenceSession::patience(const Stretch& stretch,
                                                    std::uint32_t tokens) const {
    const RemoteSpanLimits& limits = parts_.limits.span;
    const p2p::PeerId& peer = stretch.hop.server.peer;
    const auto usual = parts_.routes.answer_time(peer);
    const std::chrono::nanoseconds expected =
        usual ? std::chrono::nanoseconds(*usual * kPatienceFactor + *usual * tokens)
              : kPatienceUnknown + kPatienceUnknownRow * tokens;
    const std::chrono::nanoseconds patient =
        std::max<std::chrono::nanoseconds>(expected, limits.patience_min);
    if (parts_.routes.has_alternative(peer, stretch.hop.range, parts_.clock.now())) return patient;
    return std::max<std::chrono::nanoseconds>(patient, limits.step_timeout);
}

// Finds others for a stretch whose server has failed. Where there are none, the same ones are tried
// again after a pause, until the outage has lasted too long.
io::Task<Result<>> InferenceSession::replace(std::size_t index, Error why) {
    const io::TimePoint now = parts_.clock.now();
    if (!outage_began_) outage_began_ = now;
    Stretch& failed = stretches_[index];
    failed.span.reset();
    failed.sent = 0;
    const Hop hop = failed.hop;
    parts_.routes.failed(hop.server.peer, why.context, now);
    ++failures_;
    auto hops = parts_.routes.choose(hop.range, now, false);
    if (hops) {
        std::string others;
        for (const Hop& other : *hops)
            others += (others.empty() ? "" : ", ") + other.server.peer.short_text();
        tell(SessionEvent::Kind::failed_over,
             hop.server.peer.short_text() + " failed (" + why.context + "); " + others +
                 " computes " + blocks_text(hop.range) + " again from the beginning");
    }
    while (!hops) {
        const io::TimePoint then = parts_.clock.now();
        if (then - *outage_began_ >= parts_.limits.outage_max)
            co_return fail(Errc::unavailable,
                           blocks_text(hop.range) + " have no working server: " +
                               hop.server.peer.short_text() + ": " + why.context);
        const io::Duration pause =
            std::min<io::Duration>(kPauseFirst * (1U << std::min(failures_ - 1, 8U)), kPauseMax);
        tell(SessionEvent::Kind::waiting,
             hop.server.peer.short_text() + " failed (" + why.context +
                 ") and nobody else serves " + blocks_text(hop.range) + "; trying again in " +
                 milliseconds_text(pause));
        co_await parts_.clock.sleep_for(pause);
        hops = parts_.routes.choose(hop.range, parts_.clock.now(), true);
    }
    put_in_place(index, std::move(*hops));
    co_return Result<>();
}

// The first of the new servers gets all that went into the stretch; what comes out of it goes into
// the next.
void InferenceSession::put_in_place(std::size_t index, std::vector<Hop> hops) {
    std::vector<float> inputs = std::move(stretches_[index].inputs);
    const auto place = stretches_.begin() + static_cast<std::ptrdiff_t>(index);
    const auto after = stretches_.erase(place);
    std::vector<Stretch> added;
    for (Hop& hop : hops)
        added.push_back({.hop = std::move(hop)});
    added.front().inputs = std::move(inputs);
    stretches_.insert(
        after, std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
}

void InferenceSession::truncate(std::uint32_t length) {
    if (length >= length_) return;
    length_ = length;
    for (Stretch& stretch : stretches_) {
        stretch.inputs.resize(std::size_t{length} * parts_.hidden);
        if (stretch.sent <= length) continue;
        stretch.sent = length;
        if (stretch.span != nullptr && !stretch.span->can_take_back()) {
            stretch.span.reset();
            stretch.sent = 0;
        }
    }
}

io::Task<void> InferenceSession::finish() {
    for (std::size_t index = 0; index < stretches_.size(); ++index)
        if (stretches_[index].span != nullptr) co_await stretches_[index].span->finish();
}

std::vector<InferenceSession::HopReport> InferenceSession::route() const {
    std::vector<HopReport> all;
    for (const Stretch& stretch : stretches_)
        all.push_back({.hop = stretch.hop, .last_step = stretch.last_step});
    return all;
}

}  // namespace kwaai::petals
