// One server's stretch of blocks, for one text: a stream of rpc_inference.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hivemind/rpc_client.hpp"
#include "hivemind/tensor_wire.hpp"
#include "io/clock.hpp"
#include "io/task.hpp"
#include "p2p/host.hpp"
#include "petals/route.hpp"

namespace kwaai::petals {

struct RemoteSpanLimits {
    std::chrono::milliseconds open_timeout{5000};
    /// Of a step, where the server's usual time is not known or nobody else could take over.
    std::chrono::milliseconds step_timeout{30000};
    /// Of a step of one row, at least, where somebody else could: a stopped server costs this much.
    std::chrono::milliseconds patience_min{1000};
    hivemind::RpcLimits rpc;
    hivemind::WireType rows = hivemind::WireType::float32;  // what is sent
};

/// Confined to the loop's thread.
class RemoteSpan {
public:
    /// Opens the stream; the session begins with the first step. Errors of Host::open.
    static io::Task<Result<std::unique_ptr<RemoteSpan>>> open(p2p::Host& host,
                                                              io::Clock& clock,
                                                              Hop hop,
                                                              std::uint32_t max_length,
                                                              std::uint32_t hidden,
                                                              RemoteSpanLimits limits);
    ~RemoteSpan();

    /// Rows [tokens, hidden] for positions [start, start + tokens): gives as many, in f32.
    /// `Errc::timed_out` after `patience`, `unavailable` with the server's words where it refuses,
    /// `malformed` for an answer of another shape or with values that are not finite, `closed`.
    /// `on_sent` may be empty; it is called once the rows have left, while the server computes.
    io::Task<Result<std::vector<float>>> step(std::uint32_t start,
                                              std::span<const float> rows,
                                              std::chrono::nanoseconds patience,
                                              std::function<void()> on_sent);

    /// Whether the next step may begin before the last one's end: stock servers up to 2.2.0 ignore
    /// start_from_position, so that taking back needs a new session there.
    [[nodiscard]] bool can_take_back() const { return !hop_.server.is_stock; }

    /// Whether its stream goes over a relay that limits it, and there is a direct connection now.
    [[nodiscard]] bool has_shorter_way() const;

    /// Ends the session in order, without waiting.
    io::Task<void> finish();

private:
    RemoteSpan(p2p::Host& host,
               io::Clock& clock,
               Hop hop,
               std::uint32_t max_length,
               std::uint32_t hidden,
               RemoteSpanLimits limits,
               std::unique_ptr<hivemind::CallStream> call);

    io::Task<Result<std::vector<float>>> exchange(std::uint32_t start,
                                                  std::span<const float> rows,
                                                  std::function<void()> on_sent);
    io::Task<Result<>> send_step(std::uint32_t start, std::span<const float> rows);
    [[nodiscard]] Result<std::vector<float>> read_answer(Bytes message, std::size_t tokens) const;

    p2p::Host& host_;
    io::Clock& clock_;
    Hop hop_;
    std::uint32_t max_length_;
    std::uint32_t hidden_;
    RemoteSpanLimits limits_;
    std::unique_ptr<hivemind::CallStream> call_;
    std::string relay_limit_;  // a clause for people; empty where no relay limits the way
    std::string session_id_;
    std::uint64_t steps_ = 0;
};

}  // namespace kwaai::petals
