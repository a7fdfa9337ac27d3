// Arbitrary bytes and frames from the peer, between arbitrary calls of the application.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "p2p/muxer/yamux_model_fuzz.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

constexpr std::size_t kWriteMax = 16 << 10;
constexpr std::uint32_t kPayloadMax = 20 << 10;

Limits small_limits() {
    Limits limits;
    limits.streams_per_connection_max = 4;
    limits.unacknowledged_streams_max = 3;
    limits.control_frames_max = 8;
    limits.window_initial = 4096;
    limits.window_max = 16 << 10;
    limits.window_total_max = 20 << 10;
    limits.frame_bytes_max = 1000;
    return limits;
}

// All letters that an application may write, from any offset of a stream.
const std::string& letters() {
    static const std::string text = [] {
        std::string all;
        for (std::size_t i = 0; i < kWriteMax + 251; ++i)
            all += yamux_model::letter_at(i);
        return all;
    }();
    return text;
}

struct Handle {
    YamuxStream* stream = nullptr;
    yamux_model::StreamPtr model;
    Bytes part;  // what it is writing
};

class Run {
public:
    explicit Run(Bytes input)
        : input_(input),
          role_(next() % 2 == 0 ? YamuxRole::dialer : YamuxRole::listener),
          state_(role_, small_limits(), now_),
          model_(role_, small_limits()) {}

    void run() {
        handles_.reserve(kHandlesMax);
        while (!input_.empty()) {
            step();
            check();
        }
        produce();
        state_.end(Error{Errc::closed, "the end of the input"});
        model_.is_over = true;
        for (Handle& handle : handles_)
            state_.release(*handle.stream);
        KWAAI_CHECK(state_.stream_count() == 0, "streams are left");
        KWAAI_CHECK(state_.received_bytes_held() == 0, "memory is left");
    }

private:
    static constexpr std::size_t kHandlesMax = 24;

    std::uint8_t next() {
        if (input_.empty()) return 0;
        const auto byte = std::to_integer<std::uint8_t>(input_.front());
        input_ = input_.subspan(1);
        return byte;
    }

    std::uint32_t next_number() { return next() * 256u + next(); }

    Handle* pick() {
        const std::size_t index = next();
        return handles_.empty() ? nullptr : &handles_[index % handles_.size()];
    }

    void step() {
        switch (next() % 20) {
            case 0: return receive_raw();
            case 1:
            case 2:
            case 3:
            case 4: return receive_frame();
            case 5: return open();
            case 6: return accept();
            case 7: return read();
            case 8:
            case 9: return write();
            case 10: return drop(next() % 3);
            case 11: return shutdown_write();
            case 12:
            case 13: return produce();
            case 14: return pass_time();
            case 15: return abort_write();
            case 16: return announce();
            case 17: return answer_ping();
            case 18: return read();
            default: return close();
        }
    }

    void feed(std::string_view bytes) {
        state_.receive(as_bytes(bytes), now_);
        model_.receive(bytes);
    }

    void receive_raw() {
        const std::size_t size = std::min<std::size_t>(next(), input_.size());
        const std::string bytes(as_text(input_.first(size)));
        input_ = input_.subspan(size);
        feed(bytes);
    }

    // Mostly a sensible frame, in pieces.
    void receive_frame() {
        const std::uint8_t kind = next();
        YamuxHeader header{.type = static_cast<YamuxType>(kind % 4 < 3 ? kind % 2 : kind / 4 % 4),
                           .flags = static_cast<std::uint16_t>(next() & 0xf),
                           .stream = pick_id()};
        const std::uint8_t mask = kind % 16 < 12 ? next() : 0xff;
        header.flags = static_cast<std::uint16_t>(header.flags & (yamux_flag::kAck | mask));
        header.length = pick_length(header.stream);
        const auto encoded = encode(header);
        std::string bytes(as_text(encoded));
        if (header.type == YamuxType::data && header.length < kPayloadMax) {
            for (std::uint32_t i = 0; i < header.length; ++i)
                bytes += static_cast<char>(i * 31 + kind);
        }
        const std::size_t piece = kind % 8 == 1 ? 1 + next() : bytes.size();
        for (std::size_t at = 0; at < bytes.size(); at += piece)
            feed(std::string_view(bytes).substr(at, piece));
    }

