#include "testing/sim_flow.hpp"

#include <algorithm>
#include <cstring>

namespace kwaai::testing {
namespace {

constexpr std::size_t kSegmentBytesMax = 16 << 10;
constexpr int kLossesMax = 6;  // of one segment

std::uint64_t seed_of(std::uint64_t seed, std::uint64_t number) {
    return random_bits(seed, number) | 1;  // never 0, which means "no splitting"
}

class SimStream final : public io::Stream {
public:
    SimStream(std::shared_ptr<SimFlow> in, std::shared_ptr<SimFlow> out, std::string peer)
        : in_(std::move(in)), out_(std::move(out)), peer_(std::move(peer)) {}

    ~SimStream() override { SimStream::close(); }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        while (!is_closed_ && !in_->has_news())
            co_await in_->changed().wait();
        if (is_closed_ || in_->is_broken()) co_return failed("reading from ");
        co_return in_->take(into);
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        for (Bytes part : parts) {
            while (!part.empty()) {
                if (is_closed_ || !out_->is_writable()) co_return failed("writing to ");
                const std::size_t count = std::min(out_->room(), part.size());
                if (count == 0) {
                    co_await out_->changed().wait();
                    continue;
                }
                out_->send(part.first(count));
                part = part.subspan(count);
            }
        }
        if (is_closed_ || !out_->is_writable()) co_return failed("writing to ");
        co_return Result<>();
    }

    io::Task<Result<>> shutdown_write() override {
        if (is_closed_ || in_->is_broken()) co_return failed("closing the write side to ");
        out_->end(SimEnding::finished);
        co_return Result<>();
    }

    void close() override {
        is_closed_ = true;
        out_->end(SimEnding::gone);
        in_->discard();
        in_->changed().notify_all();
        out_->changed().notify_all();
    }

    [[nodiscard]] std::string peer() const override { return peer_; }

private:
    std::unexpected<Error> failed(const char* doing) const {
        const bool is_ours = is_closed_ || !in_->is_broken();
        return fail(Errc::closed, doing + peer_ + (is_ours ? ": closed" : ": connection reset"));
    }

    std::shared_ptr<SimFlow> in_;
    std::shared_ptr<SimFlow> out_;
    std::string peer_;
    bool is_closed_ = false;
};

}  // namespace

SimFlow::SimFlow(std::shared_ptr<SimWorld> world, HostPair pair)
    : world_(std::move(world)),
      pair_(pair),
      number_(world_->next_number++),
      random_(seed_of(world_->options.seed, number_)),
      splitter_(world_->options.is_splitting_reads ? seed_of(~world_->options.seed, number_) : 0) {
    world_->flows.emplace(number_, this);
}

SimFlow::~SimFlow() {
    world_->flows.erase(number_);
}

std::size_t SimFlow::room() const {
    const std::size_t queued = bytes_under_way_ + arrived_.size() - read_;
    return world_->options.queue_bytes_max - std::min(queued, world_->options.queue_bytes_max);
}

void SimFlow::send(Bytes bytes) {
    while (!bytes.empty()) {
        const Bytes piece = bytes.first(std::min(bytes.size(), kSegmentBytesMax));
        push(Segment{.bytes = {piece.begin(), piece.end()},
                     .ending = SimEnding::none,
                     .due = due_of(piece.size())});
        bytes = bytes.subspan(piece.size());
    }
}

void SimFlow::end(SimEnding ending) {
    if (ending_sent_ >= ending) return;
    ending_sent_ = ending;
    push(Segment{.bytes = {}, .ending = ending, .due = due_of(0)});
}

