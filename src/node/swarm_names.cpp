#include "node/swarm_names.hpp"

#include <algorithm>
#include <chrono>

namespace kwaai::node {

std::string prefix_of(const std::string& wanted, const std::string& model_name) {
    std::string prefix = wanted.empty() ? model_name : wanted;
    std::ranges::replace(prefix, ' ', '-');
    return prefix;
}

std::string inference_name(const std::string& prefix) {
    return "inference:" + prefix;
}

std::string joined_sentence(std::size_t known) {
    return "Joined the network: " + std::to_string(known) +
           (known == 1 ? " node is known." : " nodes are known.");
}

std::uint64_t seconds_since_1970() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(now).count());
}

}  // namespace kwaai::node
