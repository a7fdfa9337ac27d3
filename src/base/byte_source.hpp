// Random access to bytes that may lie in memory, in a file or behind a network: how the portable
// core reads files.
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kwaai {

/// Read-only bytes of known size. `read` may be called from several threads at once.
class ByteSource {
public:
    ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;
    virtual ~ByteSource() = default;

    /// Where the bytes come from, for messages: a path or a name.
    [[nodiscard]] virtual std::string name() const = 0;
    /// Total bytes.
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    /// Fills all of `out` from `offset`. `Errc::malformed` when the range passes the end,
    /// `Errc::io` when reading fails.
    virtual Result<void> read(std::uint64_t offset, MutableBytes out) const = 0;
    /// A view of [offset, offset + size) that lives as long as the source, where the bytes are
    /// addressable (memory, a mapped file); an empty span where they are not or the range passes
    /// the end. Callers fall back to `read`.
    [[nodiscard]] virtual Bytes view(std::uint64_t offset, std::size_t size) const = 0;
};

/// Bytes in memory, not owned.
class MemorySource final : public ByteSource {
public:
    MemorySource(std::string name, Bytes bytes) : name_(std::move(name)), bytes_(bytes) {}

    [[nodiscard]] std::string name() const override { return name_; }

    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }

    Result<void> read(std::uint64_t offset, MutableBytes out) const override;
    [[nodiscard]] Bytes view(std::uint64_t offset, std::size_t size) const override;

private:
    std::string name_;
    Bytes bytes_;
};

}  // namespace kwaai
