#include "node/membership.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "io/datagram.hpp"
#include "io/interfaces.hpp"
#include "io/timeout.hpp"
#include "node/swarm_names.hpp"

namespace kwaai::node {
namespace {

constexpr io::Duration kJoinAgain = std::chrono::seconds(2);
constexpr io::Duration kJoinAgainMax = std::chrono::minutes(1);
// Neighbours answer within a second; a busy one may take a little longer.
constexpr io::Duration kNeighbourWait = std::chrono::seconds(4);

}  // namespace

Membership::Membership(io::Loop& loop,
                       p2p::Host& host,
                       p2p::kad::Dht& dht,
                       MembershipOptions options)
    : loop_(loop), host_(host), dht_(dht), options_(std::move(options)) {}

Membership::~Membership() {
    if (options_.file.empty() || dht_.change_count() == 0) return;
    const Result<> saved = save(dht_.kept());
    static_cast<void>(saved);  // said in an earlier round
}

Result<> Membership::open() {
    if (!options_.file.empty()) open_archive();
    return options_.finds_neighbours ? open_mdns() : Result<>();
}

void Membership::open_archive() {
    auto opened = p2p::kad::DhtArchive::open(options_.file, dht_.limits());
    if (!opened) {
        archive_note_ =
            "this node will not know its network after a restart: " + opened.error().context;
        return;
    }
    archive_note_ = std::move(opened->note);
    auto kept = opened->archive.load(seconds_since_1970());
    if (kept)
        dht_.restore(std::move(*kept));
    else
        archive_note_ = kept.error().context;
    if (!options_.shares_file) archive_.emplace(std::move(opened->archive));
}

Result<> Membership::open_mdns() {
    KWAAI_TRY(auto socket,
              io::open_multicast(loop_,
                                 {.host = p2p::kMdnsGroup, .port = p2p::kMdnsPort},
                                 io::interface_addresses(io::IpFamily::v4)));
    const auto on_found = [this](const p2p::PeerId& /*peer*/,
                                 const std::vector<p2p::Multiaddr>& found) {
        running_->spawn(&Membership::meet, std::ref(*this), found);
    };
    mdns_.emplace(host_,
                  loop_.clock(),
                  std::move(socket),
                  p2p::MdnsOptions{.limits = {}, .random = {}, .on_found = on_found});
    return {};
}

Result<> Membership::save(const p2p::kad::KeptDht& kept) {
    if (archive_) return archive_->save(kept, seconds_since_1970());
    if (!options_.shares_file) return {};
    KWAAI_TRY(p2p::kad::DhtArchive::Opened opened,
              p2p::kad::DhtArchive::open(options_.file, dht_.limits()));
    return opened.archive.save(kept, seconds_since_1970());
}

// A process that is killed later has told whom it met.
io::Task<void> Membership::save_joined() {
    const p2p::kad::KeptDht kept = dht_.kept();
    const auto write = [this, &kept] {
        return save(kept);
    };
    const Result<> saved = co_await io::offload(saving_, write);
    static_cast<void>(saved);  // another process may be at it, and knows as much
}

// Whoever is found is asked for the others of its network.
io::Task<void> Membership::meet(std::vector<p2p::Multiaddr> found) {
    const auto joined = co_await dht_.bootstrap(std::move(found));
    static_cast<void>(joined);  // it may speak another protocol, or be gone
    if (dht_.peer_count() > 0) changed_.notify_all();
}

io::Task<void> Membership::wait_for_neighbour() {
    while (dht_.peer_count() == 0)
        co_await changed_.wait();
}

// Why nobody is known after all ways were tried; `named` is why nobody of those who were named is.
Error Membership::why_alone(std::optional<Error> named) const {
    if (named) return *std::move(named);
    if (options_.finds_neighbours)
        return {Errc::unavailable,
                "no node was found on the local network; name one: --bootstrap and an address that "
                "`kwaai serve` printed"};
    if (!dht_.kept().peers.empty())
        return {Errc::unavailable,
                "none of the nodes that were met in the past answers; name one: --bootstrap and an "
                "address that `kwaai serve` printed"};
    return {Errc::invalid_argument,
            "to find servers, name a node of their network to begin with: --bootstrap and an "
            "address that `kwaai serve` printed; or look on the local network: --mdns"};
}

io::Task<Result<std::size_t>> Membership::join(Note on_note) {
    std::optional<Error> named;
    if (!options_.bootstrap.empty()) {
        auto joined = co_await dht_.bootstrap(options_.bootstrap);
        if (joined) co_return joined;
        named = std::move(joined).error();
    }
    const auto again = co_await dht_.rejoin();
    if (again && named && on_note)
        on_note(named->context + "; nodes that were met in the past answer instead");
    if (again) co_return again;
    if (mdns_) {
        auto waiting = wait_for_neighbour();
        const bool is_met =
            co_await io::finishes_within(loop_.clock(), kNeighbourWait, std::move(waiting));
        if (is_met) co_return dht_.peer_count();
    }
    co_return std::unexpected<Error>(why_alone(std::move(named)));
}

io::Task<void> Membership::stay_joined(Note on_note) {
    io::Duration pause = kJoinAgain;
    while (true) {
        if (dht_.peer_count() == 0) {
            const auto joined = co_await join(on_note);
            if (joined && on_note) on_note(joined_sentence(*joined));
            if (joined && options_.shares_file) co_await save_joined();
            // Where no node was named, it may well be the first.
            const bool is_noted = !options_.bootstrap.empty() && !changed_.has_waiters();
            if (!joined && pause == kJoinAgain && is_noted && on_note)
                on_note(joined.error().context + "; trying again and again");
            if (!joined) failure_ = joined.error();
            changed_.notify_all();
            pause = joined ? kJoinAgain : std::min(2 * pause, kJoinAgainMax);
        }
        co_await loop_.clock().sleep_for(pause);
    }
}

io::Task<Result<>> Membership::joined() {
    while (dht_.peer_count() == 0) {
        if (failure_) co_return std::unexpected<Error>(*failure_);
        co_await changed_.wait();
    }
    co_return Result<>();
}

io::Task<void> Membership::run_all(io::TaskGroup& group, Membership& self, Note on_note) {
    self.running_ = &group;
    if (!self.archive_note_.empty() && on_note) on_note(self.archive_note_);
    if (self.mdns_) group.spawn(&p2p::Mdns::run, std::ref(*self.mdns_));
    if (self.archive_) {
        p2p::kad::SaveOptions saving{.unix_seconds = seconds_since_1970, .on_note = on_note};
        group.spawn(p2p::kad::keep_saved,
                    std::ref(self.dht_),
                    std::ref(*self.archive_),
                    std::ref(self.loop_.clock()),
                    std::ref(self.saving_),
                    std::move(saving));
    }
    group.spawn(&Membership::stay_joined, std::ref(self), std::move(on_note));
    co_return;
}

io::Task<void> Membership::run(Note on_note) {
    co_await io::with_group(&Membership::run_all, std::ref(*this), std::move(on_note));
}

}  // namespace kwaai::node
