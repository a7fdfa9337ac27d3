#include "node/identity.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/directories.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::node {
namespace {

namespace fs = std::filesystem;

// The user's data directory, elsewhere for the time of a test.
class Home {
public:
    Home() : path_(fs::temp_directory_path() / ("kwaai_identity_" + std::to_string(::getpid()))) {
        ::setenv("XDG_DATA_HOME", path_.c_str(), 1);
    }

    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;

    ~Home() {
        ::unsetenv("XDG_DATA_HOME");
        fs::remove_all(path_);
    }

    [[nodiscard]] std::string file(const std::string& name) const {
        return (path_ / name).string();
    }

private:
    fs::path path_;
};

p2p::PeerId id_of(const Result<Identity>& identity) {
    REQUIRE_MESSAGE(identity.has_value(), (identity ? "" : identity.error().context));
    return p2p::PeerId::of(identity->key().public_key());
}

TEST_CASE("a user's identity is made once, in a file for the user alone") {
    const Home home;
    const p2p::PeerId first = id_of(Identity::of_user());
    CHECK(id_of(Identity::of_user()) == first);
    struct stat status{};
    REQUIRE(::stat(user_identity_path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(user_identity_path() == home.file("kwaai/identity.key"));
}

TEST_CASE("two running nodes of a user are two peers") {
    const Home home;
    std::optional<Result<Identity>> first = Identity::of_user();
    const p2p::PeerId first_id = id_of(*first);
    CHECK(!(*first)->is_ephemeral());
    const auto second = Identity::of_user();
    CHECK(id_of(second) != first_id);
    CHECK(second->is_ephemeral());
    first.reset();
    CHECK(id_of(Identity::of_user()) == first_id);
}

TEST_CASE("a file that was asked for and is in use is refused by name") {
    const Home home;
    const auto first = Identity::from_file(home.file("node.key"));
    REQUIRE(first);
    const auto second = Identity::from_file(home.file("node.key"));
    REQUIRE(!second);
    CHECK(second.error().code == Errc::unavailable);
    CHECK(second.error().context.find("node.key") != std::string::npos);
    CHECK(id_of(Identity::from_file(home.file("other.key"))) != id_of(first));
}

TEST_CASE("a copy of an identity holds the file as well") {
    const Home home;
    std::optional<Result<Identity>> first = Identity::from_file(home.file("node.key"));
    const Identity copy = **first;
    first.reset();
    CHECK(!Identity::from_file(home.file("node.key")));
}

}  // namespace
}  // namespace kwaai::node
