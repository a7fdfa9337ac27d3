#include "interop/peer_changes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "interop/peer_services.hpp"
#include "io/read_exactly.hpp"

namespace kwaai::interop {
namespace {

constexpr const char* kNewsProtocol = "/interop/news/1.0.0";
constexpr const char* kLeaveProtocol = "/interop/leave/1.0.0";
constexpr const char* kLaterProtocol = "interop-later";
constexpr const char* kSlashedProtocol = "/interop/later/1.0.0";  // rust-libp2p knows no others
constexpr std::chrono::milliseconds kLook{20};
constexpr int kLooksMax = 500;

using Byte = std::array<std::byte, 1>;

io::Task<void> serve_news(p2p::Host& host, std::unique_ptr<p2p::Stream> stream) {
    host.handle(kLaterProtocol, serve_echo);
    host.handle(kSlashedProtocol, serve_echo);
    const Byte one{};
    const Bytes bytes(one);
    const Result<> said = co_await stream->write(bytes);
    if (said) stream->close();
}

io::Task<void> serve_leave(p2p::Host& host, std::unique_ptr<p2p::Stream> stream) {
    Byte one{};
    const MutableBytes space(one);
    const auto count = co_await stream->read_some(space);
    static_cast<void>(count);
    host.disconnect(stream->remote_peer());
}

// The protocol that came later, if it did.
std::string later_of(const p2p::Host& host, const p2p::PeerId& peer) {
    const std::vector<p2p::PeerInfo> peers = host.peers();
    const auto info = std::ranges::find(peers, peer, &p2p::PeerInfo::peer);
    if (info == peers.end()) return {};
    for (const char* const name : {kLaterProtocol, kSlashedProtocol})
        if (std::ranges::find(info->protocols, name) != info->protocols.end()) return name;
    return {};
}

io::Task<bool> becomes_true(io::Clock& clock, std::function<bool()> look) {
    for (int i = 0; i < kLooksMax && !look(); ++i)
        co_await clock.sleep_for(kLook);
    co_return look();
}

}  // namespace

void add_change_services(p2p::Host& host) {
    host.handle(kNewsProtocol, std::bind_front(serve_news, std::ref(host)));
    host.handle(kLeaveProtocol, std::bind_front(serve_leave, std::ref(host)));
}

io::Task<Result<>> see_news(p2p::Host& host,
                            io::Clock& clock,
                            p2p::PeerId peer,
                            json::Writer& out) {
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> asking,
                 co_await host.open(peer, kNewsProtocol));
    Byte byte{};
    const MutableBytes space(byte);
    KWAAI_CO_CHECKED(co_await io::read_exactly(*asking, space));
    asking->close();
    std::function<bool()> look = [&host, &peer] {
        return !later_of(host, peer).empty();
    };
    auto waiting = becomes_true(clock, std::move(look));
    out.member("push_seen", co_await std::move(waiting));
    const std::string name = later_of(host, peer);
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> later, co_await host.open(peer, name));
    const Bytes sent(byte);
    KWAAI_CO_CHECKED(co_await later->write(sent));
    KWAAI_CO_CHECKED(co_await io::read_exactly(*later, space));
    later->close();
    out.member("slashless_ok", name == kLaterProtocol);
    co_return Result<>();
}

io::Task<Result<>> see_leave(p2p::Host& host,
                             io::Clock& clock,
                             p2p::PeerId peer,
                             json::Writer& out) {
    KWAAI_CO_TRY(const std::unique_ptr<p2p::Stream> asking,
                 co_await host.open(peer, kLeaveProtocol));
    const Byte one{};
    const Bytes bytes(one);
    KWAAI_CO_CHECKED(co_await asking->write(bytes));
    std::function<bool()> look = [&host, &peer] {
        return !host.is_connected(peer);
    };
    auto waiting = becomes_true(clock, std::move(look));
    out.member("leave_seen", co_await std::move(waiting));
    co_return Result<>();
}

}  // namespace kwaai::interop
