#include "p2p/discovery/mdns.hpp"

#include <array>
#include <utility>

#include "crypto/random.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz012345";

std::string make_name(const std::function<void(MutableBytes)>& random) {
    std::array<std::byte, 40> bytes{};  // the specification wants 32 to 63 letters
    random(bytes);
    std::string name;
    for (const std::byte byte : bytes)
        name += kLetters[std::to_integer<std::size_t>(byte) % kLetters.size()];
    return name;
}

}  // namespace

Mdns::Mdns(Host& host,
           io::Clock& clock,
           std::unique_ptr<io::MulticastSocket> socket,
           MdnsOptions options)
    : host_(host),
      clock_(clock),
      socket_(std::move(socket)),
      options_(std::move(options)),
      state_(options_.limits) {
    if (!options_.random) options_.random = crypto::fill_random;
    name_ = make_name(options_.random);
}

io::Task<void> Mdns::run() {
    co_await io::with_group(&Mdns::run_both, std::ref(*this));
}

io::Task<void> Mdns::run_both(io::TaskGroup& group, Mdns& self) {
    group.spawn(&Mdns::ask, std::ref(self));
    group.spawn(&Mdns::answer_asked, std::ref(self));
    while (true) {
        const auto packet = co_await self.socket_->receive();
        if (!packet) break;
        if (self.state_.takes_packet(self.clock_.now())) self.take(packet->bytes);
    }
    group.cancel();
}

// An answer that nobody asked for tells those who are there that we have come.
io::Task<void> Mdns::ask() {
    while (true) {
        socket_->send(mdns_query());
        is_asked_ = true;
        asked_.notify_all();
        co_await clock_.sleep_for(options_.limits.query_interval);
    }
}

// Once for all who ask within a pause, the last of them too.
io::Task<void> Mdns::answer_asked() {
    while (true) {
        while (!is_asked_)
            co_await asked_.wait();
        is_asked_ = false;
        const codec::Buffer here = answer();
        if (!here.empty()) socket_->send(here);
        co_await clock_.sleep_for(options_.limits.answer_pause);
    }
}

codec::Buffer Mdns::answer() const {
    std::vector<Multiaddr> addresses;
    for (const Multiaddr& address : host_.told_addresses())
        addresses.push_back(address.with_peer(host_.id()));
    return mdns_answer(name_, addresses, options_.limits);
}

void Mdns::take(Bytes packet) {
    if (is_mdns_query(packet)) {
        is_asked_ = true;
        asked_.notify_all();
        return;
    }
    for (const auto& [peer, addresses] : mdns_peers(packet)) {
        if (peer == host_.id() || !state_.is_news(peer, clock_.now())) continue;
        for (const Multiaddr& address : addresses)
            host_.add_address(peer, address);
        if (options_.on_found) options_.on_found(peer, addresses);
    }
}

}  // namespace kwaai::p2p