    std::uint32_t pick_id() {
        const std::uint8_t choice = next();
        if (choice < 32) return choice;
        if (choice < 96) return model_.next_peer_id();
        if (model_.streams.empty()) return 0;
        const std::size_t recent = std::min<std::size_t>(model_.streams.size(), 8);
        return std::prev(model_.streams.end(), 1 + choice % static_cast<int>(recent))->first;
    }

    // At the edges of what is allowed.
    std::uint32_t pick_length(std::uint32_t id) {
        const auto found = model_.streams.find(id);
        const auto window = static_cast<std::uint32_t>(found != model_.streams.end()
                                                           ? found->second->may_receive
                                                           : small_limits().window_initial);
        switch (next() % 8) {
            case 0: return 0;
            case 1: return 1 + next();
            case 2: return window;
            case 3: return window + (next() % 4 == 0 ? 1 : 0);
            case 4: return window / 2;
            case 5: return std::numeric_limits<std::uint32_t>::max() - next_number();
            default: return next_number() % 5000;
        }
    }

    void answer_ping() {
        const auto bytes = encode(YamuxHeader{
            .type = YamuxType::ping, .flags = yamux_flag::kAck, .length = model_.last_ping_sent});
        feed(as_text(bytes));
    }

    void open() {
        if (handles_.size() == kHandlesMax || state_.is_refusing() || state_.is_open_blocked())
            return;
        YamuxStream& stream = state_.open(now_);
        handles_.push_back(Handle{.stream = &stream, .model = model_.open(), .part = {}});
    }

    void accept() {
        if (handles_.size() == kHandlesMax) return;
        YamuxStream* const stream = state_.accept(now_);
        if (model_.is_broken || model_.is_over || model_.is_closing) {
            KWAAI_CHECK(stream == nullptr, "a stream is accepted after the end");
            return;
        }
        const auto expected = model_.accept();
        KWAAI_CHECK((stream != nullptr) == (expected != nullptr), "streams to accept differ");
        if (stream == nullptr) return;
        KWAAI_CHECK(stream->id == expected->id, "another stream is accepted");
        handles_.push_back(Handle{.stream = stream, .model = expected, .part = {}});
    }

    void read() {
        Handle* const handle = pick();
        if (handle == nullptr) return;
        std::string bytes(1 + next_number() % 6000, '\0');
        const MutableBytes into = std::as_writable_bytes(std::span(bytes));
        bytes.resize(state_.read(*handle->stream, into, now_));
        std::string& expected = handle->model->received;
        KWAAI_CHECK(bytes == expected.substr(0, bytes.size()), "other bytes than were sent");
        KWAAI_CHECK(!bytes.empty() || expected.empty(), "bytes are held back");
        expected.erase(0, bytes.size());
    }

    void write() {
        Handle* const handle = pick();
        if (handle == nullptr || handle->stream->is_writing) return;
        yamux_model::Stream& model = *handle->model;
        const std::string_view text =
            std::string_view(letters()).substr(model.written % 251, next_number() % kWriteMax);
        handle->part = as_bytes(text);
        const bool is_begun =
            state_.begin_write(*handle->stream, std::span<const Bytes>(&handle->part, 1))
                .has_value();
        const bool is_legal = !is_ending() && !model.is_reset && !model.is_failed &&
                              !model.is_fin_wanted && !model.is_cut;
        KWAAI_CHECK(is_begun == is_legal, "a write begins or fails where it should not");
        if (is_begun) model.written += text.size();
    }

    void abort_write() {
        Handle* const handle = pick();
        if (handle == nullptr) return;
        if (handle->stream->is_writing) handle->model->is_cut = true;
        state_.abort_write(*handle->stream);
    }

    void announce() {
        if (Handle* const handle = pick()) state_.announce(*handle->stream);
    }

