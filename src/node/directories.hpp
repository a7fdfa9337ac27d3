// Where this user's files lie (XDG Base Directory Specification).
#pragma once
#include <string>

namespace kwaai::node {

/// ${XDG_CACHE_HOME:-~/.cache}/kwaai: what can be made again.
[[nodiscard]] std::string cache_directory();

/// ${XDG_DATA_HOME:-~/.local/share}/kwaai: what cannot.
[[nodiscard]] std::string data_directory();

/// data_directory()/client.network: the nodes that programs without an identity of their own met.
[[nodiscard]] std::string client_network_path();

}  // namespace kwaai::node
