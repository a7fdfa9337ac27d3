// Keeps values in a network of nodes, under keys that all of them share:
//   dht_node --listen 4001 --put mykey "hello world"     stores, and stays as a node of the network
//   dht_node --bootstrap ADDRESS --get mykey             reads, and ends
#include <cstdio>
#include <string>
#include <string_view>

#include "node/p2p_node.hpp"

namespace {

using kwaai::node::P2pNode;

constexpr const char* kUsage =
    "usage: dht_node [--listen PORT] [--bootstrap ADDRESS] [--put KEY VALUE] [--get KEY]\n";

struct Flags {
    kwaai::node::P2pNodeOptions node{.agent = "dht_node/1.0"};
    std::string put_key, put_value, get_key;
};

kwaai::Result<Flags> parse(int argc, char** argv) {
    Flags flags;
    for (int i = 1; i < argc; ++i) {
        const std::string_view flag = argv[i];
        if (i + (flag == "--put" ? 2 : 1) >= argc)
            return kwaai::fail(kwaai::Errc::invalid_argument, kUsage);
        if (flag == "--listen") {
            KWAAI_TRY(auto address, kwaai::node::parse_listen_address(argv[++i]));
            flags.node.listen.push_back(address);
        } else if (flag == "--bootstrap") {
            KWAAI_TRY(auto address, kwaai::node::parse_peer_multiaddr(argv[++i]));
            flags.node.bootstrap.push_back(address);
        } else if (flag == "--put") {
            flags.put_key = argv[++i];
            flags.put_value = argv[++i];
        } else if (flag == "--get") {
            flags.get_key = argv[++i];
        } else {
            return kwaai::fail(kwaai::Errc::invalid_argument, kUsage);
        }
    }
    return flags;
}

kwaai::io::Task<kwaai::Result<>> work(P2pNode& node, Flags flags) {
    for (const kwaai::p2p::Multiaddr& own : node.addresses())
        std::printf("Listening on %s\n", own.to_text().c_str());
    KWAAI_CO_TRY(const std::size_t known, co_await node.join());
    std::printf("Nodes known: %zu\n", known);
    if (!flags.put_key.empty()) {
        KWAAI_CO_TRY(const std::size_t taken, co_await node.put(flags.put_key, flags.put_value));
        std::printf(
            "SUCCESS: Stored \"%s\" here and on %zu other nodes\n", flags.put_key.c_str(), taken);
    }
    if (!flags.get_key.empty()) {
        KWAAI_CO_TRY(const kwaai::node::SharedValue found, co_await node.get(flags.get_key));
        std::printf("SUCCESS: Retrieved \"%s\" = \"%s\", signed by %s\n",
                    flags.get_key.c_str(),
                    found.value.c_str(),
                    found.publisher.to_text().c_str());
    }
    std::fflush(stdout);
    co_return kwaai::Result<>();
}

kwaai::Result<> run(int argc, char** argv) {
    KWAAI_TRY(auto flags, parse(argc, argv));
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
    std::fprintf(stderr, "dht_node: %s\n", done.error().context.c_str());
    return done.error().code == kwaai::Errc::invalid_argument ? 2 : 1;
}
