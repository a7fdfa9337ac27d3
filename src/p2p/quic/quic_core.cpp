#include "p2p/quic/quic_core.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/check.hpp"
#include "crypto/random.hpp"
#include "p2p/quic/quic_core_state.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::milliseconds kFlushTime{250};  // for what was written before close()
constexpr std::size_t kIdsOfPeerMax = 4;
constexpr std::uint64_t kCryptoErrorFirst = 0x100;  // and a TLS alert
constexpr std::size_t kBurstsInWindow = 6;
constexpr std::size_t kBurstPacketsMin = 5;

std::uint64_t nanoseconds_of(io::Duration duration) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(duration).count());
}

bool is_nothing_to_send(ngtcp2_ssize written) {
    return written == NGTCP2_ERR_STREAM_DATA_BLOCKED || written == NGTCP2_ERR_STREAM_SHUT_WR ||
           written == NGTCP2_ERR_STREAM_NOT_FOUND;
}

}  // namespace

QuicCore::State::State(const QuicCoreOptions& some_options, bool is_of_server)
    : options(some_options),
      is_server(is_of_server),
      tls(make_quic_tls(*options.identity, is_of_server)),
      incoming(options.account),
      outgoing(options.account) {
    if (is_of_server) peer.signatures = options.identity->state().signatures.get();
    refer_to(*this);
}

QuicCore::State::~State() {
    ngtcp2_conn_del(connection);
    gnutls_deinit(tls);
}

ngtcp2_settings QuicCore::State::settings(io::TimePoint now) const {
    ngtcp2_settings all;
    ngtcp2_settings_default(&all);
    all.initial_ts = stamp_of(now);
    all.max_window = options.limits->quic_window_total;  // as at first: it does not grow
    all.max_stream_window = options.limits->quic_window_max;
    all.handshake_timeout = nanoseconds_of(options.limits->handshake_timeout);
    all.max_tx_udp_payload_size = 1452;  // of Ethernet; found out, not assumed
    return all;
}

ngtcp2_transport_params QuicCore::State::parameters() const {
    const Limits& limits = *options.limits;
    ngtcp2_transport_params all;
    ngtcp2_transport_params_default(&all);
    all.initial_max_stream_data_bidi_local = limits.quic_window_initial;
    all.initial_max_stream_data_bidi_remote = limits.quic_window_initial;
    all.initial_max_data = limits.quic_window_total;
    all.initial_max_streams_bidi = limits.quic_streams_max;
    all.initial_max_streams_uni = 0;  // libp2p has none
    all.max_idle_timeout = nanoseconds_of(limits.quic_idle_timeout);
    all.active_connection_id_limit = kIdsOfPeerMax;
    all.disable_active_migration = 1;
    return all;
}

void QuicCore::State::start_client(const ngtcp2_callbacks& callbacks, io::TimePoint now) {
    QuicAddress local(options.local);
    QuicAddress remote(options.remote);
    const ngtcp2_path path{.local = local.view(), .remote = remote.view(), .user_data = nullptr};
    const ngtcp2_settings all = settings(now);
    const ngtcp2_transport_params params = parameters();
    const QuicId own = make_quic_id();
    const ngtcp2_cid source = cid_of(own);
    const ngtcp2_cid destination = cid_of(make_quic_id());
    const int error = ngtcp2_conn_client_new(&connection,
                                             &destination,
                                             &source,
                                             &path,
                                             NGTCP2_PROTO_VER_V1,
                                             &callbacks,
                                             &all,
                                             &params,
                                             nullptr,
                                             this);
    KWAAI_CHECK(error == 0 && ngtcp2_crypto_gnutls_configure_client_session(tls) == 0,
                "ngtcp2 makes a client");
    ngtcp2_conn_set_tls_native_handle(connection, tls);
    if (options.observer != nullptr) options.observer->id_added(own);
}

