#include "http/websocket.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "crypto/random.hpp"
#include "io/event.hpp"

namespace kwaai::http {
namespace {

constexpr std::size_t kClientFrameBytes = std::size_t{64} << 10;
constexpr std::size_t kServerFrameBytes = std::size_t{1} << 20;
constexpr std::size_t kIdleBytes = 4096;  // what a quiet client keeps of its buffer
constexpr std::size_t kQuietTimes = 64;   // writes in a row that would fit it
constexpr std::size_t kReadBytes = 4096;  // of a handshake at a time

/// Masks that nobody can guess, drawn many at a time.
class MaskSource {
public:
    explicit MaskSource(std::function<void(MutableBytes)> random) : random_(std::move(random)) {}

    WsMask next() {
        if (begin_ == block_.size()) {
            random_(block_);
            begin_ = 0;
        }
        WsMask mask;
        std::memcpy(mask.data(), block_.data() + begin_, mask.size());
        begin_ += mask.size();
        return mask;
    }

private:
    std::function<void(MutableBytes)> random_;
    std::array<std::byte, 256> block_{};
    std::size_t begin_ = block_.size();
};

/// The parts of a write, taken off in runs of any size.
class PartsCursor {
public:
    explicit PartsCursor(std::span<const Bytes> parts) : parts_(parts) {
        for (const Bytes part : parts)
            remaining_ += part.size();
    }

    [[nodiscard]] std::size_t remaining() const { return remaining_; }

    /// Calls `use` with the next `count` bytes, in their pieces.
    template <class Use>
    void take(std::size_t count, Use use) {
        remaining_ -= count;
        while (count > 0) {
            const Bytes rest = parts_.front().subspan(offset_);
            const Bytes piece = rest.first(std::min(rest.size(), count));
            if (!piece.empty()) use(piece);
            count -= piece.size();
            offset_ += piece.size();
            if (offset_ == parts_.front().size()) {
                parts_ = parts_.subspan(1);
                offset_ = 0;
            }
        }
    }

private:
    std::span<const Bytes> parts_;
    std::size_t offset_ = 0;  // in the first part
    std::size_t remaining_ = 0;
};

class WebSocketStream final : public io::Stream {
public:
    /// `masks` makes it a client's.
    WebSocketStream(std::unique_ptr<io::Stream> raw,
                    std::string residue,
                    std::optional<MaskSource> masks,
                    const WebSocketLimits& limits)
        : raw_(std::move(raw)),
          residue_(std::move(residue)),
          masks_(std::move(masks)),
          state_(masks_ ? WebSocketRole::client : WebSocketRole::server, limits) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        while (!is_closed_) {
            // A write that is under way takes what waits along.
            if (state_.has_control() && !is_writing_ && !is_output_lost_) {
                const Result<> answered = co_await send_control();
                static_cast<void>(answered);  // what a peer said before it hung up is still read
                if (is_closed_) break;
            }
            if (state_.failure()) co_return broken();
            if (state_.is_ended()) co_return std::size_t{0};
            std::size_t count = take_residue(into);
            if (count == 0) {
                Result<std::size_t> read = co_await raw_->read_some(into);
                if (!read) {
                    close();
                    co_return forward_error(read);
                }
                count = *read;
            }
            if (count == 0) {
                if (state_.is_at_boundary()) co_return std::size_t{0};
                close();
                co_return fail(Errc::closed, raw_->peer() + " hung up inside a WebSocket message");
            }
            const std::size_t kept = state_.take(into.first(count));
            if (kept > 0) co_return kept;
        }
        co_return closed("reading from ");
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        while (is_writing_)
            co_await written_.wait();
        if (state_.is_sending_ended()) co_return closed("writing to ");
        PartsCursor cursor(parts);
        do {
            if (is_closed_ || is_output_lost_) co_return closed("writing to ");
            if (cursor.remaining() > 0) {
                KWAAI_CO_CHECKED(co_await write_frame(cursor));
            }
            if (state_.has_control()) {
                KWAAI_CO_CHECKED(co_await send_control());
            }
        } while (cursor.remaining() > 0);
        co_return Result<>();
    }

