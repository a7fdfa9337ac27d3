#include "p2p/protocol_stream.hpp"

#include <algorithm>
#include <utility>

#include "io/event.hpp"
#include "p2p/protocol/multistream.hpp"

namespace kwaai::p2p {
namespace {

class ProtocolStream final : public Stream {
public:
    ProtocolStream(StreamParts parts, std::vector<std::byte> residue)
        : parts_(std::move(parts)), residue_(std::move(residue)) {}

    explicit ProtocolStream(StreamParts parts)
        : parts_(std::move(parts)), proposal_(Step::due), answer_(Step::due) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        if (proposal_ == Step::due) {
            const std::span<const Bytes> nothing;
            KWAAI_CO_CHECKED(co_await send_proposal(nothing));
        }
        KWAAI_CO_CHECKED(co_await take_answer());
        if (residue_begin_ < residue_.size()) co_return take_residue(into);
        Result<std::size_t> count = co_await parts_.muxed->read_some(into);
        co_return count;
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        while (proposal_ == Step::under_way)
            co_await changed_.wait();
        if (refusal_) co_return std::unexpected<Error>(*refusal_);
        if (proposal_ == Step::due) {
            Result<> sent = co_await send_proposal(parts);
            co_return sent;
        }
        Result<> written = co_await parts_.muxed->write(parts);
        co_return written;
    }

    // Not before the answer: rust-libp2p fails a stream whose proposer has half-closed.
    io::Task<Result<>> shutdown_write() override {
        if (proposal_ == Step::due) {
            const std::span<const Bytes> nothing;
            KWAAI_CO_CHECKED(co_await send_proposal(nothing));
        }
        KWAAI_CO_CHECKED(co_await take_answer());
        Result<> ended = co_await parts_.muxed->shutdown_write();
        co_return ended;
    }

    void close() override {
        parts_.muxed->close();
        changed_.notify_all();
    }

    void reset(ResetCode code) override {
        parts_.muxed->reset(static_cast<std::uint32_t>(code));
        changed_.notify_all();
    }

    [[nodiscard]] std::string peer() const override { return parts_.connection->address.to_text(); }

    [[nodiscard]] const PeerId& remote_peer() const override { return parts_.connection->remote; }

    [[nodiscard]] const Multiaddr& remote_address() const override {
        return parts_.connection->address;
    }

    [[nodiscard]] const std::string& protocol() const override { return parts_.protocol; }

private:
    enum class Step : std::uint8_t { done, due, under_way };

    // Puts a step that was interrupted back, and wakes who waits for its end.
    class Underway {
    public:
        Underway(ProtocolStream& stream, Step& step) : stream_(stream), step_(step) {
            step_ = Step::under_way;
        }

        Underway(const Underway&) = delete;
        Underway& operator=(const Underway&) = delete;

        ~Underway() {
            if (step_ == Step::under_way) step_ = Step::due;
            stream_.changed_.notify_all();
        }

        void done() { step_ = Step::done; }

    private:
        ProtocolStream& stream_;
        Step& step_;
    };

    io::Task<Result<>> send_proposal(std::span<const Bytes> behind) {
        Underway step(*this, proposal_);
        const std::vector<std::byte> proposal = lazy_proposal(parts_.protocol);
        std::vector<Bytes> sent{proposal};
        sent.insert(sent.end(), behind.begin(), behind.end());
        const std::span<const Bytes> all(sent);
        Result<> written = co_await parts_.muxed->write(all);
        step.done();
        co_return written;
    }

    // Waits until somebody has taken the answer to the proposal, this caller or another one.
    io::Task<Result<>> take_answer() {
        while (answer_ == Step::under_way)
            co_await changed_.wait();
        if (refusal_) co_return std::unexpected<Error>(*refusal_);
        if (answer_ == Step::done) co_return Result<>();
        Underway step(*this, answer_);
        auto residue = co_await read_lazy_answer(*parts_.muxed, parts_.protocol);
        step.done();
        if (residue) {
            residue_ = std::move(*residue);
            co_return Result<>();
        }
        refusal_ = std::move(residue).error();
        parts_.muxed->close();
        co_return std::unexpected<Error>(*refusal_);
    }

    std::size_t take_residue(MutableBytes into) {
        const std::size_t count = std::min(into.size(), residue_.size() - residue_begin_);
        std::copy_n(
            residue_.begin() + static_cast<std::ptrdiff_t>(residue_begin_), count, into.begin());
        residue_begin_ += count;
        return count;
    }

    StreamParts parts_;
    Step proposal_ = Step::done;
    Step answer_ = Step::done;
    std::optional<Error> refusal_;  // what the answer was, or why there was none
    io::Event changed_;
    std::vector<std::byte> residue_;
    std::size_t residue_begin_ = 0;
};

}  // namespace

std::unique_ptr<Stream> make_agreed_stream(StreamParts parts, std::vector<std::byte> residue) {
    return std::make_unique<ProtocolStream>(std::move(parts), std::move(residue));
}

std::unique_ptr<Stream> make_proposed_stream(StreamParts parts) {
    return std::make_unique<ProtocolStream>(std::move(parts));
}

}  // namespace kwaai::p2p