void QuicCore::State::start_server(const ngtcp2_callbacks& callbacks,
                                   const QuicHello& hello,
                                   io::TimePoint now) {
    QuicAddress local(options.local);
    QuicAddress remote(options.remote);
    const ngtcp2_path path{.local = local.view(), .remote = remote.view(), .user_data = nullptr};
    ngtcp2_settings all = settings(now);
    ngtcp2_transport_params params = parameters();
    params.original_dcid = cid_of(hello.original.value_or(hello.destination));
    if (hello.original) {
        params.retry_scid_present = 1;
        params.retry_scid = cid_of(hello.destination);
        all.token = {.base = const_cast<std::uint8_t*>(in(hello.token)), .len = hello.token.size()};
    }
    const QuicId own = make_quic_id();
    const ngtcp2_cid source = cid_of(own);
    const ngtcp2_cid destination = cid_of(hello.source);
    params.stateless_reset_token_present = 1;
    write_reset_token(*options.identity, source, params.stateless_reset_token);
    const int error = ngtcp2_conn_server_new(&connection,
                                             &destination,
                                             &source,
                                             &path,
                                             hello.version,
                                             &callbacks,
                                             &all,
                                             &params,
                                             nullptr,
                                             this);
    KWAAI_CHECK(error == 0 && ngtcp2_crypto_gnutls_configure_server_session(tls) == 0,
                "ngtcp2 makes a server");
    ngtcp2_conn_set_tls_native_handle(connection, tls);
    if (options.observer == nullptr) return;
    options.observer->id_added(own);
    options.observer->id_added(hello.destination);
}

void QuicCore::State::end(Error why) {
    if (reason) return;
    reason = std::move(why);
    for (QuicStream* const unknown : std::exchange(arrived, {}))
        unknown->is_released = true;
    std::vector<QuicStream*> released;
    for (const auto& [id, stream] : streams) {
        if (stream->end == QuicStream::End::none) stream->end = QuicStream::End::session_ended;
        refuse_output(*stream);
        stream->is_over = true;
        if (stream->is_released) released.push_back(stream.get());
    }
    for (QuicStream* const stream : released)
        remove_if_over(*stream);
    has_output = true;
}

Error QuicCore::State::farewell() const {
    ngtcp2_connection_close_error told{};
    ngtcp2_conn_get_connection_close_error(connection, &told);
    const std::string code = std::to_string(told.error_code);
    if (told.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION)
        return {Errc::closed, "quic: the peer closed the connection (code " + code + ")"};
    if (told.error_code == NGTCP2_NO_ERROR)
        return {Errc::closed, "quic: the peer closed the connection"};
    if (told.error_code == NGTCP2_CONNECTION_REFUSED)
        return {Errc::unavailable, "quic: the peer takes no connection now"};
    if (told.error_code >= kCryptoErrorFirst && told.error_code < 2 * kCryptoErrorFirst)
        return {Errc::malformed,
                "quic: the peer refused the handshake (TLS alert " +
                    std::to_string(told.error_code - kCryptoErrorFirst) + ")"};
    return {Errc::malformed, "quic: the peer broke off the connection (error " + code + ")"};
}

void QuicCore::State::fail_with(int error) {
    has_output = true;
    if (reason || failure) return;
    if (is_confirmed_early)
        return end({Errc::malformed, "quic: the server confirms a handshake that is not over"});
    if (error == NGTCP2_ERR_DRAINING) return end(farewell());
    if (error == NGTCP2_ERR_IDLE_CLOSE || error == NGTCP2_ERR_HANDSHAKE_TIMEOUT)
        return end({Errc::timed_out, "quic: the peer answers no more"});
    if (error == NGTCP2_ERR_DROP_CONN || error == NGTCP2_ERR_RETRY)
        return end({Errc::malformed, "quic: no handshake"});
    if (error == NGTCP2_ERR_CLOSING) return end({Errc::closed, "quic: closed"});
    ngtcp2_connection_close_error told{};
    ngtcp2_connection_close_error_default(&told);
    if (error == NGTCP2_ERR_CRYPTO)
        ngtcp2_connection_close_error_set_transport_error_tls_alert(
            &told, ngtcp2_conn_get_tls_alert(connection), nullptr, 0);
    else
        ngtcp2_connection_close_error_set_transport_error_liberr(&told, error, nullptr, 0);
    failure = told;
    failure_reason = peer.refusal
                         ? *std::exchange(peer.refusal, std::nullopt)
                         : Error{Errc::malformed, std::string("quic: ") + ngtcp2_strerror(error)};
}

