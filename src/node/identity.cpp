#include "node/identity.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "crypto/key_file.hpp"
#include "node/directories.hpp"

namespace kwaai::node {

// A lock that the system takes back whatever ends the process.
class Identity::Hold {
public:
    explicit Hold(int descriptor) : descriptor_(descriptor) {}

    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    ~Hold() { ::close(descriptor_); }

private:
    int descriptor_;
};

std::string user_identity_path() {
    return data_directory() + "/identity.key";
}

Identity::Identity(crypto::PrivateKey key, std::string path, std::shared_ptr<const Hold> hold)
    : key_(std::move(key)), path_(std::move(path)), hold_(std::move(hold)) {}

std::string Identity::network_path() const {
    return path_.empty() ? std::string() : path_ + ".network";
}

Result<Identity> Identity::ephemeral() {
    KWAAI_TRY(crypto::PrivateKey key, crypto::PrivateKey::generate(crypto::KeyType::ed25519));
    return Identity(std::move(key), {}, nullptr);
}

Result<Identity> Identity::from_file(const std::string& path) {
    KWAAI_TRY(crypto::PrivateKey key, crypto::load_or_create_key(path));
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail(Errc::io, "identity " + path + ": " + std::generic_category().message(errno));
    auto hold = std::make_shared<const Hold>(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return Identity(std::move(key), path, hold);
    if (errno != EWOULDBLOCK)
        return fail(
            Errc::io,
            "identity " + path + ": cannot lock it: " + std::generic_category().message(errno));
    return fail(Errc::unavailable,
                "identity " + path + " is that of a node that runs already; give this one " +
                    "another file");
}

Result<Identity> Identity::of_user() {
    auto identity = from_file(user_identity_path());
    if (identity || identity.error().code != Errc::unavailable) return identity;
    return ephemeral();
}

}  // namespace kwaai::node
