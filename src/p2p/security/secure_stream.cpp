#include "p2p/security/secure_stream.hpp"

#include <algorithm>
#include <utility>

#include "io/event.hpp"
#include "p2p/security/flight_stream.hpp"
#include "p2p/security/noise_records.hpp"

namespace kwaai::p2p {
namespace {

class SecureStream final : public FlightStream {
public:
    SecureStream(std::unique_ptr<io::Stream> raw, NoiseCiphers ciphers, Bytes residue)
        : FlightStream(std::move(raw)),
          sealer_(std::move(ciphers.sending)),
          opener_(std::move(ciphers.receiving), residue) {}

    void hold(codec::Buffer bytes) { sealer_.hold(std::move(bytes)); }

    io::Task<Result<std::size_t>> read_some(MutableBytes into) override {
        while (plain_.empty()) {
            if (is_closed()) co_return closed("reading from ");
            Result<std::optional<Bytes>> record = opener_.next(into);
            if (!record) co_return broken(record, "reading from ");
            if (*record) {
                if ((*record)->data() == into.data()) co_return (*record)->size();
                plain_ = **record;
                break;
            }
            if (sealer_.is_holding()) {
                // A write that is ready to run takes what is held along.
                co_await io::yield();
                KWAAI_CO_CHECKED(co_await flush_held());
                continue;
            }
            const MutableBytes space = opener_.space();
            Result<std::size_t> count = co_await raw().read_some(space);
            if (!count) co_return broken(count);
            if (*count == 0) {
                if (!opener_.is_inside_record()) co_return std::size_t{0};
                Result<> cut = fail(Errc::malformed, "the connection ends inside a record");
                co_return broken(cut, "reading from ");
            }
            opener_.commit(*count);
        }
        if (is_closed()) co_return closed("reading from ");
        const std::size_t count = std::min(into.size(), plain_.size());
        std::ranges::copy(plain_.first(count), into.begin());
        plain_ = plain_.subspan(count);
        co_return count;
    }

    io::Task<Result<>> write(std::span<const Bytes> parts) override {
        while (is_flushing_)
            co_await flushed_.wait();
        Result<> sent = co_await send(parts);
        co_return sent;
    }

    io::Task<Result<>> shutdown_write() override {
        while (is_flushing_)
            co_await flushed_.wait();
        KWAAI_CO_CHECKED(co_await flush_held());
        if (is_closed()) co_return closed("closing the write side to ");
        Result<> ended = co_await raw().shutdown_write();
        if (!ended) co_return broken(ended);
        co_return Result<>();
    }

private:
    // Wakes the writer behind a flush.
    class Flush {
    public:
        explicit Flush(SecureStream& stream) : stream_(stream) { stream_.is_flushing_ = true; }

        Flush(const Flush&) = delete;
        Flush& operator=(const Flush&) = delete;

        ~Flush() {
            stream_.is_flushing_ = false;
            stream_.flushed_.notify_all();
        }

    private:
        SecureStream& stream_;
    };

    io::Task<Result<>> flush_held() {
        if (!sealer_.is_holding()) co_return Result<>();
        const Flush flush(*this);
        const std::span<const Bytes> nothing;
        Result<> sent = co_await send(nothing);
        co_return sent;
    }

    io::Task<Result<>> send(std::span<const Bytes> parts) {
        PartsReader reader(parts);
        while (reader.remaining() > 0 || sealer_.is_holding()) {
            if (is_closed()) co_return closed("writing to ");
            Flight flight(*this);
            KWAAI_CO_TRY(const Bytes bytes, sealer_.next_flight(reader));
            Result<> written = co_await raw().write(bytes);
            if (!written) co_return broken(written);
            flight.arrive();
        }
        if (is_closed()) co_return closed("writing to ");
        co_return Result<>();
    }

    RecordSealer sealer_;
    RecordOpener opener_;
    Bytes plain_;               // of the last record, not yet read
    bool is_flushing_ = false;  // read_some() writes what is held
    io::Event flushed_;
};

}  // namespace

std::unique_ptr<io::Stream> make_secure_stream(std::unique_ptr<io::Stream> raw,
                                               NoiseCiphers ciphers,
                                               codec::Buffer held,
                                               Bytes residue) {
    auto stream = std::make_unique<SecureStream>(std::move(raw), std::move(ciphers), residue);
    stream->hold(std::move(held));
    return stream;
}

}  // namespace kwaai::p2p
