#include "p2p/transport/secure_websocket.hpp"

#include <utility>

#include "p2p/limits.hpp"
#include "p2p/security/tls_handshake.hpp"
#include "p2p/security/tls_stream.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kNamesTold = 4;
constexpr std::size_t kHandshakeBytesMax = Limits().tls_handshake_bytes_max;

io::Task<Result<std::unique_ptr<io::Stream>>> secured(std::unique_ptr<io::Stream> raw,
                                                      crypto::TlsEngine engine) {
    codec::Buffer nothing;
    KWAAI_CO_CHECKED(co_await shake_hands(*raw, engine, std::move(nothing), kHandshakeBytesMax));
    co_return make_tls_stream(std::move(raw), std::move(engine));
}

// Names that an address can hold.
std::vector<std::string> told_names(const crypto::WebServerTls& tls) {
    std::vector<std::string> names;
    for (const std::string& name : tls.names()) {
        const auto alone = Multiaddr::parse("/dns/" + name);
        if (alone && alone->parts().size() == 1 && names.size() < kNamesTold) names.push_back(name);
    }
    return names;
}

}  // namespace

io::Task<Result<std::unique_ptr<io::Stream>>> secure_web_client(
    std::unique_ptr<io::Stream> raw,
    std::shared_ptr<const crypto::WebClientTls> tls,
    std::string name) {
    KWAAI_CO_TRY(crypto::TlsEngine engine, tls->connect(name));
    auto securing = secured(std::move(raw), std::move(engine));
    auto stream = co_await std::move(securing);
    co_return stream;
}

io::Task<Result<std::unique_ptr<io::Stream>>> secure_web_server(
    std::unique_ptr<io::Stream> raw, std::shared_ptr<const crypto::WebServerTls> tls) {
    auto securing = secured(std::move(raw), tls->accept());
    auto stream = co_await std::move(securing);
    co_return stream;
}

std::vector<Multiaddr> secure_addresses(const io::Address& socket,
                                        const crypto::WebServerTls& tls) {
    const std::vector<std::string> names = told_names(tls);
    const bool is_named = !names.empty() && !tls.is_for_ip(socket.host);
    std::vector<Multiaddr> all;
    if (auto own = Multiaddr::of(
            socket, Transport::secure_websocket, is_named ? names.front() : std::string()))
        all.push_back(std::move(*own));
    const std::string kind = socket.host.contains(':') ? "/dns6/" : "/dns4/";
    const std::string behind = "/tcp/" + std::to_string(socket.port) + "/tls/ws";
    for (const std::string& name : names) {
        std::string text = kind;
        if (auto at_name = Multiaddr::parse(text.append(name).append(behind)))
            all.push_back(std::move(*at_name));
    }
    return all;
}

}  // namespace kwaai::p2p
