// How a swarm calls a model, and when it is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace kwaai::node {

/// The prefix of the names of a model's blocks: `wanted`, or the model's name where that is empty.
/// Names stand behind one another with spaces between them, so there is none in it.
[[nodiscard]] std::string prefix_of(const std::string& wanted, const std::string& model_name);

/// What servers of blocks with this prefix provide in the DHT: "inference:PREFIX".
[[nodiscard]] std::string inference_name(const std::string& prefix);

/// "Joined the network: 3 nodes are known."
[[nodiscard]] std::string joined_sentence(std::size_t known);

/// Of the wall clock.
[[nodiscard]] std::uint64_t seconds_since_1970();

}  // namespace kwaai::node
