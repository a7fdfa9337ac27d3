// An identity in a file that only its owner can read.
#pragma once
#include <string>

#include "base/result.hpp"
#include "crypto/key.hpp"

namespace kwaai::crypto {

/// The key in the file (a protobuf PrivateKey, as go-libp2p and Hivemind write it).
/// `Errc::not_found`; `malformed` naming the file; `invalid_argument` where others may read the
/// file: says the chmod.
[[nodiscard]] Result<PrivateKey> load_key(const std::string& path);

/// Writes a new file of mode 0600, whole or not at all. `Errc::invalid_argument` where it exists.
[[nodiscard]] Result<> save_key(const std::string& path, const PrivateKey& key);

/// The key of the file, which is made with a new Ed25519 key, and its directories, where there is
/// none.
[[nodiscard]] Result<PrivateKey> load_or_create_key(const std::string& path);

}  // namespace kwaai::crypto