    io::Task<Result<>> shutdown_write() override {
        while (is_writing_)
            co_await written_.wait();
        if (is_closed_ || is_output_lost_) co_return closed("closing the write side to ");
        state_.end_sending();
        KWAAI_CO_CHECKED(co_await send_control());
        if (!state_.is_ended()) co_return Result<>();
        Result<> ended = co_await raw_->shutdown_write();
        co_return ended;
    }

    void close() override {
        is_closed_ = true;
        raw_->close();
    }

    [[nodiscard]] std::string peer() const override { return raw_->peer(); }

private:
    // One frame at a time; one that was interrupted may have left in part: nothing can follow it.
    class Writing {
    public:
        explicit Writing(WebSocketStream& stream) : stream_(stream) { stream_.is_writing_ = true; }

        Writing(const Writing&) = delete;
        Writing& operator=(const Writing&) = delete;

        ~Writing() {
            stream_.is_writing_ = false;
            stream_.written_.notify_all();
            if (!is_done_) stream_.close();
        }

        void end(const Result<>& sent) {
            is_done_ = true;
            if (!sent) stream_.is_output_lost_ = true;
        }

    private:
        WebSocketStream& stream_;
        bool is_done_ = false;
    };

    io::Task<Result<>> send_control() {
        while (state_.has_control() && !is_output_lost_) {
            Writing writing(*this);
            const Bytes frame = state_.take_control(masks_ ? masks_->next() : WsMask());
            Result<> sent = co_await raw_->write(frame);
            writing.end(sent);
            if (!sent) co_return sent;
        }
        co_return Result<>();
    }

    io::Task<Result<>> write_frame(PartsCursor& cursor) {
        Writing writing(*this);
        if (masks_)
            mask_frame(cursor);
        else
            gather_frame(cursor);
        const std::span<const Bytes> parts(gathered_);
        Result<> sent = co_await raw_->write(parts);
        writing.end(sent);
        co_return sent;
    }

    void gather_frame(PartsCursor& cursor) {
        const std::size_t count = std::min(cursor.remaining(), kServerFrameBytes);
        const std::size_t header_size = write_ws_header({.payload_bytes = count}, header_out_);
        gathered_.assign(1, Bytes(header_out_).first(header_size));
        cursor.take(count, [this](Bytes piece) { gathered_.push_back(piece); });
    }

    void mask_frame(PartsCursor& cursor) {
        const std::size_t count = std::min(cursor.remaining(), kClientFrameBytes);
        const WsMask mask = masks_->next();
        const std::size_t header_size =
            write_ws_header({.mask = mask, .payload_bytes = count}, header_out_);
        resize_masked(count);
        std::size_t filled = 0;
        cursor.take(count, [&](Bytes piece) {
            std::ranges::copy(piece, masked_.begin() + static_cast<std::ptrdiff_t>(filled));
            filled += piece.size();
        });
        const MutableBytes payload = MutableBytes(masked_).first(count);
        apply_ws_mask(payload, mask, 0);
        gathered_.assign({Bytes(header_out_).first(header_size), Bytes(payload)});
    }

    // Grows at once; gives back what a long row of small writes did not need.
    void resize_masked(std::size_t count) {
        quiet_ = count <= kIdleBytes ? quiet_ + 1 : 0;
        if (masked_.size() < count) masked_.resize(count);
        if (quiet_ < kQuietTimes || masked_.size() <= kIdleBytes) return;
        masked_.resize(kIdleBytes);
        masked_.shrink_to_fit();
    }

    std::size_t take_residue(MutableBytes into) {
        const std::size_t count = std::min(into.size(), residue_.size());
        if (count == 0) return 0;
        std::memcpy(into.data(), residue_.data(), count);
        residue_.erase(0, count);
        return count;
    }

    std::unexpected<Error> closed(std::string_view doing) const {
        return fail(Errc::closed, std::string(doing) + raw_->peer() + ": closed");
    }

    std::unexpected<Error> broken() {
        close();
        Error error = *state_.failure();
        return std::unexpected<Error>(std::move(error).with("WebSocket from " + raw_->peer()));
    }

