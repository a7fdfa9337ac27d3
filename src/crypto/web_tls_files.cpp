#include "crypto/web_tls_files.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "crypto/secret.hpp"

namespace kwaai::crypto {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kFileBytesMax = 1 << 20;

Result<SecretBytes> read_file(const std::string& path) {
    std::error_code error;
    const auto size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
    if (error) return fail(Errc::not_found, path + ": " + error.message());
    if (size == 0 || size > kFileBytesMax)
        return fail(Errc::malformed, path + " is no file of 1 byte to 1 MiB");
    SecretBytes bytes(static_cast<std::size_t>(size));
    std::ifstream file(path, std::ios::binary);
    if (file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size)))
        return bytes;
    return fail(Errc::io, path + " cannot be read");
}

bool is_open_to_others(const std::string& path) {
    std::error_code error;
    const fs::perms others = fs::perms::group_all | fs::perms::others_all;
    return (fs::status(path, error).permissions() & others) != fs::perms::none;
}

Result<> load_server(const WebTlsFiles& files, WebTls& loaded) {
    KWAAI_TRY(const SecretBytes chain, read_file(files.certificate));
    KWAAI_TRY(const SecretBytes key, read_file(files.key));
    auto server = WebServerTls::from_pem(chain, key);
    if (!server) return forward_error(server, files.certificate + " with " + files.key);
    if (server->not_after() < std::chrono::system_clock::now())
        loaded.warning = "Warning: the certificate in " + files.certificate +
                         " has expired: no peer will believe it.";
    else if (is_open_to_others(files.key))
        loaded.warning = "Warning: others on this machine may read the key in " + files.key +
                         "; run chmod 600 " + files.key;
    loaded.server = std::make_shared<const WebServerTls>(std::move(*server));
    return {};
}

}  // namespace

Result<WebTls> load_web_tls(const WebTlsFiles& files) {
    WebTls loaded;
    if (files.certificate.empty() != files.key.empty())
        return fail(Errc::invalid_argument, "a certificate for TLS and its key come together");
    if (!files.certificate.empty()) {
        KWAAI_CHECKED(load_server(files, loaded));
    }
    if (files.authorities.empty()) return loaded;
    KWAAI_TRY(const SecretBytes authorities, read_file(files.authorities));
    auto client = WebClientTls::with_authorities(authorities);
    if (!client) return forward_error(client, files.authorities);
    loaded.client = std::make_shared<const WebClientTls>(std::move(*client));
    return loaded;
}

}  // namespace kwaai::crypto
