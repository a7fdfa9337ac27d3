// A stream whose bytes travel in the records of TLS.
#pragma once
#include <memory>

#include "crypto/tls_engine.hpp"
#include "io/stream.hpp"

namespace kwaai::p2p {

/// As io::Stream, over `raw`, which it owns, with an engine whose handshake is done. Whatever
/// fails, a record of the peer included (`Errc::malformed`), closes it; later calls give
/// `Errc::closed`. Only the peer's close_notify is an end: one of `raw` without it is
/// `Errc::closed`, since anybody on the way can cut a connection off. Buffers grow to their bound,
/// and go once they are little used.
[[nodiscard]] std::unique_ptr<io::Stream> make_tls_stream(std::unique_ptr<io::Stream> raw,
                                                          crypto::TlsEngine engine);

}  // namespace kwaai::p2p
