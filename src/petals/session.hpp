// One text's way through the servers of its blocks.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hivemind/rpc_client.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "petals/remote_span.hpp"
#include "petals/route.hpp"

namespace kwaai::petals {

struct SessionLimits {
    RemoteSpanLimits span;
    /// How long a stretch of blocks may have no server that answers before the text fails.
    std::chrono::milliseconds outage_max{30000};
    /// Rows sent in one step while a prefix is replayed or a prompt read.
    std::uint32_t chunk_rows = 256;
};

/// What the user may want to know.
struct SessionEvent {
    enum class Kind : std::uint8_t {
        failed_over,  // others compute a stretch again
        waiting,      // nobody can: the same server is tried again
        met,          // a server that a relay led to is reached directly from here on
    };
    Kind kind;
    std::string text;  // a sentence
};

/// Sends rows through all blocks of the model and keeps, for each stretch of blocks, every row that
/// went in: where its server fails, another one computes them again and the text goes on as if
/// nothing had happened (design decisions 6 and 9). Confined to the loop's thread.
class InferenceSession {
public:
    struct Parts {
        p2p::Host& host;
        io::Clock& clock;
        RouteTable& routes;  // shared by the sessions of a client
        std::uint32_t block_count;
        std::uint32_t hidden;
        std::uint32_t max_length;  // positions that the text may have
        SessionLimits limits;
        std::function<void(const SessionEvent&)> on_event;  // may be empty
        std::function<void()> on_sent;  // may be empty; whenever rows have left for a server
    };

    explicit InferenceSession(Parts parts);
    ~InferenceSession();

    /// Rows [tokens, hidden] of the next positions through all blocks: gives [tokens, hidden].
    /// `Errc::unavailable` where a stretch of blocks has had no working server for `outage_max`,
    /// naming them and what went wrong; `limit_exceeded` past max_length. Cancellation ends the
    /// session's streams.
    io::Task<Result<std::vector<float>>> step(std::vector<float> rows);

    /// Forgets positions from `length` on.
    void truncate(std::uint32_t length);

    /// Tells the servers that the text has ended. What goes wrong with that is of no interest.
    io::Task<void> finish();

    [[nodiscard]] std::uint32_t length() const { return length_; }

    struct HopReport {
        Hop hop;
        io::Duration last_step{};  // what the last step took, there and back
    };

    [[nodiscard]] std::vector<HopReport> route() const;

private:
    struct Stretch {
        Hop hop;
        std::unique_ptr<RemoteSpan> span;  // none while not open
        std::vector<float> inputs;         // [positions, hidden]: what went in since the text began
        std::uint32_t sent = 0;            // positions that the server has
        io::Duration last_step{};
    };

    [[nodiscard]] Result<> plan();
    io::Task<Result<std::vector<float>>> advance(std::size_t index);
    io::Task<Result<>> open(std::size_t index);
    void leave_relay(Stretch& stretch);
    io::Task<Result<>> replace(std::size_t index, Error why);
    void put_in_place(std::size_t index, std::vector<Hop> hops);
    [[nodiscard]] std::chrono::nanoseconds patience(const Stretch& stretch,
                                                    std::uint32_t tokens) const;
    [[nodiscard]] std::uint32_t positions(const Stretch& stretch) const;
    void tell(SessionEvent::Kind kind, std::string text) const;

    Parts parts_;
    std::vector<Stretch> stretches_;
    std::uint32_t length_ = 0;
    // Since when, and how often in a row, a stretch has failed; nothing while all goes well.
    std::optional<io::TimePoint> outage_began_;
    unsigned failures_ = 0;
};

}  // namespace kwaai::petals