// Until the streams' last bytes have arrived, for a short time.
bool QuicCore::State::is_close_due(io::TimePoint now) const {
    if (!is_closing) return false;
    if (now >= close_by || !is_handshaken) return true;
    return outgoing.bytes_in_use() == 0 && ready.empty();
}

ngtcp2_ssize QuicCore::State::write_close(ngtcp2_path& path, MutableBytes into, ngtcp2_tstamp now) {
    ngtcp2_connection_close_error told{};
    if (failure) {
        told = *failure;
    } else {
        ngtcp2_connection_close_error_default(&told);
        ngtcp2_connection_close_error_set_application_error(&told, 0, nullptr, 0);
    }
    const ngtcp2_ssize written = ngtcp2_conn_write_connection_close(
        connection, &path, nullptr, out(into), into.size(), &told, now);
    end(failure ? *failure_reason : Error{Errc::closed, "quic: the connection was closed"});
    return std::max<ngtcp2_ssize>(written, 0);
}

ngtcp2_ssize QuicCore::State::write_packet(ngtcp2_path& path,
                                           MutableBytes into,
                                           ngtcp2_tstamp now) {
    std::size_t left = ready.size();
    while (left > 0 && !ready.empty()) {
        QuicStream& stream = *ready.front();
        const ngtcp2_ssize written =
            stream.is_refused ? NGTCP2_ERR_STREAM_SHUT_WR : write_stream(stream, path, into, now);
        const bool has_more = written == NGTCP2_ERR_WRITE_MORE;
        if (!has_more && !is_nothing_to_send(written)) return written;
        ready.pop_front();
        // Nobody tells when the peer stops reading a stream (STOP_SENDING), or when the whole
        // connection or the memory has room again: whoever waits is asked each time.
        if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED)
            stream.in_ready = stream.is_writing || stream.sending.unsent_size() > 0;
        else
            stream.in_ready = has_more;
        if (!has_more && written != NGTCP2_ERR_STREAM_DATA_BLOCKED) refuse_output(stream);
        if (stream.in_ready) ready.push_back(&stream);
        if (!has_more) --left;
    }
    return ngtcp2_conn_writev_stream(connection,
                                     &path,
                                     nullptr,
                                     out(into),
                                     into.size(),
                                     nullptr,
                                     NGTCP2_WRITE_STREAM_FLAG_NONE,
                                     -1,
                                     nullptr,
                                     0,
                                     now);
}

// Of one batch. Were it all of the congestion window, we should wait while the peer works on it and
// the peer while we do; the round trip would then take so long that ngtcp2, which measures windows
// by the shortest one, would not let this one grow.
std::size_t QuicCore::State::burst_bytes() const {
    ngtcp2_conn_stat stat{};
    ngtcp2_conn_get_conn_stat(connection, &stat);
    const std::size_t burst = std::max<std::size_t>(
        stat.cwnd / kBurstsInWindow,
        kBurstPacketsMin * ngtcp2_conn_get_path_max_tx_udp_payload_size(connection));
    return std::min(burst, stat.send_quantum);
}

QuicCore::QuicCore(const QuicCoreOptions& options, const PeerId& expected, io::TimePoint now)
    : state_(std::make_unique<State>(options, false)) {
    state_->peer.expected = expected;
    state_->start_client(quic_callbacks(false), now);
}

QuicCore::QuicCore(const QuicCoreOptions& options, const QuicHello& hello, io::TimePoint now)
    : state_(std::make_unique<State>(options, true)) {
    state_->start_server(quic_callbacks(true), hello, now);
}

QuicCore::~QuicCore() = default;

void QuicCore::receive(const io::Endpoint& from, Bytes packet, io::TimePoint now) {
    State& state = *state_;
    if (state.reason || state.failure) return;
    QuicAddress local(state.options.local);
    QuicAddress remote(from);
    const ngtcp2_path path{.local = local.view(), .remote = remote.view(), .user_data = nullptr};
    const int error = ngtcp2_conn_read_pkt(
        state.connection, &path, nullptr, in(packet), packet.size(), stamp_of(now));
    state.has_output = true;
    if (error != 0) state.fail_with(error);
}

