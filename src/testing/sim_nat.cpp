#include "testing/sim_nat.hpp"

namespace kwaai::testing {

io::Address SimNat::send(Inside inside, const io::Address& remote) {
    const std::string to = io::to_string(remote);
    // A cone's place is the same for everybody, a symmetric router makes one for each.
    const std::string whom = kind_ == SimNatKind::cone ? std::string() : to;
    const auto [place, is_new] = ports_.emplace(std::pair(inside, whom), next_port_);
    if (is_new) owners_[next_port_++] = inside;
    permits_.emplace(place->second, to);
    return {.host = public_ip_, .port = place->second};
}

std::optional<SimNat::Inside> SimNat::owner(std::uint16_t port) const {
    const auto place = owners_.find(port);
    if (place == owners_.end()) return std::nullopt;
    return place->second;
}

bool SimNat::lets_in(std::uint16_t port, const io::Address& remote) const {
    return permits_.contains({port, io::to_string(remote)});
}

}  // namespace kwaai::testing
