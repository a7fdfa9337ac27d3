#include "p2p/security/tls_stream.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "codec/buffer.hpp"
#include "p2p/security/flight_stream.hpp"
#include "p2p/security/noise_records.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kTlsRecordsPerFlight = 16;  // a muxer's batch of 256 KiB in one write
constexpr std::size_t kChunkBytesMin = 4096;
constexpr std::size_t kChunkBytesMax = 64 << 10;

// Memory of one direction, which is given back once many uses in a row needed little.
class Space {
public:
    [[nodiscard]] codec::Buffer& buffer() { return buffer_; }

    void used(std::size_t count) {
        quiet_ = count > kIdleBytes ? 0 : quiet_ + 1;
        if (quiet_ < kQuietTimes || buffer_.capacity() <= kIdleBytes) return;
        buffer_ = codec::Buffer();
        quiet_ = 0;
    }

private:
    codec::Buffer buffer_;
    std::size_t quiet_ = 0;
};

class TlsStream final : public FlightStream {
public:
    TlsStream(std::unique_ptr<io::Stream> raw, crypto::TlsEngine engine)
        : FlightStream(std::move(raw)), engine_(std::move(engine)) {}

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        for (;;) {
            if (is_closed()) co_return closed("reading from ");
            Result<std::optional<std::size_t>> plain = engine_.read(into);
            if (!plain) co_return broken(plain, "reading from ");
            if (*plain) co_return **plain;
            codec::Buffer& chunk = arriving_.buffer();
            if (chunk.empty()) chunk.resize(kChunkBytesMin);
            const MutableBytes space(chunk);
            Result<std::size_t> count = co_await raw().read_some(space);
            if (!count) co_return broken(count);
            if (*count == 0) {
                Result<> cut = fail(Errc::closed, "the connection is cut off");
                co_return broken(cut, "reading from ");
            }
            engine_.feed(Bytes(chunk).first(*count));
            if (*count == chunk.size() && chunk.size() < kChunkBytesMax)
                chunk.resize(2 * chunk.size());
            else
                arriving_.used(*count);
        }
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        PartsReader reader(parts);
        while (reader.remaining() > 0) {
            if (is_closed()) co_return closed("writing to ");
            Result<> sealed = seal_flight(reader);
            if (!sealed) co_return broken(sealed, "writing to ");
            KWAAI_CO_CHECKED(co_await send_flight());
        }
        if (is_closed()) co_return closed("writing to ");
        co_return Result<>();
    }

    io::Task<Result<>> shutdown_write() override {
        if (is_closed()) co_return closed("closing the write side to ");
        Result<> ended = engine_.end();
        if (!ended) co_return broken(ended, "closing the write side to ");
        engine_.take_output(leaving_.buffer());
        KWAAI_CO_CHECKED(co_await send_flight());
        if (is_closed()) co_return closed("closing the write side to ");
        Result<> shut = co_await raw().shutdown_write();
        if (!shut) co_return broken(shut);
        co_return Result<>();
    }

private:
    // A muxer's header and its payload lie in one record.
    Result<> seal_flight(PartsReader& parts) {
        const std::size_t record_max = std::min(parts.remaining(), crypto::kTlsPlainBytesMax);
        codec::Buffer& scratch = scratch_.buffer();
        if (scratch.size() < record_max) scratch.resize(record_max);
        for (std::size_t i = 0; i < kTlsRecordsPerFlight && parts.remaining() > 0; ++i) {
            const std::size_t count = std::min(parts.remaining(), crypto::kTlsPlainBytesMax);
            const Bytes plain = parts.take(count, scratch);
            KWAAI_CHECKED(engine_.write(plain));
        }
        engine_.take_output(leaving_.buffer());
        scratch_.used(record_max);
        return {};
    }

    io::Task<Result<>> send_flight() {
        if (leaving_.buffer().empty()) co_return Result<>();
        Flight flight(*this);
        const Bytes bytes(leaving_.buffer());
        Result<> written = co_await raw().write(bytes);
        if (!written) co_return broken(written);
        flight.arrive();
        const std::size_t count = leaving_.buffer().size();
        leaving_.buffer().clear();
        leaving_.used(count);
        co_return Result<>();
    }

    crypto::TlsEngine engine_;
    Space arriving_;
    Space leaving_;
    Space scratch_;
};

}  // namespace

std::unique_ptr<io::Stream> make_tls_stream(std::unique_ptr<io::Stream> raw,
                                            crypto::TlsEngine engine) {
    return std::make_unique<TlsStream>(std::move(raw), std::move(engine));
}

}  // namespace kwaai::p2p
