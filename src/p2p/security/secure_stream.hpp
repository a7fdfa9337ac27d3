// A stream whose bytes travel in sealed records.
#pragma once
#include <memory>

#include "codec/buffer.hpp"
#include "io/stream.hpp"
#include "p2p/security/noise_state.hpp"

namespace kwaai::p2p {

/// As io::Stream, over `raw`, which it owns. Whatever fails, a record of the peer included
/// (`Errc::malformed`), closes it; later calls give `Errc::closed`. An end of `raw` inside a record
/// is malformed, between two an end: that nothing was cut off is for the muxer to know.
/// @param held leaves in front of the first write, or by itself once read_some() or
///   shutdown_write() come before that. A read_some() that is cancelled while that is under way
///   breaks the stream; any other loses nothing.
/// @param residue bytes of records that were read with the handshake
[[nodiscard]] std::unique_ptr<io::Stream> make_secure_stream(std::unique_ptr<io::Stream> raw,
                                                             NoiseCiphers ciphers,
                                                             codec::Buffer held,
                                                             Bytes residue);

}  // namespace kwaai::p2p
