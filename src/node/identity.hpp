// Who a node is: a key, and a hold on its file.
#pragma once
#include <memory>
#include <string>

#include "base/result.hpp"
#include "crypto/key.hpp"

namespace kwaai::node {

/// data_directory()/identity.key.
[[nodiscard]] std::string user_identity_path();

/// The key of a running node. As long as it lives, no other node on this machine has the key of the
/// same file: two nodes that are one peer would take each other's connections. Movable.
class Identity {
public:
    /// A key that nobody will see again.
    static Result<Identity> ephemeral();
    /// The key of the file, made with it and its directories where it is missing.
    /// `Errc::unavailable` where another running node has it; errors of crypto::load_or_create_key.
    static Result<Identity> from_file(const std::string& path);
    /// The user's: from_file(user_identity_path()), or an ephemeral one where another running node
    /// has that.
    static Result<Identity> of_user();

    [[nodiscard]] const crypto::PrivateKey& key() const { return key_; }

    /// Where what a node with this identity knows of its network lies, beside the key; empty for an
    /// ephemeral one.
    [[nodiscard]] std::string network_path() const;

    [[nodiscard]] bool is_ephemeral() const { return hold_ == nullptr; }

private:
    class Hold;
    Identity(crypto::PrivateKey key, std::string path, std::shared_ptr<const Hold> hold);

    crypto::PrivateKey key_;
    std::string path_;                  // of the key's file
    std::shared_ptr<const Hold> hold_;  // none: ephemeral
};

}  // namespace kwaai::node
