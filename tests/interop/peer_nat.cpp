#include "interop/peer_nat.hpp"

#include <cstdint>
#include <utility>

#include "json/writer.hpp"

namespace kwaai::interop {
namespace {

std::string to_text(const Result<p2p::Reachability>& answer) {
    if (!answer) return answer.error().context;
    switch (*answer) {
        case p2p::Reachability::unknown: return "unknown";
        case p2p::Reachability::reachable: return "reachable";
        case p2p::Reachability::unreachable: return "unreachable";
    }
    return {};
}

// `address` at another place.
p2p::Multiaddr moved(const p2p::Multiaddr& address, std::string ip, std::uint16_t port) {
    const io::Address socket{.host = std::move(ip), .port = port};
    return p2p::Multiaddr::of(socket, address.target()->transport).value();
}

// Of the same machine, where nobody listens.
p2p::Multiaddr at_closed_port(const p2p::Multiaddr& address) {
    return moved(address, address.target()->host, 1);
}

// A machine that is not there: asking about it must be paid for.
p2p::Multiaddr elsewhere(const p2p::Multiaddr& address) {
    return moved(address, "5.6.7.77", 4001);
}

}  // namespace

NatNode::NatNode(io::Network& network, io::Clock& clock, p2p::Host& host, crypto::PrivateKey second)
    : host_(host),
      addresses_(host, clock, {}),
      autonat_(network,
               clock,
               host,
               addresses_,
               {.dialler = {.identity = std::move(second), .agent = "kwaai-interop/0.1"},
                .limits = {},
                .dial_back = {}}) {}

io::Task<void> NatNode::run() {
    co_await autonat_.run();
}

io::Task<std::string> NatNode::ask_v1(p2p::PeerId server, p2p::Multiaddr address) {
    std::vector<p2p::Multiaddr> addresses;
    addresses.push_back(std::move(address));
    const auto answer = co_await autonat_.client().ask_v1(std::move(server), std::move(addresses));
    co_return to_text(answer);
}

io::Task<std::string> NatNode::ask_v2(p2p::PeerId server, p2p::Multiaddr address) {
    const auto answer = co_await autonat_.client().ask_v2(std::move(server), std::move(address));
    co_return to_text(answer);
}

io::Task<std::string> NatNode::ask(std::string address) {
    json::Writer out;
    out.begin_object().member("impl", std::string_view("kwaai"));
    std::string failure;
    const auto target = p2p::Multiaddr::parse(address);
    if (!target) failure = target.error().context;
    if (target) {
        const auto peer = co_await host_.connect(*target);
        if (!peer) failure = peer.error().context;
        const p2p::Multiaddr own = host_.addresses().front().without_peer();
        if (peer) {
            const std::string v1 = co_await ask_v1(*peer, own);
            out.member("autonat_v1", v1);
            const std::string v2 = co_await ask_v2(*peer, own);
            out.member("autonat_v2", v2);
            const std::string closed = co_await ask_v2(*peer, at_closed_port(own));
            out.member("autonat_v2_closed", closed);
            const std::string paid = co_await ask_v2(*peer, elsewhere(own));
            out.member("autonat_v2_elsewhere", paid);
        }
    }
    out.key("failures").begin_object();
    if (!failure.empty()) out.member("connect", failure);
    out.end().end();
    co_return out.take();
}

}  // namespace kwaai::interop
