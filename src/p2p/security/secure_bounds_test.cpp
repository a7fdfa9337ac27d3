// What the handshake of a stranger may cost (libp2p.md §4.2).
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/security/tls_world_test.hpp"

using namespace kwaai;
using namespace kwaai::p2p;
using namespace std::chrono_literals;
using io::Task;

namespace {

const crypto::PrivateKey& rsa_key() {
    static const crypto::PrivateKey key =
        crypto::PrivateKey::generate(crypto::KeyType::rsa).value();
    return key;
}

// Two signatures at once, then one a second, on a clock of their own.
struct TwoSignatures {
    TwoSignatures() {
        limits.rsa_verify_burst = 2;
        limits.rsa_verify_period = 1s;
        limiter = std::make_shared<SignatureLimiter>(limits, time.clock());
    }

    void pass(io::Duration amount) { time.run(time.clock().sleep_for(amount)); }

    testing::Simulation time;
    Limits limits;
    std::shared_ptr<SignatureLimiter> limiter;
};

// The dialler's last message leaves with its first bytes; it need not know that it was refused.
Task<void> say_something(SecureWorld&, io::Stream& stream) {
    const bool is_sent = co_await send(stream, "hello");
    static_cast<void>(is_sent);
}

Task<void> say_no_word(SecureWorld&, io::Stream&) {
    co_return;
}

// How the listener of `world` ends; nothing where it knows its peer.
std::optional<Errc> listen_in(SecureWorld& world) {
    world.converse(say_something, say_no_word);
    if (world.server->has_value()) return std::nullopt;
    return world.server->error().code;
}

std::optional<Errc> listen_noise(const crypto::PrivateKey& dialler, const HandshakeBounds& bounds) {
    SecureWorld world;
    world.client_identity = SecureIdentity(NoiseIdentity(dialler, nullptr));
    world.server_identity = SecureIdentity(NoiseIdentity(key_of_seed(0x66), nullptr), bounds);
    return listen_in(world);
}

std::optional<Errc> listen_tls(const crypto::PrivateKey& dialler, const HandshakeBounds& bounds) {
    TlsWorld world;
    world.client_identity = SecureIdentity(TlsIdentity(dialler));
    world.server_identity = SecureIdentity(TlsIdentity(key_of_seed(0x66)), bounds);
    return listen_in(world);
}

}  // namespace

TEST_CASE("RSA signatures of strangers have tokens, which come back; other keys need none") {
    TwoSignatures tokens;
    for (int i = 0; i < 3; ++i)
        CHECK(tokens.limiter->admit(crypto::KeyType::ed25519));
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa));
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa));
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa).error().code == Errc::limit_exceeded);
    CHECK(tokens.limiter->admit(crypto::KeyType::secp256k1));
    tokens.pass(999ms);
    CHECK_FALSE(tokens.limiter->admit(crypto::KeyType::rsa));
    tokens.pass(1ms);
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa));
    CHECK_FALSE(tokens.limiter->admit(crypto::KeyType::rsa));
    tokens.pass(1h);
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa));
    CHECK(tokens.limiter->admit(crypto::KeyType::rsa));
    CHECK_FALSE(tokens.limiter->admit(crypto::KeyType::rsa));
}

TEST_CASE("a listener verifies the signature of an RSA identity only for a token") {
    for (const auto listen : {listen_noise, listen_tls}) {
        TwoSignatures tokens;
        const HandshakeBounds bounds(tokens.limits, tokens.limiter);
        CHECK(listen(rsa_key(), bounds) == std::nullopt);
        CHECK(listen(rsa_key(), bounds) == std::nullopt);
        CHECK(listen(rsa_key(), bounds) == Errc::limit_exceeded);
        CHECK(listen(key_of_seed(0x55), bounds) == std::nullopt);
        tokens.pass(1s);
        CHECK(listen(rsa_key(), bounds) == std::nullopt);
    }
}

TEST_CASE("a dialler verifies the RSA identity of whom it has chosen without a token") {
    const TwoSignatures tokens;
    while (tokens.limiter->admit(crypto::KeyType::rsa))
        continue;
    SecureWorld world;
    world.client_identity = SecureIdentity(NoiseIdentity(key_of_seed(0x55), nullptr),
                                           HandshakeBounds(tokens.limits, tokens.limiter));
    world.server_identity = SecureIdentity(NoiseIdentity(rsa_key(), nullptr));
    world.converse(say_something, say_no_word);
    CHECK(world.client->has_value());
}

TEST_CASE("a handshake has as many bytes as its limit, and no more") {
    Limits limits;
    limits.noise_handshake_bytes_max = 300;  // of an Ed25519 identity it has less, of an RSA more
    limits.tls_handshake_bytes_max = 900;
    const HandshakeBounds bounds(limits, nullptr);
    CHECK(listen_noise(key_of_seed(0x55), bounds) == std::nullopt);
    CHECK(listen_noise(rsa_key(), bounds) == Errc::malformed);
    CHECK(listen_tls(key_of_seed(0x55), HandshakeBounds()) == std::nullopt);
    CHECK(listen_tls(rsa_key(), bounds) == Errc::limit_exceeded);
}

TEST_CASE("a host verifies RSA signatures of those who come for its tokens, over TCP and QUIC") {
    Limits limits;
    limits.rsa_verify_burst = 1;
    limits.rsa_verify_period = 1h;
    for (const char* const listens : {kListenTcp, kListenQuic}) {
        testing::Simulation simulation;
        const std::vector<crypto::PrivateKey> keys{make_key(0), rsa_key(), make_key(2)};
        HostWorld world(simulation, keys, limits, nullptr, listens);
        const auto body = [](HostWorld& at) -> Task<void> {
            const PeerId listener = at.host(0).id();
            const auto first = co_await at.host(1).connect_again(at.address(0));
            CHECK(first);
            co_await at.clock().sleep_for(1s);
            CHECK(at.host(1).is_connected(listener));
            const auto second = co_await at.host(1).connect_again(at.address(0));
            co_await at.clock().sleep_for(1s);
            static_cast<void>(second);  // the dialler's side may be done before it is refused
            CHECK(at.host(0).resources().connections() == 1);
            const auto other = co_await at.host(2).connect(at.address(0));
            CHECK(other);
            co_await at.clock().sleep_for(1s);
            CHECK(at.host(0).resources().connections() == 2);
        };
        simulation.run(io::with_group(
            &kwaai::p2p::detail::run_body<std::decay_t<decltype(body)>>, std::ref(world), body));
    }
}
