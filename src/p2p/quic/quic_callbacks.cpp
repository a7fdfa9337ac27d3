// What ngtcp2 calls.
#include "base/check.hpp"
#include "crypto/random.hpp"
#include "p2p/quic/quic_core_state.hpp"

namespace kwaai::p2p {
namespace {

QuicCore::State& state_of(void* user) {
    return *static_cast<QuicCore::State*>(user);
}

QuicStream* stream_of(void* stream_user) {
    return static_cast<QuicStream*>(stream_user);
}

int handshake_completed(ngtcp2_conn* connection, void* user) {
    QuicCore::State& state = state_of(user);
    if (!state.peer.key || !has_agreed_on_libp2p(state.tls)) return NGTCP2_ERR_CALLBACK_FAILURE;
    state.is_handshaken = true;
    const auto keep_alive = state.options.limits->quic_keep_alive;
    ngtcp2_conn_set_keep_alive_timeout(
        connection, static_cast<ngtcp2_duration>(std::chrono::nanoseconds(keep_alive).count()));
    return 0;
}

// By a server that cannot have the end of our handshake yet. ngtcp2 has forgotten the handshake by
// now, but believes it to be under way until it has written that end, and would crash there: it
// must not go on.
int handshake_confirmed(ngtcp2_conn* /*connection*/, void* user) {
    QuicCore::State& state = state_of(user);
    if (state.is_server || state.is_answered) return 0;
    state.is_confirmed_early = true;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

int stream_open(ngtcp2_conn* /*connection*/, std::int64_t id, void* user) {
    QuicCore::State& state = state_of(user);
    state.arrived.push_back(&state.add_stream(id, true));
    return 0;
}

int recv_stream_data(ngtcp2_conn* connection,
                     std::uint32_t flags,
                     std::int64_t id,
                     std::uint64_t /*offset*/,
                     const std::uint8_t* data,
                     std::size_t size,
                     void* user,
                     void* stream_user) {
    QuicCore::State& state = state_of(user);
    QuicStream* const stream = stream_of(stream_user);
    if (stream == nullptr || stream->is_released || stream->end != QuicStream::End::none) {
        ngtcp2_conn_extend_max_offset(connection, size);
        return 0;
    }
    if (!stream->received.append(std::as_bytes(std::span(data, size)))) {
        // Whoever does not read when there is no memory loses the stream.
        stream->end = QuicStream::End::out_of_memory;
        ngtcp2_conn_extend_max_offset(connection, size);
        state.forget_received(*stream);
        ngtcp2_conn_shutdown_stream(connection, id, 0);
        state.refuse_output(*stream);
    }
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) stream->is_finished_by_peer = true;
    state.set_changed(*stream);
    return 0;
}

int acked_stream_data(ngtcp2_conn* /*connection*/,
                      std::int64_t /*id*/,
                      std::uint64_t offset,
                      std::uint64_t size,
                      void* user,
                      void* stream_user) {
    QuicStream* const stream = stream_of(stream_user);
    if (stream == nullptr) return 0;
    stream->sending.acknowledge(offset + size);
    // Where memory, not the window, held up a write it goes on.
    if (stream->is_writing) state_of(user).set_ready(*stream);
    return 0;
}

int stream_close(ngtcp2_conn* connection,
                 std::uint32_t /*flags*/,
                 std::int64_t id,
                 std::uint64_t /*code*/,
                 void* user,
                 void* stream_user) {
    QuicStream* const stream = stream_of(stream_user);
    if (stream == nullptr) return 0;
    QuicCore::State& state = state_of(user);
    stream->is_over = true;
    ngtcp2_conn_set_stream_user_data(connection, id, nullptr);
    state.refuse_output(*stream);
    stream->sending.clear();
    state.remove_if_over(*stream);
    return 0;
}

int stream_reset(ngtcp2_conn* /*connection*/,
                 std::int64_t /*id*/,
                 std::uint64_t /*final_size*/,
                 std::uint64_t code,
                 void* user,
                 void* stream_user) {
    QuicStream* const stream = stream_of(stream_user);
    if (stream == nullptr || stream->end != QuicStream::End::none) return 0;
    QuicCore::State& state = state_of(user);
    stream->end = QuicStream::End::reset_by_peer;
    stream->reset_code = code;
    state.forget_received(*stream);
    state.set_changed(*stream);
    return 0;
}

int extend_max_stream_data(ngtcp2_conn* /*connection*/,
                           std::int64_t /*id*/,
                           std::uint64_t /*max_data*/,
                           void* user,
                           void* stream_user) {
    QuicStream* const stream = stream_of(stream_user);
    if (stream != nullptr) state_of(user).set_ready(*stream);
    return 0;
}

int get_new_connection_id(ngtcp2_conn* /*connection*/,
                          ngtcp2_cid* cid,
                          std::uint8_t* token,
                          std::size_t size,
                          void* user) {
    const QuicCore::State& state = state_of(user);
    KWAAI_CHECK(size == kQuicOwnIdBytes, "all ids of ours have one size");
    const QuicId id = make_quic_id();
    *cid = cid_of(id);
    write_reset_token(*state.options.identity, *cid, token);
    if (state.options.observer != nullptr) state.options.observer->id_added(id);
    return 0;
}

int remove_connection_id(ngtcp2_conn* /*connection*/, const ngtcp2_cid* cid, void* user) {
    const QuicCore::State& state = state_of(user);
    if (state.options.observer != nullptr) state.options.observer->id_removed(id_of(*cid));
    return 0;
}

void fill_random(std::uint8_t* into, std::size_t size, const ngtcp2_rand_ctx* /*context*/) {
    crypto::fill_random(std::as_writable_bytes(std::span(into, size)));
}

ngtcp2_conn* connection_of(ngtcp2_crypto_conn_ref* reference) {
    return static_cast<QuicCore::State*>(reference->user_data)->connection;
}

}  // namespace

QuicPeer* quic_peer_of(gnutls_session_t session) {
    const auto* const reference =
        static_cast<const ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
    return reference == nullptr ? nullptr : &state_of(reference->user_data).peer;
}

void refer_to(QuicCore::State& state) {
    state.reference = {.get_conn = connection_of, .user_data = &state};
    gnutls_session_set_ptr(state.tls, &state.reference);
}

ngtcp2_callbacks quic_callbacks(bool is_server) {
    ngtcp2_callbacks all{};
    if (is_server)
        all.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    else
        all.client_initial = ngtcp2_crypto_client_initial_cb;
    all.recv_retry = is_server ? nullptr : ngtcp2_crypto_recv_retry_cb;
    all.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    all.encrypt = ngtcp2_crypto_encrypt_cb;
    all.decrypt = ngtcp2_crypto_decrypt_cb;
    all.hp_mask = ngtcp2_crypto_hp_mask_cb;
    all.update_key = ngtcp2_crypto_update_key_cb;
    all.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    all.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    all.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    all.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    all.rand = fill_random;
    all.handshake_completed = handshake_completed;
    all.handshake_confirmed = handshake_confirmed;
    all.stream_open = stream_open;
    all.stream_close = stream_close;
    all.stream_reset = stream_reset;
    all.recv_stream_data = recv_stream_data;
    all.acked_stream_data_offset = acked_stream_data;
    all.extend_max_stream_data = extend_max_stream_data;
    all.get_new_connection_id = get_new_connection_id;
    all.remove_connection_id = remove_connection_id;
    return all;
}

}  // namespace kwaai::p2p
