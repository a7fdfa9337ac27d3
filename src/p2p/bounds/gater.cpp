#include "p2p/bounds/gater.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kwaai::p2p {

bool ConnectionGater::may_dial_peer(const PeerId& /*peer*/) const {
    return true;
}

bool ConnectionGater::may_dial(const PeerId& /*peer*/, std::string_view /*ip*/) const {
    return true;
}

bool ConnectionGater::may_accept(std::string_view /*ip*/) const {
    return true;
}

bool ConnectionGater::may_keep(const PeerId& /*peer*/,
                               Direction /*direction*/,
                               const Multiaddr& /*address*/) const {
    return true;
}

std::string ip_bytes(std::string_view ip) {
    if (const auto four = parse_ip4(ip)) return std::string(as_text(Bytes(*four)));
    const auto six = parse_ip6(ip.substr(0, ip.find('%')));
    if (!six) return {};
    const Bytes bytes(*six);
    return std::string(as_text(is_ip4_mapped(bytes) ? bytes.subspan(12) : bytes));
}

Result<Subnet> Subnet::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    std::string bytes = ip_bytes(text.substr(0, slash));
    const auto bits_max = static_cast<unsigned>(8 * bytes.size());
    unsigned bits = bits_max;
    bool is_number = true;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), bits);
        is_number = error == std::errc() && end == digits.data() + digits.size();
    }
    if (bytes.empty() || !is_number || bits > bits_max)
        return fail(Errc::invalid_argument,
                    "\"" + std::string(text) +
                        "\" is no network: give one as 192.0.2.0/24 or 2001:db8::/32");
    return Subnet(std::move(bytes), bits);
}

bool Subnet::contains(std::string_view ip) const {
    const std::string bytes = ip_bytes(ip);
    if (bytes.size() != bytes_.size()) return false;
    const std::size_t whole = bits_ / 8;
    if (bytes.compare(0, whole, bytes_, 0, whole) != 0) return false;
    if (bits_ % 8 == 0) return true;
    const auto mask = static_cast<unsigned char>(0xFFU << (8 - bits_ % 8));
    return ((static_cast<unsigned char>(bytes[whole]) ^ static_cast<unsigned char>(bytes_[whole])) &
            mask) == 0;
}

void BlockList::block(const Subnet& subnet) {
    if (std::ranges::find(subnets_, subnet) == subnets_.end()) subnets_.push_back(subnet);
}

bool BlockList::may_dial_peer(const PeerId& peer) const {
    return !peers_.contains(peer);
}

bool BlockList::may_dial(const PeerId& peer, std::string_view ip) const {
    return may_dial_peer(peer) && may_accept(ip);
}

bool BlockList::may_accept(std::string_view ip) const {
    return std::ranges::none_of(subnets_,
                                [ip](const Subnet& subnet) { return subnet.contains(ip); });
}

bool BlockList::may_keep(const PeerId& peer,
                         Direction /*direction*/,
                         const Multiaddr& address) const {
    const auto target = address.target();
    return may_dial_peer(peer) && (!target || may_accept(target->host));
}

}  // namespace kwaai::p2p