    void shutdown_write() {
        Handle* const handle = pick();
        if (handle == nullptr) return;
        if (state_.shutdown_write(*handle->stream)) handle->model->is_fin_wanted = true;
    }

    void drop(int how) {
        Handle* const handle = pick();
        if (handle == nullptr) return;
        if (how == 0) {
            state_.close(*handle->stream);
            model_.close(handle->model);
        } else if (how == 1) {
            state_.reset(*handle->stream, 7);
            model_.reset(handle->model);
        } else {
            state_.release(*handle->stream);
            model_.release(handle->model);
        }
        *handle = handles_.back();
        handles_.pop_back();
        // The list of parts lies in the handle, which may have moved.
        for (Handle& moved : handles_)
            if (moved.stream->is_writing) moved.stream->parts = {&moved.part, 1};
    }

    void produce() {
        std::vector<std::byte> out;
        const bool had_output = state_.has_output();
        state_.produce(out, now_);
        KWAAI_CHECK(had_output || out.empty(), "output out of nothing");
        KWAAI_CHECK(out.size() <= (300 << 10), "a batch is too large");
        std::vector<std::pair<yamux_model::StreamPtr, std::uint32_t>> ids;
        for (const Handle& handle : handles_)
            if (handle.model->id == 0 && handle.stream->id != 0)
                ids.emplace_back(handle.model, handle.stream->id);
        model_.sent(as_text(out), ids);
    }

    void pass_time() {
        const std::uint32_t amount = next_number();
        now_ += std::chrono::milliseconds(amount % 2 == 0 ? amount % 100 : amount);
        state_.on_time(now_);
        KWAAI_CHECK(state_.is_ended() || state_.deadline() > now_ || state_.has_output(),
                    "a deadline stays in the past");
        if (state_.is_ended() && !model_.is_broken) model_.is_over = true;
    }

    void close() {
        if (next() % 8 != 0) return;
        state_.close(now_);
        model_.is_closing = true;
    }

    [[nodiscard]] bool is_ending() const {
        return model_.is_broken || model_.is_over || model_.is_closing;
    }

    void check() {
        const bool is_told_to_end = state_.reason() && state_.reason()->code == Errc::closed;
        if (is_told_to_end && model_.is_going_away) model_.is_closing = true;
        KWAAI_CHECK(state_.is_reading() == !(model_.is_broken || model_.is_over),
                    "the state and its model disagree about the peer");
        const std::size_t held = state_.received_bytes_held();
        const std::size_t chunks = 2 * state_.stream_count() * sizeof(ChunkPool::Chunk);
        KWAAI_CHECK(held <= model_.bytes_received() + chunks, "too much memory is held");
        KWAAI_CHECK(model_.granted_beyond_initial() <= small_limits().window_total_max,
                    "more is granted than the limit");
        if (is_ending()) return;
        const std::size_t unacknowledged_max = small_limits().unacknowledged_streams_max;
        KWAAI_CHECK(state_.is_open_blocked() == (model_.unacknowledged() >= unacknowledged_max),
                    "the count of unacknowledged streams is wrong");
        for (const Handle& handle : handles_) {
            KWAAI_CHECK(handle.stream->is_finished_by_peer == handle.model->is_fin_received,
                        "FINs differ");
            const bool is_failed = handle.model->is_reset || handle.model->is_failed;
            KWAAI_CHECK(state_.failure(*handle.stream).has_value() == is_failed, "ends differ");
            KWAAI_CHECK(handle.stream->received.size() == handle.model->received.size(),
                        "what has arrived differs");
            const bool is_writing = !is_failed && handle.model->is_writing();
            KWAAI_CHECK(handle.stream->is_writing == is_writing, "writes differ");
        }
    }

    Bytes input_;
    io::TimePoint now_{std::chrono::hours(1)};
    YamuxRole role_;
    YamuxState state_;
    yamux_model::Model model_;
    std::vector<Handle> handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Run run(std::as_bytes(std::span(data, size)));
    run.run();
    return 0;
}
