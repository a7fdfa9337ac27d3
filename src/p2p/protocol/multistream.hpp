// multistream-select 1.0.0: agreeing on a protocol at the start of a stream.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "io/stream.hpp"
#include "io/task.hpp"
#include "p2p/limits.hpp"

namespace kwaai::p2p {

/// What a negotiation gives: the protocol, and bytes of it that arrived behind the last message.
struct Negotiated {
    std::string protocol;
    std::vector<std::byte> residue;
};

/// Proposes `protocols` one after the other until the peer takes one; the header and the first
/// proposal leave in one write. `Errc::unsupported` where it refuses all, `malformed`, or the
/// stream's errors.
io::Task<Result<Negotiated>> negotiate_outbound(io::Stream& stream,
                                                const std::vector<std::string>& protocols);

/// Answers proposals until one is accepted by `knows`. `Errc::limit_exceeded` after
/// Limits::proposals_max refusals; "ls" is refused.
io::Task<Result<Negotiated>> negotiate_inbound(io::Stream& stream,
                                               const std::function<bool(std::string_view)>& knows,
                                               const Limits& limits);

/// The bytes of the header and one proposal: what a lazy opener puts in front of its first write.
[[nodiscard]] std::vector<std::byte> lazy_proposal(std::string_view protocol);

/// Reads the answer to a lazy proposal, byte by byte beyond the message's end nothing:
/// `Errc::unsupported` where it is "na". Gives the residue.
io::Task<Result<std::vector<std::byte>>> read_lazy_answer(io::Stream& stream,
                                                          std::string_view protocol);

}  // namespace kwaai::p2p
