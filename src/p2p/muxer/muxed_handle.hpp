// A stream as its user holds it: what yamux's and QUIC's have in common, over the state of either.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/event.hpp"
#include "p2p/muxer/muxed_session.hpp"

namespace kwaai::p2p {

template <class Session>
class MuxedHandle;

/// Of a session: the streams that are held, by those of its core.
template <class Session, class Stream>
struct MuxedHandles {
    std::unordered_map<const Stream*, MuxedHandle<Session>*> open;
    std::size_t count = 0;  // the closed ones too
    std::vector<Stream*> changed;
};

/// Its core's stream is gone once it was closed or reset here. `Session` is what the coroutines of
/// a session share: the type `Stream`, `core` (YamuxState or QuicCore), `handles` (MuxedHandles),
/// wake(), and what differs: begin_reading(), read(), release(), remote_name(), closed_here() and
/// cut_off(), the errors of a stream that ended on this side, and whose peer reads no more.
template <class Session>
class MuxedHandle final : public MuxedStream {
public:
    using CoreStream = typename Session::Stream;

    MuxedHandle(Session& session, CoreStream& stream) : session_(session), stream_(&stream) {
        session_.handles.open.emplace(stream_, this);
        ++session_.handles.count;
    }

    ~MuxedHandle() override {
        if (CoreStream* const stream = let_go()) session_.release(*stream);
        --session_.handles.count;
        session_.wake();
    }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override;
    io::Task<Result<>> write(std::span<const Bytes> parts) override;
    io::Task<Result<>> shutdown_write() override;

    void close() override {
        CoreStream* const stream = let_go();
        if (stream == nullptr) return;
        session_.core.close(*stream);
        notify();
        session_.wake();
    }

    void reset(std::uint32_t code) override {
        CoreStream* const stream = let_go();
        if (stream == nullptr) return;
        session_.core.reset(*stream, code);
        notify();
        session_.wake();
    }

    [[nodiscard]] std::string peer() const override { return session_.remote_name(); }

    /// Wakes who waits for what its core's stream has become.
    void notify() {
        if (stream_ == nullptr || !stream_->is_writing) writable_.notify_all();
        const bool is_readable = stream_ == nullptr || stream_->received.size() > 0 ||
                                 stream_->is_finished_by_peer ||
                                 stream_->end != CoreStream::End::none;
        if (is_readable) readable_.notify_all();
    }

private:
    // Breaks off the write under way when its coroutine unwinds.
    struct Writing {
        explicit Writing(MuxedHandle& handle) : writer(handle) {}

        Writing(const Writing&) = delete;
        Writing& operator=(const Writing&) = delete;

        ~Writing() {
            if (writer.stream_ != nullptr) writer.session_.core.abort_write(*writer.stream_);
        }

        MuxedHandle& writer;
    };

    CoreStream* let_go() {
        if (stream_ != nullptr) session_.handles.open.erase(stream_);
        return std::exchange(stream_, nullptr);
    }

    Session& session_;
    CoreStream* stream_;
    io::Event readable_;
    io::Event writable_;
};

template <class Session>
io::Task<Result<std::size_t>> MuxedHandle<Session>::read_some(MutableBytes into) {
    if (stream_ != nullptr) session_.begin_reading(*stream_);
    for (;;) {
        if (stream_ == nullptr) co_return std::unexpected<Error>(session_.closed_here());
        const std::size_t count = session_.read(*stream_, into);
        if (count > 0) co_return count;
        if (stream_->is_finished_by_peer) co_return std::size_t{0};
        if (auto why = session_.core.failure(*stream_))
            co_return std::unexpected<Error>(std::move(*why));
        co_await readable_.wait();
    }
}

template <class Session>
io::Task<Result<>> MuxedHandle<Session>::write(std::span<const Bytes> parts) {
    if (stream_ == nullptr) co_return std::unexpected<Error>(session_.closed_here());
    KWAAI_CO_CHECKED(session_.core.begin_write(*stream_, parts));
    session_.wake();
    const Writing writing(*this);
    while (stream_ != nullptr && stream_->is_writing)
        co_await writable_.wait();
    if (stream_ == nullptr) co_return std::unexpected<Error>(session_.closed_here());
    if (!stream_->is_cut) co_return Result<>();
    auto why = session_.core.failure(*stream_);
    co_return std::unexpected<Error>(why ? std::move(*why) : session_.cut_off());
}

template <class Session>
io::Task<Result<>> MuxedHandle<Session>::shutdown_write() {
    if (stream_ == nullptr) co_return std::unexpected<Error>(session_.closed_here());
    KWAAI_CO_CHECKED(session_.core.shutdown_write(*stream_));
    session_.wake();
    co_return Result<>();
}

/// Wakes who waits for streams that the core has changed since the last call.
template <class Session>
void notify_changed(Session& session) {
    session.core.take_changed(session.handles.changed);
    for (const auto* const stream : session.handles.changed) {
        const auto found = session.handles.open.find(stream);
        if (found != session.handles.open.end()) found->second->notify();
    }
}

}  // namespace kwaai::p2p
