#include "testing/memory_stream.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "testing/read_splitter.hpp"

namespace kwaai::testing {
namespace {

// One direction.
struct Pipe {
    explicit Pipe(std::size_t bytes_max) : capacity(bytes_max) {}

    std::vector<std::byte> bytes;
    std::size_t capacity;
    bool is_ended = false;     // the writer will write no more
    bool is_unwanted = false;  // the reader has gone
    io::Event changed;
};

class MemoryStream final : public io::Stream {
public:
    MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::uint64_t seed)
        : in_(std::move(in)), out_(std::move(out)), splitter_(seed) {}

    ~MemoryStream() override { MemoryStream::close(); }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        const std::shared_ptr<Pipe> in = in_;
        while (in->bytes.empty() && !is_closed_ && !in->is_ended)
            co_await in->changed.wait();
        if (is_closed_) co_return fail(Errc::closed, "reading from memory: closed");
        const std::size_t count = splitter_.piece(std::min(into.size(), in->bytes.size()));
        std::copy_n(in->bytes.begin(), count, into.begin());
        in->bytes.erase(in->bytes.begin(), in->bytes.begin() + static_cast<std::ptrdiff_t>(count));
        in->changed.notify_all();
        co_return count;
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        const std::shared_ptr<Pipe> out = out_;
        for (Bytes part : parts) {
            while (!part.empty()) {
                if (is_closed_ || out->is_unwanted || out->is_ended)
                    co_return fail(Errc::closed, "writing to memory: closed");
                const std::size_t room = out->capacity - out->bytes.size();
                if (room == 0) {
                    co_await out->changed.wait();
                    continue;
                }
                const Bytes taken = part.first(std::min(room, part.size()));
                out->bytes.insert(out->bytes.end(), taken.begin(), taken.end());
                part = part.subspan(taken.size());
                out->changed.notify_all();
            }
        }
        co_return Result<>();
    }

    io::Task<Result<>> shutdown_write() override {
        if (is_closed_) co_return fail(Errc::closed, "closing the write side to memory: closed");
        out_->is_ended = true;
        out_->changed.notify_all();
        co_return Result<>();
    }

    void close() override {
        is_closed_ = true;
        out_->is_ended = true;
        in_->is_unwanted = true;
        out_->changed.notify_all();
        in_->changed.notify_all();
    }

    [[nodiscard]] std::string peer() const override { return "memory"; }

private:
    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
    ReadSplitter splitter_;
    bool is_closed_ = false;
};

}  // namespace

StreamPair make_stream_pair(const StreamPairOptions& options) {
    const auto up = std::make_shared<Pipe>(options.capacity);
    const auto down = std::make_shared<Pipe>(options.capacity);
    return StreamPair{.client = std::make_unique<MemoryStream>(down, up, options.seed),
                      .server = std::make_unique<MemoryStream>(up, down, options.seed)};
}

StreamPair make_stream_pair() {
    return make_stream_pair(StreamPairOptions());
}

std::unique_ptr<io::Stream> MemoryListener::connect() {
    StreamPair pair = make_stream_pair(options_);
    if (options_.seed != 0) ++options_.seed;
    waiting_.emplace_back(std::move(pair.server));
    changed_.notify_all();
    return std::move(pair.client);
}

void MemoryListener::fail_next(Error error) {
    waiting_.emplace_back(std::unexpected<Error>(std::move(error)));
    changed_.notify_all();
}

io::Task<Result<std::unique_ptr<io::Stream>>> MemoryListener::accept() {
    while (waiting_.empty() && !is_closed_)
        co_await changed_.wait();
    if (is_closed_) co_return fail(Errc::closed, "accepting a connection in memory: closed");
    Result<std::unique_ptr<io::Stream>> next = std::move(waiting_.front());
    waiting_.pop_front();
    co_return next;
}

void MemoryListener::close() {
    is_closed_ = true;
    waiting_.clear();
    changed_.notify_all();
}

}  // namespace kwaai::testing