void QuicCore::on_time(io::TimePoint now) {
    State& state = *state_;
    if (state.reason || state.failure) return;
    if (now >= deadline()) state.has_output = true;
    // Also before the deadline: what paces packets takes part of a millisecond for none.
    const int error = ngtcp2_conn_handle_expiry(state.connection, stamp_of(now));
    if (error != 0) state.fail_with(error);
}

io::TimePoint QuicCore::deadline() const {
    const ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(state_->connection);
    constexpr auto kEnd = io::TimePoint::max();
    io::TimePoint due = kEnd;
    if (expiry < stamp_of(kEnd)) due = io::TimePoint(std::chrono::nanoseconds(expiry));
    return state_->is_closing ? std::min(due, state_->close_by) : due;
}

QuicCore::Batch QuicCore::produce(MutableBytes space, io::TimePoint now) {
    State& state = *state_;
    Batch batch;
    if (!state.kept.empty()) {
        std::ranges::copy(state.kept, space.begin());
        batch = {.to = state.kept_to,
                 .bytes = Bytes(space).first(state.kept.size()),
                 .packet_bytes = state.kept.size()};
        state.kept.clear();
        return batch;
    }
    const std::size_t burst = state.burst_bytes();
    const std::size_t size_max = ngtcp2_conn_get_max_tx_udp_payload_size(state.connection);
    std::size_t used = 0;
    for (std::size_t count = 0; count < io::kUdpBatchPacketsMax && used < burst; ++count) {
        if (state.reason || used + size_max > space.size()) break;
        ngtcp2_path_storage path;
        ngtcp2_path_storage_zero(&path);
        const MutableBytes into = space.subspan(used, size_max);
        const bool is_closing = state.failure || state.is_close_due(now);
        const ngtcp2_ssize written = is_closing
                                         ? state.write_close(path.path, into, stamp_of(now))
                                         : state.write_packet(path.path, into, stamp_of(now));
        if (written < 0) state.fail_with(static_cast<int>(written));
        if (written < 0) continue;
        if (state.is_handshaken) state.is_answered = true;
        if (written == 0) break;
        const auto size = static_cast<std::size_t>(written);
        const io::Endpoint to = endpoint_of(path.path.remote);
        if (used == 0) {
            batch.to = to;
            batch.packet_bytes = size;
        } else if (size > batch.packet_bytes || to != batch.to) {
            state.kept.assign(into.begin(), into.begin() + written);
            state.kept_to = to;
            break;
        }
        used += size;
        if (size < batch.packet_bytes) break;
    }
    // No pace is known before the first round trip: ngtcp2, which takes it for 333 ms, would hold
    // back the handshake's next flight for 20 ms. The first window may leave at once (RFC
    // 9002, 7.7).
    if (used > 0 && round_trip_time())
        ngtcp2_conn_update_pkt_tx_time(state.connection, stamp_of(now));
    if (used == 0) state.has_output = false;
    batch.bytes = Bytes(space).first(used);
    return batch;
}

bool QuicCore::is_handshaken() const {
    return state_->is_handshaken;
}

const std::optional<crypto::PublicKey>& QuicCore::remote_key() const {
    return state_->peer.key;
}

bool QuicCore::is_refusing() const {
    return state_->is_closing || state_->reason || state_->failure;
}

const std::optional<Error>& QuicCore::reason() const {
    return state_->reason;
}

std::optional<std::chrono::nanoseconds> QuicCore::round_trip_time() const {
    ngtcp2_conn_stat stat{};
    ngtcp2_conn_get_conn_stat(state_->connection, &stat);
    if (stat.first_rtt_sample_ts == UINT64_MAX) return std::nullopt;
    return std::chrono::nanoseconds(stat.smoothed_rtt);
}

std::size_t QuicCore::stream_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        state_->streams, [](const auto& entry) { return !entry.second->is_released; }));
}

void QuicCore::close(io::TimePoint now) {
    if (is_refusing()) return;
    state_->is_closing = true;
    state_->close_by = now + kFlushTime;
    state_->has_output = true;
}

void QuicCore::end(Error why) {
    state_->end(std::move(why));
}

bool QuicCore::has_output() const {
    return state_->has_output || !state_->kept.empty();
}

}  // namespace kwaai::p2p
