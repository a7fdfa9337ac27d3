#include "p2p/protocol/multistream.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.hpp"
#include "p2p/protocol/multistream_state.hpp"

namespace kwaai::p2p {
namespace {

// Sends what `state` has to say and hands it what arrives, until it has agreed.
template <class State>
io::Task<Result<Negotiated>> negotiate(io::Stream& stream, State& state) {
    std::array<std::byte, kMultistreamLineBytesMax> chunk;
    Bytes rest;
    for (;;) {
        const codec::Buffer output = state.take_output();
        if (!output.empty()) {
            const Bytes bytes(output);
            KWAAI_CO_CHECKED(co_await stream.write(bytes));
        }
        if (state.agreed() != nullptr)
            co_return Negotiated{.protocol = *state.agreed(),
                                 .residue = {rest.begin(), rest.end()}};
        KWAAI_CO_TRY(const std::size_t count, co_await stream.read_some(chunk));
        if (count == 0)
            co_return fail(Errc::closed, "the peer ended the stream while agreeing on a protocol");
        const Bytes arrived = Bytes(chunk).first(count);
        const Result<std::size_t> used = state.receive(arrived);
        if (!used) {
            // A refusal may stand in front of what is wrong: who proposed lazily learns of it.
            const codec::Buffer last = state.take_output();
            const Bytes bytes(last);
            if (!last.empty()) (void)co_await stream.write(bytes);
            co_return std::unexpected<Error>(used.error());
        }
        rest = arrived.subspan(*used);
    }
}

}  // namespace

io::Task<Result<Negotiated>> negotiate_outbound(io::Stream& stream,
                                                const std::vector<std::string>& protocols) {
    if (protocols.empty() || !std::ranges::all_of(protocols, is_protocol_id))
        co_return fail(Errc::invalid_argument,
                       "a protocol id is 1 to 1023 bytes of text without a newline");
    MultistreamDialer dialer(protocols);
    Result<Negotiated> agreed = co_await negotiate(stream, dialer);
    co_return agreed;
}

io::Task<Result<Negotiated>> negotiate_inbound(io::Stream& stream,
                                               const std::function<bool(std::string_view)>& knows,
                                               const Limits& limits) {
    MultistreamListener listener(knows, limits.proposals_max);
    Result<Negotiated> agreed = co_await negotiate(stream, listener);
    co_return agreed;
}

std::vector<std::byte> lazy_proposal(std::string_view protocol) {
    KWAAI_CHECK(is_protocol_id(protocol), "a lazy proposal of what cannot be proposed");
    codec::Buffer proposal;
    append_multistream_line(proposal, kMultistreamHeader);
    append_multistream_line(proposal, protocol);
    return proposal;
}

io::Task<Result<std::vector<std::byte>>> read_lazy_answer(io::Stream& stream,
                                                          std::string_view protocol) {
    MultistreamDialer dialer({std::string(protocol)});
    (void)dialer.take_output();  // it was sent before
    KWAAI_CO_TRY(Negotiated agreed, co_await negotiate(stream, dialer));
    co_return std::move(agreed.residue);
}

}  // namespace kwaai::p2p
