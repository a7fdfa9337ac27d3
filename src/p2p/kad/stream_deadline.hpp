// How long something on a stream may take.
#pragma once
#include <memory>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/timeout.hpp"
#include "p2p/stream.hpp"

namespace kwaai::p2p::kad {

/// Resets a stream after `limit`, which ends what is under way on it. For what only waits for that
/// stream: with_timeout() would do it in a coroutine of its own. `clock` and `stream` outlive it.
class StreamDeadline {
public:
    StreamDeadline(io::Clock& clock, io::Duration limit, Stream& stream, ResetCode code)
        : limit_(limit), alarm_(clock.call_after(limit, [this, &stream, code] {
              has_passed_ = true;
              stream.reset(code);
          })) {}

    StreamDeadline(const StreamDeadline&) = delete;
    StreamDeadline& operator=(const StreamDeadline&) = delete;
    ~StreamDeadline() = default;

    /// What came of it; an error after the deadline is `Errc::timed_out`.
    template <class T>
    [[nodiscard]] Result<T> judge(Result<T> result) const {
        if (!result && has_passed_) return std::unexpected<Error>(io::timeout_error(limit_));
        return result;
    }

private:
    io::Duration limit_;
    bool has_passed_ = false;
    std::unique_ptr<io::Alarm> alarm_;
};

}  // namespace kwaai::p2p::kad
