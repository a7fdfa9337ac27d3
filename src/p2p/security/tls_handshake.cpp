#include "p2p/security/tls_handshake.hpp"

#include <array>
#include <string>

namespace kwaai::p2p {

io::Task<Result<>> shake_hands(io::Stream& raw,
                               crypto::TlsEngine& engine,
                               codec::Buffer residue,
                               std::size_t bytes_max) {
    engine.feed(residue);
    std::array<std::byte, 4096> chunk;
    std::size_t total = residue.size();
    for (;;) {
        const Result<bool> is_done = engine.handshake();
        codec::Buffer flight;
        engine.take_output(flight);
        if (!flight.empty()) {
            const Bytes bytes(flight);
            const Result<> sent = co_await raw.write(bytes);
            if (is_done && !sent) co_return sent;
        }
        if (!is_done) co_return std::unexpected<Error>(is_done.error());
        if (*is_done) co_return Result<>();
        KWAAI_CO_TRY(const std::size_t count, co_await raw.read_some(chunk));
        if (count == 0)
            co_return fail(Errc::closed, "the peer ended the connection during the handshake");
        total += count;
        if (total > bytes_max)
            co_return fail(Errc::limit_exceeded,
                           "a handshake of more than " + std::to_string(bytes_max) + " bytes");
        engine.feed(Bytes(chunk).first(count));
    }
}

}  // namespace kwaai::p2p
