// Finds peers by what they offer:
//   peer_discovery --listen 4001 --provide inference:llama2        offers it, and stays
//   peer_discovery --bootstrap ADDRESS --find inference:llama2     lists who does, and ends
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/p2p_node.hpp"

namespace {

using kwaai::node::P2pNode;

constexpr const char* kUsage =
    "usage: peer_discovery [--listen PORT] [--bootstrap ADDRESS] [--provide NAME] [--find NAME]\n";
constexpr std::size_t kPeersMax = 20;

struct Flags {
    kwaai::node::P2pNodeOptions node{.agent = "peer_discovery/1.0"};
    std::string provided, wanted;
};

kwaai::Result<Flags> parse(int argc, char** argv) {
    Flags flags;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        if (flag == "--listen") {
            KWAAI_TRY(auto address, kwaai::node::parse_listen_address(argv[i + 1]));
            flags.node.listen.push_back(address);
        } else if (flag == "--bootstrap") {
            KWAAI_TRY(auto address, kwaai::node::parse_peer_multiaddr(argv[i + 1]));
            flags.node.bootstrap.push_back(address);
        } else if (flag == "--provide") {
            flags.provided = argv[i + 1];
        } else if (flag == "--find") {
            flags.wanted = argv[i + 1];
        } else {
            return kwaai::fail(kwaai::Errc::invalid_argument, kUsage);
        }
    }
    if (argc % 2 == 1) return flags;
    return kwaai::fail(kwaai::Errc::invalid_argument, kUsage);
}

kwaai::io::Task<kwaai::Result<>> find(P2pNode& node, std::string name) {
    const std::vector<kwaai::p2p::FoundPeer> found =
        co_await node.discovery().find(name, kPeersMax);
    if (found.empty()) co_return kwaai::fail(kwaai::Errc::not_found, "nobody offers " + name);
    std::printf("SUCCESS: Found %zu provider(s) of %s\n", found.size(), name.c_str());
    for (const kwaai::p2p::FoundPeer& peer : found)
        std::printf("  %s, answered in %.2f ms\n",
                    peer.address.to_text().c_str(),
                    std::chrono::duration<double, std::milli>(peer.answer_time).count());
    co_return kwaai::Result<>();
}

kwaai::io::Task<kwaai::Result<>> work(P2pNode& node, Flags flags) {
    for (const kwaai::p2p::Multiaddr& own : node.addresses())
        std::printf("Listening on %s\n", own.to_text().c_str());
    KWAAI_CO_TRY([[maybe_unused]] const std::size_t known, co_await node.join());
    if (!flags.provided.empty()) {
        kwaai::p2p::Capability capability;
        capability.names.push_back(flags.provided);
        KWAAI_CO_CHECKED(node.discovery().offer(std::move(capability)));
        std::printf("SUCCESS: Providing %s\n", flags.provided.c_str());
    }
    if (!flags.wanted.empty()) {
        KWAAI_CO_CHECKED(co_await find(node, flags.wanted));
    }
    std::fflush(stdout);
    co_return kwaai::Result<>();
}

kwaai::Result<> run(int argc, char** argv) {
    KWAAI_TRY(auto flags, parse(argc, argv));
    flags.node.on_note = [](const std::string& text) {
        std::printf("%s\n", text.c_str());
        std::fflush(stdout);
    };
    KWAAI_TRY(auto identity, kwaai::node::Identity::ephemeral());
    kwaai::io::Loop loop;
    KWAAI_TRY(auto node, P2pNode::make(loop, identity, flags.node));
    const P2pNode::Work task = [&](P2pNode& self) {
        return work(self, flags);
    };
    return loop.run(flags.node.listen.empty() ? node->run(task) : node->run_until_signal(task));
}

}  // namespace

int main(int argc, char** argv) {
    const kwaai::Result<> done = run(argc, argv);
    if (done) return 0;
    std::fprintf(stderr, "peer_discovery: %s\n", done.error().context.c_str());
    return done.error().code == kwaai::Errc::invalid_argument ? 2 : 1;
}
