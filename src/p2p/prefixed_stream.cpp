#include "p2p/prefixed_stream.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::p2p {
namespace {

class PrefixedStream final : public io::Stream {
public:
    PrefixedStream(std::unique_ptr<io::Stream> stream, std::vector<std::byte> first)
        : stream_(std::move(stream)), first_(std::move(first)) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        if (begin_ == first_.size()) return stream_->read_some(into);
        return read_first(into);
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        return stream_->write(parts);
    }

    io::Task<Result<>> shutdown_write() override { return stream_->shutdown_write(); }

    void close() override { stream_->close(); }

    [[nodiscard]] std::string peer() const override { return stream_->peer(); }

private:
    io::Task<Result<std::size_t>> read_first(MutableBytes into) {
        const std::size_t count = std::min(into.size(), first_.size() - begin_);
        std::copy_n(first_.begin() + static_cast<std::ptrdiff_t>(begin_), count, into.begin());
        begin_ += count;
        if (begin_ == first_.size()) {
            first_ = {};
            begin_ = 0;
        }
        co_return count;
    }

    std::unique_ptr<io::Stream> stream_;
    std::vector<std::byte> first_;
    std::size_t begin_ = 0;
};

}  // namespace

std::unique_ptr<io::Stream> prefix_stream(std::unique_ptr<io::Stream> stream,
                                          std::vector<std::byte> first) {
    return std::make_unique<PrefixedStream>(std::move(stream), std::move(first));
}

}  // namespace kwaai::p2p
