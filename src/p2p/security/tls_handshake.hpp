// The handshake of TLS over a stream.
#pragma once
#include <cstddef>

#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "crypto/tls_engine.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"

namespace kwaai::p2p {

/// Moves bytes between `raw` and `engine` until its handshake is done; both outlive it. Where it
/// fails, the peer is told why, if it listens. Errors of TlsEngine::handshake; `Errc::closed` where
/// the peer ends the connection, `limit_exceeded` for more than `bytes_max`. No time limit of its
/// own.
/// @param residue bytes of the peer that were read already
/// @param bytes_max what is read before the peer is known
io::Task<Result<>> shake_hands(io::Stream& raw,
                               crypto::TlsEngine& engine,
                               codec::Buffer residue,
                               std::size_t bytes_max);

}  // namespace kwaai::p2p
