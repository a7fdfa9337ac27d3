#include "p2p/discovery/discovery.hpp"

#include <algorithm>
#include <utility>

#include "codec/varint.hpp"
#include "io/timeout.hpp"
#include "p2p/length_prefixed.hpp"

namespace kwaai::p2p {
namespace {

// What a row through the peer takes, as far as is known.
double seconds_per_row(const FoundPeer& peer) {
    const double speed = peer.record.capability.rows_per_second;
    const double answer = std::chrono::duration<double>(peer.answer_time).count();
    return answer + (speed > 0 ? 1 / speed : 0);
}

}  // namespace

Discovery::Discovery(Host& host, io::Clock& clock, kad::Dht& dht, DiscoveryOptions options)
    : host_(host), clock_(clock), dht_(dht), options_(std::move(options)) {}

Discovery::~Discovery() {
    host_.stop_handling(kCapabilityProtocol);
}

Result<> Discovery::offer(Capability capability) {
    capability.sequence = options_.unix_seconds();
    capability.expires = 0;
    KWAAI_CHECKED(seal_capability(host_.identity(), capability));
    const bool is_first = !offered_;
    offered_ = std::move(capability);
    if (is_first)
        host_.handle(kCapabilityProtocol,
                     [this](std::unique_ptr<Stream> stream) { return serve(std::move(stream)); });
    offer_changed_.notify_all();
    return {};
}

// Sealed anew for each: it says until when it holds, and where the node is now.
io::Task<void> Discovery::serve(std::unique_ptr<Stream> stream) {
    Capability now = *offered_;
    now.expires = options_.unix_seconds() + static_cast<std::uint64_t>(options_.validity.count());
    for (const Multiaddr& address : host_.told_addresses())
        if (now.addresses.size() < kCapabilitiesMax) now.addresses.push_back(address);
    const auto sealed = seal_capability(host_.identity(), now);
    if (!sealed) co_return;
    codec::Buffer framed;
    codec::append_varint(framed, sealed->size());
    codec::append(framed, *sealed);
    const Bytes bytes(framed);
    auto writing = stream->write(bytes);
    const Result<> written =
        co_await io::with_timeout(clock_, options_.ask_timeout, std::move(writing));
    if (written) stream->close();
}

std::vector<std::string> Discovery::offered_names() const {
    return offered_ ? offered_->names : std::vector<std::string>();
}

// Whether all of `names`, and nothing else, is provided afterwards.
io::Task<bool> Discovery::provide(std::vector<std::string> names, bool is_anew) {
    const std::vector<std::string> before = provided_;
    std::erase_if(provided_, [&](const std::string& name) {
        const bool is_over = std::ranges::find(names, name) == names.end();
        if (is_over) dht_.stop_providing(kad::provider_key(name));
        return is_over || is_anew;
    });
    for (const std::string& name : names) {
        if (std::ranges::find(provided_, name) != provided_.end()) continue;
        codec::Buffer key = kad::provider_key(name);
        const auto told = co_await dht_.provide(std::move(key));
        if (!told) continue;
        provided_.push_back(name);
        const bool is_news = std::ranges::find(before, name) == before.end();
        if (is_news && options_.on_provided) options_.on_provided(name, *told);
    }
    co_return provided_.size() == names.size();
}

void Discovery::addresses_changed() {
    have_addresses_changed_ = true;
    offer_changed_.notify_all();
}

io::Task<void> Discovery::run() {
    while (true) {
        const std::vector<std::string> names = offered_names();
        const bool is_anew = std::exchange(have_addresses_changed_, false);
        const bool is_done = co_await provide(names, is_anew);
        if (names != offered_names() || have_addresses_changed_) continue;
        io::Task<void> waiting = wait_for_offer();
        if (is_done)
            co_await std::move(waiting);
        else
            co_await io::finishes_within(clock_, options_.retry_pause, std::move(waiting));
    }
}

io::Task<void> Discovery::wait_for_offer() {
    co_await offer_changed_.wait();
}

io::Task<Result<CapabilityRecord>> Discovery::request_record(PeerId peer) {
    const OpenOptions eager{
        .is_lazy = false, .timeout = options_.ask_timeout, .allows_relayed = true};
    KWAAI_CO_TRY(const std::unique_ptr<Stream> stream,
                 co_await host_.open(peer, kCapabilityProtocol, eager));
    KWAAI_CO_TRY(const std::optional<codec::Buffer> bytes,
                 co_await read_length_prefixed(*stream, kCapabilityRecordBytesMax));
    stream->close();
    if (!bytes) co_return fail(Errc::closed, "the peer handed out no record");
    KWAAI_CO_TRY(CapabilityRecord record, open_capability(*bytes));
    if (record.peer != peer)
        co_return fail(Errc::malformed, "the record of another peer: " + record.peer.to_text());
    if (record.capability.expires <= options_.unix_seconds())
        co_return fail(Errc::malformed, "a record that has expired");
    co_return record;
}

io::Task<void> Discovery::ask(PeerId peer, const std::string& name, std::vector<FoundPeer>& found) {
    const io::TimePoint begin = clock_.now();
    auto requesting = request_record(peer);
    auto record = co_await io::with_timeout(clock_, options_.ask_timeout, std::move(requesting));
    const io::Duration took = clock_.now() - begin;
    if (!record || !record->capability.offers(name)) co_return;
    for (const PeerInfo& info : host_.peers()) {
        if (info.peer != peer || !info.connected) continue;
        found.push_back({.record = std::move(*record),
                         .answer_time = took,
                         .address = info.connected->with_peer(peer)});
        co_return;
    }
}

io::Task<void> Discovery::ask_all(io::TaskGroup& group,
                                  Discovery& self,
                                  const std::vector<kad::PeerAddresses>& providers,
                                  const std::string& name,
                                  std::vector<FoundPeer>& found) {
    for (const kad::PeerAddresses& provider : providers) {
        if (provider.peer == self.host_.id()) continue;
        for (const Multiaddr& address : provider.addresses)
            self.host_.add_address(provider.peer, address);
        group.spawn(
            &Discovery::ask, std::ref(self), provider.peer, std::cref(name), std::ref(found));
    }
    co_return;
}

io::Task<std::vector<FoundPeer>> Discovery::find(std::string name, std::size_t count_max) {
    std::vector<FoundPeer> found;
    codec::Buffer key = kad::provider_key(name);
    const auto providers = co_await dht_.find_providers(std::move(key), options_.asked_max);
    if (!providers) co_return found;
    co_await io::with_group(&Discovery::ask_all,
                            std::ref(*this),
                            std::cref(*providers),
                            std::cref(name),
                            std::ref(found));
    std::ranges::sort(found, {}, seconds_per_row);
    while (found.size() > count_max)
        found.pop_back();
    co_return found;
}

}  // namespace kwaai::p2p