// A line carries one segment at a time; behind it, all travel beside each other.
io::TimePoint SimFlow::due_of(std::size_t size) {
    SimWorld::Line& line = world_->line(pair_);
    const SimLink& link = line.link;
    io::TimePoint due = std::max(world_->clock.now(), line.is_free_at);
    if (link.bytes_per_second != 0) {
        const double seconds =
            static_cast<double>(size) / static_cast<double>(link.bytes_per_second);
        due += std::chrono::duration_cast<io::Duration>(std::chrono::duration<double>(seconds));
        line.is_free_at = due;
    }
    const double jitter = static_cast<double>(link.jitter.count()) * random_.next_unit();
    due += link.latency + io::Duration(static_cast<io::Duration::rep>(jitter));
    io::Duration again = link.retransmission;
    for (int lost = 0; lost < kLossesMax && random_.next_unit() < link.loss; ++lost) {
        due += again;
        again *= 2;
    }
    last_due_ = std::max(last_due_, due);
    return last_due_;
}

void SimFlow::push(Segment segment) {
    bytes_under_way_ += segment.bytes.size();
    under_way_.push_back(std::move(segment));
    schedule();
}

void SimFlow::schedule() {
    if (is_scheduled_ || is_stalled_ || under_way_.empty()) return;
    is_scheduled_ = true;
    auto arrival = [weak = weak_from_this()] {
        if (const std::shared_ptr<SimFlow> flow = weak.lock()) flow->deliver();
    };
    world_->clock.certainly_call_at(under_way_.front().due, std::move(arrival));
}

void SimFlow::deliver() {
    is_scheduled_ = false;
    if (under_way_.empty()) return;  // the connection was broken meanwhile
    if (world_->is_blocked(pair_)) {
        is_stalled_ = true;
        return;
    }
    Segment segment = std::move(under_way_.front());
    under_way_.pop_front();
    bytes_under_way_ -= segment.bytes.size();
    world_->record(pair_, segment.bytes.size());
    arrive(std::move(segment));
    schedule();
}

void SimFlow::resume() {
    if (!is_stalled_ || world_->is_blocked(pair_)) return;
    is_stalled_ = false;
    if (!under_way_.empty())
        under_way_.front().due = world_->clock.now() + world_->line(pair_).link.latency;
    schedule();
}

void SimFlow::arrive(Segment segment) {
    if (segment.ending == SimEnding::broken) {
        break_receiver();
        return;
    }
    if (world_->garbage.contains(pair_))
        for (std::byte& byte : segment.bytes)
            byte = static_cast<std::byte>(random_.next());
    if (!is_discarding_)
        arrived_.insert(arrived_.end(), segment.bytes.begin(), segment.bytes.end());
    ending_ = std::max(ending_, segment.ending);
    changed_.notify_all();
    const std::shared_ptr<SimFlow> back = reverse();
    if (segment.ending == SimEnding::gone && back) {
        back->is_unwanted_ = true;
        back->changed_.notify_all();
    }
}

bool SimFlow::has_news() const {
    return read_ < arrived_.size() || ending_ != SimEnding::none;
}

std::size_t SimFlow::take(MutableBytes into) {
    const std::size_t count = splitter_.piece(std::min(into.size(), arrived_.size() - read_));
    std::copy_n(arrived_.begin() + static_cast<std::ptrdiff_t>(read_), count, into.begin());
    read_ += count;
    if (read_ > arrived_.size() / 2) {  // in halves: taking single bytes stays linear
        arrived_.erase(arrived_.begin(), arrived_.begin() + static_cast<std::ptrdiff_t>(read_));
        read_ = 0;
    }
    if (count != 0) changed_.notify_all();
    return count;
}

void SimFlow::discard() {
    is_discarding_ = true;
    arrived_.clear();
    read_ = 0;
}

void SimFlow::break_receiver() {
    ending_ = SimEnding::broken;
    discard();
    under_way_.clear();
    bytes_under_way_ = 0;
    is_stalled_ = false;
    changed_.notify_all();
    if (const std::shared_ptr<SimFlow> back = reverse()) {
        back->is_unwanted_ = true;
        back->changed_.notify_all();
    }
}

std::unique_ptr<io::Stream> make_sim_stream(std::shared_ptr<SimFlow> in,
                                            std::shared_ptr<SimFlow> out,
                                            std::string peer) {
    return std::make_unique<SimStream>(std::move(in), std::move(out), std::move(peer));
}

}  // namespace kwaai::testing
