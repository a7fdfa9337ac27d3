// A node that others reach, and that reaches others:
//   p2p_node                  prints its addresses and waits
//   p2p_node ADDRESS          connects to the node at that address as well
#include "node/p2p_node.hpp"

#include <chrono>
#include <cstdio>
#include <string>

namespace {

using kwaai::node::P2pNode;

kwaai::io::Task<kwaai::Result<>> meet(P2pNode& node, std::string address) {
    KWAAI_CO_TRY(const kwaai::p2p::PeerId peer, co_await node.reach(address));
    KWAAI_CO_TRY(const kwaai::p2p::PeerInfo info, co_await node.host().identify(peer));
    KWAAI_CO_TRY(const std::chrono::nanoseconds time, co_await node.host().ping(peer));
    std::printf("Connected to %s (%s), %.2f ms away. It speaks:\n",
                peer.to_text().c_str(),
                info.agent.c_str(),
                std::chrono::duration<double, std::milli>(time).count());
    for (const std::string& protocol : info.protocols)
        std::printf("  %s\n", protocol.c_str());
    co_return kwaai::Result<>();
}

kwaai::io::Task<kwaai::Result<>> work(P2pNode& node, std::string address) {
    for (const kwaai::p2p::Multiaddr& own : node.addresses())
        std::printf("Connect with: p2p_node %s\n", own.to_text().c_str());
    if (!address.empty()) {
        KWAAI_CO_CHECKED(co_await meet(node, address));
    }
    std::printf("Waiting for others. Ctrl-C stops.\n");
    std::fflush(stdout);
    co_return kwaai::Result<>();
}

kwaai::Result<> run(const std::string& address) {
    kwaai::node::P2pNodeOptions options{.agent = "p2p_node/1.0"};
    KWAAI_TRY(auto listen, kwaai::node::parse_listen_address("0"));  // the system chooses a port
    options.listen.push_back(listen);
    KWAAI_TRY(auto identity, kwaai::node::Identity::ephemeral());
    kwaai::io::Loop loop;
    KWAAI_TRY(auto node, P2pNode::make(loop, identity, options));
    return loop.run(node->run_until_signal([&](P2pNode& self) { return work(self, address); }));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2) {
        std::fprintf(stderr, "usage: p2p_node [ADDRESS]\n");
        return 2;
    }
    const kwaai::Result<> done = run(argc == 2 ? argv[1] : "");
    if (done) return 0;
    std::fprintf(stderr, "p2p_node: %s\n", done.error().context.c_str());
    return 1;
}
