#include "crypto/web_tls_files.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

#include "testing/web_certificates.hpp"

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

namespace fs = std::filesystem;

class Folder {
public:
    Folder() { fs::create_directory(path_); }

    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    ~Folder() { fs::remove_all(path_); }

    [[nodiscard]] std::string with(const std::string& name, std::string_view text) const {
        std::ofstream(path_ / name) << text;
        fs::permissions(path_ / name, fs::perms::owner_read | fs::perms::owner_write);
        return path_ / name;
    }

private:
    fs::path path_ = fs::temp_directory_path() / ("kwaai-web-tls-" + std::to_string(::getpid()));
};

}  // namespace

TEST_CASE("a certificate, its key and authorities are read from their files") {
    const Folder folder;
    WebTlsFiles files{.certificate = folder.with("chain.pem", testing::kWebChain),
                      .key = folder.with("key.pem", testing::kWebKey),
                      .authorities = folder.with("root.pem", testing::kWebRoot)};
    const WebTls loaded = load_web_tls(files).value();
    CHECK(loaded.server != nullptr);
    CHECK(loaded.client != nullptr);
    CHECK(loaded.warning.empty());
    fs::permissions(files.key, fs::perms::group_read, fs::perm_options::add);
    CHECK(load_web_tls(files)->warning.contains("chmod 600"));
    files.certificate = folder.with("old.pem", testing::kWebExpired);
    files.key = folder.with("old-key.pem", testing::kWebExpiredKey);
    CHECK(load_web_tls(files)->warning.contains("expired"));
    CHECK(load_web_tls({})->server == nullptr);
}

TEST_CASE("files that are missing, or not what they should be, are named") {
    const Folder folder;
    const std::string chain = folder.with("chain.pem", testing::kWebChain);
    const auto error_of = [](const WebTlsFiles& files) {
        const auto loaded = load_web_tls(files);
        REQUIRE_FALSE(loaded.has_value());
        return loaded.error();
    };
    CHECK(error_of({.certificate = chain, .key = {}, .authorities = {}}).code ==
          Errc::invalid_argument);
    CHECK(error_of({.certificate = chain, .key = chain + ".no", .authorities = {}}).code ==
          Errc::not_found);
    const Error no_key = error_of({.certificate = chain, .key = chain, .authorities = {}});
    CHECK(no_key.code == Errc::malformed);
    CHECK(no_key.context.starts_with(chain));
    const std::string empty = folder.with("empty.pem", "");
    CHECK(error_of({.certificate = {}, .key = {}, .authorities = empty}).code == Errc::malformed);
}
