// Streams of a QUIC connection.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "p2p/quic/quic_core_state.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kCopiedAhead = 64 << 10;  // of a stream, beyond what could be sent
constexpr std::uint64_t kToldAtOnce = 64 << 10;
constexpr std::byte kQuestion{};  // offered where there is no room, to hear of other reasons

}  // namespace

QuicStream& QuicCore::State::add_stream(std::int64_t id, bool is_inbound) {
    auto stream = std::make_unique<QuicStream>(id, is_inbound, incoming, outgoing);
    QuicStream& added = *stream;
    streams.emplace(id, std::move(stream));
    ngtcp2_conn_set_stream_user_data(connection, id, &added);
    return added;
}

void QuicCore::State::set_ready(QuicStream& stream) {
    has_output = true;
    if (stream.in_ready || stream.is_refused) return;
    stream.in_ready = true;
    ready.push_back(&stream);
}

void QuicCore::State::set_changed(QuicStream& stream) {
    if (stream.in_changed || stream.is_released) return;
    stream.in_changed = true;
    changed.push_back(&stream);
}

void QuicCore::State::forget_received(QuicStream& stream) {
    ngtcp2_conn_extend_max_offset(connection, stream.received.size());
    stream.received.clear();
    has_output = true;
}

void QuicCore::State::refuse_output(QuicStream& stream) {
    stream.is_refused = true;
    stream.is_cut = stream.is_cut || stream.is_writing;
    stream.is_writing = false;
    stream.parts = {};
    stream.unsent = 0;
    set_changed(stream);
}

void QuicCore::State::remove_if_over(QuicStream& stream) {
    if (!stream.is_over || !stream.is_released) return;
    if (stream.in_ready) std::erase(ready, &stream);
    if (stream.in_changed) std::erase(changed, &stream);
    if (stream.is_inbound) {
        ngtcp2_conn_extend_max_streams_bidi(connection, 1);
        has_output = true;
    }
    streams.erase(stream.id);
}

// Copies of the write under way what the peer has room for, and little more than may be sent now.
void QuicCore::State::take_parts(QuicStream& stream) {
    if (!stream.is_writing) return;
    const std::size_t ahead = stream.sending.unsent_size();
    const std::size_t held = outgoing.bytes_in_use();
    const std::uint64_t grant = granted(stream);
    std::size_t room = std::min(kCopiedAhead - std::min(ahead, kCopiedAhead),
                                options.limits->quic_unacknowledged_max -
                                    std::min(held, options.limits->quic_unacknowledged_max));
    room = std::min<std::size_t>(room, grant - std::min<std::uint64_t>(ahead, grant));
    while (room > 0 && !stream.parts.empty()) {
        const Bytes rest = stream.parts.front().subspan(stream.offset);
        const std::size_t wanted = std::min(room, rest.size());
        const std::size_t taken = stream.sending.append(rest.first(wanted));
        stream.offset += taken;
        stream.unsent -= taken;
        room -= taken;
        if (taken < wanted) break;
        if (stream.offset < stream.parts.front().size()) continue;
        stream.parts = stream.parts.subspan(1);
        stream.offset = 0;
    }
    if (stream.unsent > 0) return;
    stream.parts = {};
    stream.is_writing = false;
    set_changed(stream);
}

// What the peer lets us send on the stream now.
std::uint64_t QuicCore::State::granted(const QuicStream& stream) const {
    return std::min(ngtcp2_conn_get_max_stream_data_left(connection, stream.id),
                    ngtcp2_conn_get_max_data_left(connection));
}

// As ngtcp2_conn_writev_stream.
ngtcp2_ssize QuicCore::State::write_stream(QuicStream& stream,
                                           ngtcp2_path& path,
                                           MutableBytes into,
                                           ngtcp2_tstamp now) {
    take_parts(stream);
    Bytes bytes = stream.sending.unsent();
    const bool is_last = bytes.size() == stream.sending.unsent_size() && stream.unsent == 0;
    const bool is_fin = is_last && stream.fin == QuicStream::Fin::wanted;
    if (bytes.empty() && !is_fin) {
        if (!stream.is_writing || granted(stream) > 0) return NGTCP2_ERR_STREAM_DATA_BLOCKED;
        bytes = Bytes(&kQuestion, 1);
    }
    ngtcp2_vec piece{.base = const_cast<std::uint8_t*>(in(bytes)), .len = bytes.size()};
    std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
    if (is_fin) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    ngtcp2_ssize taken = -1;
    const ngtcp2_ssize written = ngtcp2_conn_writev_stream(connection,
                                                           &path,
                                                           nullptr,
                                                           out(into),
                                                           into.size(),
                                                           &taken,
                                                           flags,
                                                           stream.id,
                                                           &piece,
                                                           bytes.empty() ? 0 : 1,
                                                           now);
    if (taken < 0) return written;
    stream.sending.mark_sent(static_cast<std::size_t>(taken));
    if (is_fin && static_cast<std::size_t>(taken) == bytes.size())
        stream.fin = QuicStream::Fin::sent;
    return written;
}

