#include "engine/files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kwaai::engine {
namespace {

std::string reason() {
    return std::error_code(errno, std::generic_category()).message();
}

class MappedFile final : public ByteSource {
public:
    MappedFile(std::string path, int descriptor, const std::byte* data, std::uint64_t size)
        : path_(std::move(path)), descriptor_(descriptor), data_(data), size_(size) {}

    ~MappedFile() override {
        if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
        ::close(descriptor_);
    }

    [[nodiscard]] std::string name() const override { return path_; }

    [[nodiscard]] std::uint64_t size() const override { return size_; }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override {
        std::size_t done = 0;
        while (done < out.size()) {
            const ssize_t got = ::pread(descriptor_,
                                        out.data() + done,
                                        out.size() - done,
                                        static_cast<off_t>(offset + done));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail(Errc::io, "cannot read " + path_ + ": " + reason());
            if (got == 0)
                return fail(Errc::malformed,
                            path_ + " ends at byte " + std::to_string(offset + done) +
                                ", before what it announces");
            done += static_cast<std::size_t>(got);
        }
        return {};
    }

    // Empty when the file has been cut short since it was opened.
    [[nodiscard]] Bytes view(std::uint64_t offset, std::size_t size) const override {
        if (data_ == nullptr || offset > size_ || size > size_ - offset) return {};
        struct stat now{};
        if (::fstat(descriptor_, &now) != 0 || static_cast<std::uint64_t>(now.st_size) < size_)
            return {};
        return {data_ + offset, size};
    }

private:
    std::string path_;
    int descriptor_;
    const std::byte* data_;
    std::uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> map_file(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        const Errc code = errno == ENOENT ? Errc::not_found : Errc::io;
        return fail(code, "cannot open " + path + ": " + reason());
    }
    struct stat status{};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor);
        return fail(Errc::io, "cannot read " + path + ": it is not a regular file");
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    void* data = nullptr;
    if (size > 0) {
        data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (data == MAP_FAILED) data = nullptr;  // `read` still works
    }
    return std::make_unique<MappedFile>(
        path, descriptor, static_cast<const std::byte*>(data), size);
}

bool LocalFiles::is_directory(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

}  // namespace kwaai::engine
