#include "crypto/key_file.hpp"

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.hpp"

namespace kwaai::crypto {
namespace {

constexpr off_t kFileBytesMax = 16384;  // an RSA key of 8192 bits has about 4700
constexpr mode_t kOwnerOnly = 0600;

class Fd {
public:
    explicit Fd(int fd) : fd_(fd) {}

    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    ~Fd() {
        if (fd_ >= 0) ::close(fd_);
    }

    [[nodiscard]] int get() const { return fd_; }

    /// Closes now; false where the system reports that something was not written.
    bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

private:
    int fd_;
};

std::unexpected<Error> failed(const std::string& path, std::string_view doing) {
    const int number = errno;
    const Errc code = number == ENOENT ? Errc::not_found : Errc::io;
    std::string message = "key file " + path + ": ";
    return fail(code,
                message.append(doing).append(": ").append(std::generic_category().message(number)));
}

Result<SecretBytes> read_all(int fd, std::size_t size, const std::string& path) {
    SecretBytes bytes(size);
    for (std::size_t done = 0; done < size;) {
        const ssize_t count = ::read(fd, bytes.data() + done, size - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed(path, "reading");
        if (count == 0) return fail(Errc::malformed, "key file " + path + ": it became shorter");
        done += static_cast<std::size_t>(count);
    }
    return bytes;
}

bool write_all(int fd, Bytes bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return true;
}

/// Beside the file itself, so that a link can reach it.
std::string temporary_name(const std::string& path) {
    std::array<std::byte, 8> random;
    fill_random(random);
    std::string name = path + ".";
    for (const std::byte byte : random) {
        name.push_back(static_cast<char>('a' + std::to_integer<int>(byte >> 4)));
        name.push_back(static_cast<char>('a' + std::to_integer<int>(byte & std::byte{15})));
    }
    return name;
}

Result<> write_new_file(const std::string& path, Bytes bytes) {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly));
    if (file.get() < 0) return failed(path, "creating");
    if (!write_all(file.get(), bytes) || ::fsync(file.get()) != 0 || !file.close()) {
        auto error = failed(path, "writing");
        ::unlink(path.c_str());
        return error;
    }
    return {};
}

/// A name in a directory is safe once the directory is; where that fails, the name may be lost with
/// the power, which the next start notices.
void sync_directory_of(const std::string& path) {
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const std::string name = parent.empty() ? "." : parent.string();
    const Fd directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() >= 0) (void)::fsync(directory.get());
}

}  // namespace

Result<PrivateKey> load_key(const std::string& path) {
    // Not blocking, in case the path is a pipe.
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return failed(path, "opening");
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return failed(path, "asking for its mode");
    if (!S_ISREG(status.st_mode))
        return fail(Errc::invalid_argument, "key file " + path + ": it is no regular file");
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail(Errc::invalid_argument,
                    "key file " + path + ": others may use it; run chmod 600 " + path);
    if (status.st_size > kFileBytesMax)
        return fail(Errc::malformed,
                    "key file " + path + ": " + std::to_string(status.st_size) +
                        " bytes are too many for a key");
    KWAAI_TRY(const SecretBytes bytes,
              read_all(file.get(), static_cast<std::size_t>(status.st_size), path));
    auto key = PrivateKey::from_protobuf(bytes);
    if (!key) return fail(Errc::malformed, "key file " + path + ": " + key.error().context);
    return key;
}

Result<> save_key(const std::string& path, const PrivateKey& key) {
    const std::string temporary = temporary_name(path);
    KWAAI_CHECKED(write_new_file(temporary, key.protobuf()));
    // A link, unlike a rename, never takes the place of a file that is there.
    const bool is_linked = ::link(temporary.c_str(), path.c_str()) == 0;
    const int link_error = errno;
    ::unlink(temporary.c_str());
    errno = link_error;
    if (!is_linked && link_error == EEXIST)
        return fail(Errc::invalid_argument, "key file " + path + ": it exists and is kept");
    if (!is_linked) return failed(path, "creating");
    sync_directory_of(path);
    return {};
}

Result<PrivateKey> load_or_create_key(const std::string& path) {
    auto loaded = load_key(path);
    if (loaded || loaded.error().code != Errc::not_found) return loaded;
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (error)
        return fail(Errc::io, "key file " + path + ": creating its directory: " + error.message());
    KWAAI_TRY(PrivateKey key, PrivateKey::generate(KeyType::ed25519));
    const auto saved = save_key(path, key);
    if (saved) return key;
    // Another program may have made it meanwhile; then its key is the one.
    if (saved.error().code == Errc::invalid_argument) return load_key(path);
    return std::unexpected(saved.error());
}

}  // namespace kwaai::crypto