bool QuicCore::is_open_blocked() const {
    return !state_->is_handshaken || ngtcp2_conn_get_streams_bidi_left(state_->connection) == 0;
}

QuicStream& QuicCore::open() {
    std::int64_t id = -1;
    const int error = ngtcp2_conn_open_bidi_stream(state_->connection, &id, nullptr);
    KWAAI_CHECK(error == 0, "a stream is opened where the peer allows one");
    return state_->add_stream(id, false);
}

bool QuicCore::has_incoming() const {
    return !state_->arrived.empty();
}

QuicStream* QuicCore::accept() {
    if (state_->arrived.empty() || is_refusing()) return nullptr;
    QuicStream* const next = state_->arrived.front();
    state_->arrived.pop_front();
    return next;
}

std::size_t QuicCore::read(QuicStream& stream, MutableBytes into) {
    const std::size_t count = stream.received.read(into);
    if (count == 0 || is_ended()) return count;
    ngtcp2_conn_extend_max_offset(state_->connection, count);
    if (!stream.is_over) ngtcp2_conn_extend_max_stream_offset(state_->connection, stream.id, count);
    stream.unannounced += count;
    state_->unannounced += count;
    const Limits& limits = *state_->options.limits;
    const bool is_due =
        stream.unannounced >= std::min(kToldAtOnce, limits.quic_window_initial / 4) ||
        state_->unannounced >= std::min(kToldAtOnce, limits.quic_window_total / 4);
    if (!is_due) return count;
    stream.unannounced = state_->unannounced = 0;
    state_->has_output = true;
    return count;
}

Result<> QuicCore::begin_write(QuicStream& stream, std::span<const Bytes> parts) {
    if (stream.fin != QuicStream::Fin::none)
        return fail(Errc::invalid_argument, "quic: writing after the end of writing");
    if (auto why = failure(stream)) return std::unexpected<Error>(std::move(*why));
    if (stream.is_refused) return fail(Errc::closed, "quic: the peer reads no more of this stream");
    stream.parts = parts;
    stream.offset = 0;
    stream.unsent = 0;
    for (const Bytes part : parts)
        stream.unsent += part.size();
    stream.is_writing = stream.unsent > 0;
    if (stream.is_writing) state_->set_ready(stream);
    return {};
}

void QuicCore::abort_write(QuicStream& stream) {
    if (!stream.is_writing) return;
    stream.is_writing = false;
    stream.is_cut = true;
    stream.parts = {};
    stream.unsent = 0;
}

Result<> QuicCore::shutdown_write(QuicStream& stream) {
    if (auto why = failure(stream)) return std::unexpected<Error>(std::move(*why));
    if (stream.fin != QuicStream::Fin::none || stream.is_refused) return {};
    stream.fin = QuicStream::Fin::wanted;
    state_->set_ready(stream);
    return {};
}

void QuicCore::close(QuicStream& stream) {
    if (is_ended() || stream.is_writing || stream.is_cut) {
        reset(stream, 0);
        return;
    }
    if (stream.fin == QuicStream::Fin::none) stream.fin = QuicStream::Fin::wanted;
    state_->set_ready(stream);
    if (!stream.is_over && !stream.is_finished_by_peer && stream.end == QuicStream::End::none)
        ngtcp2_conn_shutdown_stream_read(state_->connection, stream.id, 0);
    state_->forget_received(stream);
    stream.is_released = true;
    state_->remove_if_over(stream);
}

void QuicCore::reset(QuicStream& stream, std::uint32_t code) {
    if (!stream.is_over && !is_ended())
        ngtcp2_conn_shutdown_stream(state_->connection, stream.id, code);
    state_->refuse_output(stream);
    state_->forget_received(stream);
    stream.is_released = true;
    state_->remove_if_over(stream);
}

std::optional<Error> QuicCore::failure(const QuicStream& stream) const {
    switch (stream.end) {
        case QuicStream::End::none: return std::nullopt;
        case QuicStream::End::reset_by_peer:
            return Error{
                Errc::closed,
                "quic: the peer reset the stream (code " + std::to_string(stream.reset_code) + ")"};
        case QuicStream::End::out_of_memory:
            return Error{Errc::closed,
                         "quic: the stream was reset: no memory for what was not read"};
        case QuicStream::End::session_ended:
            return Error{Errc::closed, reason() ? reason()->context : "quic: ended"};
    }
    return std::nullopt;
}

void QuicCore::take_changed(std::vector<QuicStream*>& changed) {
    changed.clear();
    changed.swap(state_->changed);
    for (QuicStream* const stream : changed)
        stream->in_changed = false;
}

}  // namespace kwaai::p2p
