// What streams over a connection whose bytes are sealed have in common.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "io/stream.hpp"

namespace kwaai::p2p {

/// Owns the connection; whatever fails closes it, and later calls are `Errc::closed`.
class FlightStream : public io::Stream {
public:
    explicit FlightStream(std::unique_ptr<io::Stream> raw) : raw_(std::move(raw)) {}

    void close() final {
        is_closed_ = true;
        raw_->close();
    }

    [[nodiscard]] std::string peer() const final { return raw_->peer(); }

protected:
    /// A flight that was interrupted may have left in part: nothing can follow it.
    class Flight {
    public:
        explicit Flight(FlightStream& stream) : stream_(stream) {}

        Flight(const Flight&) = delete;
        Flight& operator=(const Flight&) = delete;

        ~Flight() {
            if (!has_arrived_) stream_.close();
        }

        void arrive() { has_arrived_ = true; }

    private:
        FlightStream& stream_;
        bool has_arrived_ = false;
    };

    [[nodiscard]] io::Stream& raw() { return *raw_; }

    [[nodiscard]] bool is_closed() const { return is_closed_; }

    [[nodiscard]] std::unexpected<Error> closed(std::string_view doing) const {
        return fail(Errc::closed, std::string(doing) + peer() + ": closed");
    }

    /// Of `raw()`, which says itself what it was doing.
    template <class T>
    std::unexpected<Error> broken(Result<T>& result) {
        close();
        return forward_error(result);
    }

    template <class T>
    std::unexpected<Error> broken(Result<T>& result, std::string_view doing) {
        close();
        return forward_error(result, std::string(doing) + peer());
    }

private:
    std::unique_ptr<io::Stream> raw_;
    bool is_closed_ = false;
};

}  // namespace kwaai::p2p
