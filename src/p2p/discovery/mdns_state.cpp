#include "p2p/discovery/mdns_state.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "p2p/discovery/mdns_wire.hpp"
#include "p2p/kad/address_scope.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::string_view kTextBegin = "dnsaddr=";
constexpr std::size_t kTextBytesMax = 255;
constexpr std::size_t kHostRecordsBytes = 256;  // more than those of add_host take
constexpr std::size_t kPeersOfPacketMax = 16;
constexpr std::size_t kAddressesOfPeerMax = 16;

bool is_local(const Multiaddr& address) {
    const auto target = address.target();
    if (!target || address.is_relayed()) return false;
    const Transport transport = target->transport;
    if (transport != Transport::tcp && transport != Transport::quic) return false;
    const bool is_ip = target->kind == AddrCode::ip4 || target->kind == AddrCode::ip6;
    return is_ip && kad::scope_of(address) >= kad::Scope::private_network;
}

// A host with an address, as DNS-SD has it: go-libp2p takes no answer without. Nobody uses them.
void add_host(DnsMessage& message,
              const std::string& name,
              const std::vector<Multiaddr>& addresses,
              std::uint32_t ttl) {
    for (const Multiaddr& address : addresses) {
        const auto target = address.target();
        if (!is_local(address) || target->kind != AddrCode::ip4) continue;
        const std::string host = name + ".local";
        message.records.push_back({.name = name + "." + kMdnsService,
                                   .type = kDnsSrv,
                                   .ttl_s = ttl,
                                   .target = host,
                                   .port = target->port,
                                   .ip = {},
                                   .texts = {}});
        message.records.push_back({.name = host,
                                   .type = kDnsA,
                                   .ttl_s = ttl,
                                   .target = {},
                                   .port = 0,
                                   .ip = parse_ip4(target->host).value(),
                                   .texts = {}});
        return;
    }
}

}  // namespace

codec::Buffer mdns_query() {
    DnsMessage message;
    message.questions.push_back({.name = kMdnsService, .type = kDnsPtr});
    return encode_dns(message);
}

bool is_mdns_query(Bytes packet) {
    const auto message = decode_dns(packet);
    if (!message || message->is_response) return false;
    return std::ranges::any_of(message->questions, [](const DnsQuestion& question) {
        return question.name == kMdnsService && question.type == kDnsPtr;
    });
}

codec::Buffer mdns_answer(const std::string& name,
                          const std::vector<Multiaddr>& addresses,
                          const MdnsLimits& limits) {
    const std::string instance = name + "." + kMdnsService;
    const auto ttl = static_cast<std::uint32_t>(limits.time_to_live.count());
    DnsMessage message{.is_response = true, .questions = {}, .records = {}};
    message.records.push_back({.name = kMdnsService,
                               .type = kDnsPtr,
                               .ttl_s = ttl,
                               .target = instance,
                               .port = 0,
                               .ip = {},
                               .texts = {}});
    message.records.push_back({.name = instance,
                               .type = kDnsTxt,
                               .ttl_s = ttl,
                               .target = {},
                               .port = 0,
                               .ip = {},
                               .texts = {}});
    std::vector<std::string> texts;
    std::size_t size = encode_dns(message).size() + kHostRecordsBytes;
    for (const Multiaddr& address : addresses) {
        std::string text = std::string(kTextBegin) + address.to_text();
        if (!is_local(address) || text.size() > kTextBytesMax) continue;
        if (texts.size() >= limits.addresses_max) break;
        size += text.size() + 1;
        if (size > kDnsMessageBytesMax) break;
        texts.push_back(std::move(text));
    }
    if (texts.empty()) return {};
    message.records.back().texts = std::move(texts);
    add_host(message, name, addresses, ttl);
    return encode_dns(message);
}

std::map<PeerId, std::vector<Multiaddr>> mdns_peers(Bytes packet) {
    std::map<PeerId, std::vector<Multiaddr>> found;
    const auto message = decode_dns(packet);
    if (!message || !message->is_response) return found;
    for (const DnsRecord& record : message->records) {
        if (record.type != kDnsTxt || !record.name.ends_with(kMdnsService)) continue;
        for (const std::string_view text : record.texts) {
            if (!text.starts_with(kTextBegin)) continue;
            const auto address = Multiaddr::parse(text.substr(kTextBegin.size()));
            if (!address || !is_local(*address)) continue;
            const auto peer = address->peer();
            if (!peer || (found.size() >= kPeersOfPacketMax && !found.contains(*peer))) continue;
            std::vector<Multiaddr>& of_peer = found[*peer];
            if (of_peer.size() < kAddressesOfPeerMax) of_peer.push_back(*address);
        }
    }
    return found;
}

bool MdnsState::takes_packet(io::TimePoint now) {
    if (second_begin_ == io::TimePoint::min() || now - second_begin_ >= std::chrono::seconds(1)) {
        second_begin_ = now;
        packets_ = 0;
    }
    return ++packets_ <= limits_.packets_max;
}

bool MdnsState::is_news(const PeerId& peer, io::TimePoint now) {
    std::erase_if(known_, [&](const auto& one) { return one.second + limits_.news_pause <= now; });
    if (known_.contains(peer) || known_.size() >= limits_.peers_max) return false;
    known_[peer] = now;
    return true;
}

}  // namespace kwaai::p2p
