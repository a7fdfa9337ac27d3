#include "p2p/dnsaddr.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.hpp"
#include "io/timeout.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kValuePrefix = "dnsaddr=";

/// Whether `address` ends with the parts behind the name of `question`. Not a matter of bytes: the
/// end of a value may look like a part.
bool ends_as(const Multiaddr& address, const Multiaddr& question) {
    const std::vector<AddrPart> parts = address.parts();
    const std::vector<AddrPart> asked = question.parts();
    const std::size_t wanted = asked.size() - 1;
    if (parts.size() < wanted) return false;
    return std::equal(asked.begin() + 1,
                      asked.end(),
                      parts.end() - static_cast<std::ptrdiff_t>(wanted),
                      [](const AddrPart& one, const AddrPart& other) {
                          return one.code == other.code &&
                                 std::ranges::equal(one.value, other.value);
                      });
}

/// What a record says, where it is one of ours.
std::optional<Multiaddr> read_record(std::string_view record) {
    if (!record.starts_with(kValuePrefix)) return std::nullopt;
    auto address = Multiaddr::parse(record.substr(kValuePrefix.size()));
    if (!address) return std::nullopt;
    return std::move(*address);
}

}  // namespace

bool is_dnsaddr(const Multiaddr& address) {
    const std::optional<AddrPart> first = address.part(0);
    return first && first->code == AddrCode::dnsaddr;
}

DnsaddrState::DnsaddrState(Multiaddr address, const Limits& limits)
    : levels_max_(limits.dnsaddr_levels_max), addresses_max_(limits.dnsaddr_addresses_max) {
    KWAAI_CHECK(is_dnsaddr(address), "only a /dnsaddr is looked up in TXT records");
    seen_.insert(address);
    questions_.push_back({.address = std::move(address), .level = 1});
}

std::optional<std::string> DnsaddrState::name() const {
    if (questions_.empty()) return std::nullopt;
    const std::optional<AddrPart> first = questions_.front().address.part(0);
    return "_dnsaddr." + std::string(as_text(first->value));
}

void DnsaddrState::answered(const std::vector<std::string>& records) {
    if (questions_.empty()) return;
    const Question question = std::move(questions_.front());
    questions_.pop_front();
    for (const std::string& record : records) {
        const std::optional<Multiaddr> address = read_record(record);
        if (address && ends_as(*address, question.address)) take(*address, question.level);
    }
}

void DnsaddrState::take(const Multiaddr& address, std::size_t level) {
    const bool leads_on = is_dnsaddr(address);
    if (leads_on ? level >= levels_max_ : !address.target() && !address.is_relayed()) return;
    if (seen_.size() > addresses_max_ || !seen_.insert(address).second) return;
    if (leads_on)
        questions_.push_back({.address = address, .level = level + 1});
    else
        found_.push_back(address);
}

io::Task<Result<std::vector<Multiaddr>>> resolve_dnsaddr(io::Network& network,
                                                         io::Clock& clock,
                                                         Multiaddr address,
                                                         Limits limits) {
    DnsaddrState state(address, limits);
    const io::TimePoint end = clock.now() + limits.dial_timeout;
    std::optional<Error> failure;
    for (auto name = state.name(); name; name = state.name()) {
        const io::Duration left = end - clock.now();
        if (left <= io::Duration::zero()) break;
        auto asking = network.resolve_text(*name);
        auto records = co_await io::with_timeout(clock, left, std::move(asking));
        if (!records && !failure) failure = records.error();
        state.answered(records ? *records : std::vector<std::string>());
    }
    if (!state.found().empty()) co_return state.found();
    if (failure) co_return std::unexpected<Error>(std::move(*failure).with(address.to_text()));
    co_return fail(Errc::not_found,
                   address.to_text() + ": its TXT records name no address that can be dialled");
}

}  // namespace kwaai::p2p
