#include "p2p/transport/shared_port.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "http/websocket.hpp"
#include "p2p/prefixed_stream.hpp"
#include "p2p/transport/secure_websocket.hpp"

namespace kwaai::p2p {
namespace {

struct Beginning {
    std::string_view bytes;
    FirstBytes kind;
};

constexpr std::array kBeginnings = {
    Beginning{"\x13/m", FirstBytes::multistream},
    Beginning{"GET ", FirstBytes::http},
    Beginning{"\x16\x03", FirstBytes::tls},
};

constexpr std::size_t kReadBytes = 512;  // a dialler's whole first flight

}  // namespace

std::optional<FirstBytes> recognise(Bytes bytes) {
    const std::string_view text = as_text(bytes);
    for (const Beginning& one : kBeginnings) {
        if (text.starts_with(one.bytes)) return one.kind;
        if (one.bytes.starts_with(text)) return std::nullopt;
    }
    return FirstBytes::unknown;
}

io::Task<Result<Recognised>> recognise_transport(std::unique_ptr<io::Stream> raw,
                                                 std::shared_ptr<const crypto::WebServerTls> web) {
    std::vector<std::byte> first(kReadBytes);
    std::size_t filled = 0;
    std::optional<FirstBytes> kind;
    while (!kind) {
        const MutableBytes rest = std::span(first).subspan(filled);
        KWAAI_CO_TRY(const std::size_t count, co_await raw->read_some(rest));
        if (count == 0) co_return fail(Errc::closed, "the stream ended before it said anything");
        filled += count;
        kind = recognise(Bytes(first).first(filled));
    }
    first.resize(filled);
    std::unique_ptr<io::Stream> stream = prefix_stream(std::move(raw), std::move(first));
    switch (*kind) {
        case FirstBytes::multistream: co_return Recognised{.stream = std::move(stream)};
        case FirstBytes::http:
        case FirstBytes::tls: break;
        case FirstBytes::unknown:
            co_return fail(Errc::malformed, "neither multistream-select nor HTTP");
    }
    Transport transport = Transport::websocket;
    if (*kind == FirstBytes::tls) {
        if (web == nullptr)
            co_return fail(Errc::unsupported, "there is no certificate for TLS below libp2p");
        KWAAI_CO_TRY(stream, co_await secure_web_server(std::move(stream), std::move(web)));
        transport = Transport::secure_websocket;
    }
    const http::WebSocketLimits limits;
    KWAAI_CO_TRY(std::unique_ptr<io::Stream> messages,
                 co_await http::accept_websocket(std::move(stream), limits));
    co_return Recognised{.stream = std::move(messages), .transport = transport};
}

}  // namespace kwaai::p2p
