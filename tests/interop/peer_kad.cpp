#include "interop/peer_kad.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace kwaai::interop {
namespace {

constexpr const char* kProtocol = "/interop/kad/1.0.0";
constexpr std::string_view kValueKey = "/interop/value";  // holds "N from LIBRARY"
constexpr const char* kOffer = "interop";                 // what is provided
constexpr std::size_t kProvidersMax = 20;

class Numbered final : public p2p::kad::Validator {
public:
    [[nodiscard]] Result<> validate(Bytes /*key*/, Bytes value) const override {
        const std::string_view text = as_text(value);
        if (!text.empty() && text.front() >= '0' && text.front() <= '9') return {};
        return fail(Errc::malformed, "a value does not begin with a digit");
    }

    [[nodiscard]] std::size_t select(Bytes /*key*/, std::span<const Bytes> values) const override {
        std::size_t best = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i].front() > values[best].front()) best = i;
        return best;
    }
};

codec::Buffer key_of(const p2p::PeerId& peer) {
    codec::Buffer key;
    codec::append(key, "/pk/");
    codec::append(key, peer.bytes());
    return key;
}

// Joins a table whose only known node is at `address`.
io::Task<Result<>> bootstrap(p2p::kad::Dht& dht, std::string address) {
    KWAAI_CO_TRY(p2p::Multiaddr parsed, p2p::Multiaddr::parse(address));
    std::vector<p2p::Multiaddr> first{std::move(parsed)};
    auto joined = co_await dht.bootstrap(std::move(first));
    if (!joined) co_return forward_error(joined);
    co_return Result<>();
}

void write_addresses(const std::vector<p2p::Multiaddr>& addresses, json::Writer& out) {
    out.begin_array();
    for (const p2p::Multiaddr& address : addresses)
        out.value(address.to_text());
    out.end();
}

io::Task<Result<>> look_for_values(p2p::kad::Dht& dht, p2p::PeerId peer, json::Writer& out) {
    const codec::Buffer value_key = codec::to_buffer(as_bytes(kValueKey));
    KWAAI_CO_TRY(const codec::Buffer value, co_await dht.get(value_key));
    out.member("kad_value", as_text(Bytes(value)));
    const codec::Buffer pk = key_of(peer);
    KWAAI_CO_TRY(const codec::Buffer key, co_await dht.get(pk));
    KWAAI_CO_TRY(const crypto::PublicKey read, crypto::PublicKey::from_protobuf(key));
    out.member("kad_key_ok", peer.matches(read));
    co_return Result<>();
}

io::Task<Result<>> look_for_peers(p2p::kad::Dht& dht, p2p::PeerId peer, json::Writer& out) {
    const codec::Buffer offer = p2p::kad::provider_key(kOffer);
    KWAAI_CO_TRY(const std::vector<p2p::kad::PeerAddresses> providers,
                 co_await dht.find_providers(offer, kProvidersMax));
    out.key("kad_providers").begin_object();
    for (const p2p::kad::PeerAddresses& provider : providers)
        write_addresses(provider.addresses, out.key(provider.peer.to_text()));
    out.end();
    KWAAI_CO_TRY(const p2p::kad::PeerAddresses found, co_await dht.find_peer(peer));
    write_addresses(found.addresses, out.key("kad_addresses"));
    co_return Result<>();
}

io::Task<Result<>> replace_value(p2p::kad::Dht& dht, json::Writer& out) {
    const codec::Buffer key = codec::to_buffer(as_bytes(kValueKey));
    const codec::Buffer newer = codec::to_buffer(as_bytes("2 from kwaai"));
    auto taken = co_await dht.put(key, newer);
    if (!taken) co_return forward_error(taken, "putting a newer value");
    KWAAI_CO_TRY(const codec::Buffer value, co_await dht.get(key));
    out.member("kad_replaced", value == newer);
    co_return Result<>();
}

}  // namespace

p2p::kad::DhtOptions kad_options(bool is_server) {
    p2p::kad::DhtOptions options{
        .protocol = kProtocol, .mode = is_server ? p2p::kad::Mode::server : p2p::kad::Mode::client};
    options.validators.set("pk", p2p::kad::public_key_validator());
    options.validators.set("interop", std::make_shared<Numbered>());
    return options;
}

io::Task<Result<>> join_table(p2p::Host& host, p2p::kad::Dht& dht, std::string address) {
    KWAAI_CO_CHECKED(co_await bootstrap(dht, address));
    const codec::Buffer value_key = codec::to_buffer(as_bytes(kValueKey));
    const codec::Buffer value = codec::to_buffer(as_bytes("1 from kwaai"));
    auto put = co_await dht.put(value_key, value);
    if (!put) co_return forward_error(put, "putting a value");
    const codec::Buffer pk = key_of(host.id());
    const codec::Buffer key = codec::to_buffer(host.identity().public_key().protobuf());
    auto put_key = co_await dht.put(pk, key);
    if (!put_key) co_return forward_error(put_key, "putting a key");
    const codec::Buffer offer = p2p::kad::provider_key(kOffer);
    auto told = co_await dht.provide(offer);
    if (!told) co_return forward_error(told, "providing");
    co_return Result<>();
}

io::Task<Result<>> look_in_table(p2p::kad::Dht& dht,
                                 std::string address,
                                 std::string wanted,
                                 json::Writer& out) {
    KWAAI_CO_TRY(const p2p::PeerId peer, p2p::PeerId::parse(wanted));
    KWAAI_CO_CHECKED(co_await bootstrap(dht, std::move(address)));
    KWAAI_CO_CHECKED(co_await look_for_values(dht, peer, out));
    KWAAI_CO_CHECKED(co_await look_for_peers(dht, peer, out));
    Result<> replaced = co_await replace_value(dht, out);
    co_return replaced;
}

}  // namespace kwaai::interop