    std::unique_ptr<io::Stream> raw_;
    std::string residue_;  // of the peer's frames, read with the handshake
    std::optional<MaskSource> masks_;
    WebSocketState state_;
    std::array<std::byte, kWsHeaderBytesMax> header_out_{};
    std::vector<std::byte> masked_;
    std::size_t quiet_ = 0;
    std::vector<Bytes> gathered_;
    bool is_closed_ = false;
    bool is_output_lost_ = false;
    bool is_writing_ = false;
    io::Event written_;
};

/// Feeds `parser` until it is done. What it has not taken stays in `input`.
template <class Parser, class Put>
io::Task<Result<>> read_head(io::Stream& stream, Parser& parser, std::string& input, Put put) {
    std::array<std::byte, kReadBytes> chunk;
    while (!parser.is_done()) {
        const MutableBytes into(chunk);
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(into));
        if (count == 0) co_return fail(Errc::closed, "the stream ended inside an upgrade");
        input += as_text(into.first(count));
        for (std::size_t taken = 1; taken > 0 && !input.empty() && !parser.is_done();) {
            Result<std::size_t> put_bytes = put(as_bytes(input));
            if (!put_bytes) co_return forward_error(put_bytes);
            taken = *put_bytes;
            input.erase(0, taken);
        }
    }
    co_return Result<>();
}

ParserLimits parser_limits(const WebSocketLimits& limits) {
    return {.header_bytes_max = limits.header_bytes_max, .body_bytes_max = 0};
}

io::Task<Result<std::unique_ptr<io::Stream>>> refuse(std::unique_ptr<io::Stream> raw,
                                                     Rejection rejection) {
    const std::string answer = refuse_upgrade(rejection);
    const Bytes bytes = as_bytes(answer);
    const Result<> told = co_await raw->write(bytes);
    if (told) {
        const Result<> ended = co_await raw->shutdown_write();
        static_cast<void>(ended);  // it is closed next
    }
    constexpr int kHeaderTooLarge = 431;
    const bool is_too_large = rejection.status == kHeaderTooLarge;
    co_return fail(is_too_large ? Errc::limit_exceeded : Errc::malformed, rejection.reason);
}

}  // namespace

io::Task<Result<std::unique_ptr<io::Stream>>> accept_websocket(std::unique_ptr<io::Stream> raw,
                                                               WebSocketLimits limits) {
    RequestParser parser(parser_limits(limits));
    std::optional<Rejection> rejection;
    const auto put = [&](Bytes bytes) -> Result<std::size_t> {
        const auto taken = parser.put(bytes);
        if (taken) return *taken;
        rejection = taken.error();
        return fail(Errc::malformed, rejection->reason);
    };
    std::string input;
    auto reading = read_head(*raw, parser, input, std::cref(put));
    Result<> is_read = co_await std::move(reading);
    std::string answer;
    if (is_read) {
        auto agreed = answer_upgrade(parser.take());
        if (agreed)
            answer = std::move(*agreed);
        else
            rejection = std::move(agreed).error();
    }
    if (rejection) {
        auto refused = co_await refuse(std::move(raw), std::move(*rejection));
        co_return refused;
    }
    if (!is_read) co_return forward_error(is_read);
    const Bytes bytes = as_bytes(answer);
    KWAAI_CO_CHECKED(co_await raw->write(bytes));
    co_return std::make_unique<WebSocketStream>(
        std::move(raw), std::move(input), std::nullopt, limits);
}

io::Task<Result<std::unique_ptr<io::Stream>>> connect_websocket(
    std::unique_ptr<io::Stream> raw,
    WebSocketTarget target,
    std::function<void(MutableBytes)> random,
    WebSocketLimits limits) {
    if (!random) random = crypto::fill_random;
    std::array<std::byte, 16> nonce;
    random(nonce);
    const std::string key = websocket_key(nonce);
    KWAAI_CO_TRY(const std::string request, upgrade_request(target, key));
    const Bytes bytes = as_bytes(request);
    KWAAI_CO_CHECKED(co_await raw->write(bytes));
    ResponseParser parser(parser_limits(limits), true, nullptr);
    const auto put = [&](Bytes piece) {
        return parser.put(piece);
    };
    std::string input;
    auto reading = read_head(*raw, parser, input, std::cref(put));
    KWAAI_CO_CHECKED(co_await std::move(reading));
    KWAAI_CO_CHECKED(check_upgrade(parser.take(), key));
    co_return std::make_unique<WebSocketStream>(
        std::move(raw), std::move(input), MaskSource(std::move(random)), limits);
}

}  // namespace kwaai::http
