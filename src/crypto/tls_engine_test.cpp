#include "crypto/tls_engine.hpp"

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::crypto;

namespace {

using Names = std::vector<std::string>;

Result<> accept_all(std::span<const Bytes> /*chain*/) {
    return {};
}

std::vector<std::byte> certificate_of(const CertificateKey& key) {
    const std::chrono::sys_seconds begin = std::chrono::sys_days(std::chrono::January / 2 / 2026);
    return key.certify(
        {.not_before = begin, .not_after = begin + std::chrono::years(1), .extensions = {}});
}

std::vector<std::byte> output_of(TlsEngine& engine) {
    std::vector<std::byte> bytes;
    engine.take_output(bytes);
    return bytes;
}

struct Pair {
    Pair(TlsOptions client_options, TlsOptions server_options)
        : client(context, std::move(client_options)), server(context, std::move(server_options)) {}

    /// Moves bytes until both are done or one fails, which is said.
    Result<> shake_hands() {
        bool is_client_done = false;
        bool is_server_done = false;
        for (int i = 0; i < 10 && !(is_client_done && is_server_done); ++i) {
            const Result<bool> at_client = client.handshake();
            server.feed(output_of(client));
            const Result<bool> at_server = server.handshake();
            client.feed(output_of(server));
            if (!at_server) server_error = at_server.error();
            if (!at_client) return std::unexpected(at_client.error());
            is_client_done = *at_client;
            is_server_done = at_server.value_or(false);
        }
        if (is_client_done && is_server_done) return {};
        return fail(Errc::timed_out, "the handshake goes on and on");
    }

    CertificateKey key = CertificateKey::generate();
    TlsContext context{key, certificate_of(key)};
    TlsEngine client;
    TlsEngine server;
    std::optional<Error> server_error;
};

TlsOptions client_of(Names names) {
    return {.role = TlsRole::client, .protocols = std::move(names), .verify = accept_all};
}

TlsOptions server_of(Names names) {
    return {.role = TlsRole::server, .protocols = std::move(names), .verify = accept_all};
}

std::string read_text(TlsEngine& engine) {
    std::array<std::byte, 100> into{};
    const auto count = engine.read(into).value();
    return count ? std::string(as_text(Bytes(into).first(*count))) : "(more)";
}

}  // namespace

TEST_CASE("two engines agree and exchange bytes, ends included") {
    Pair pair(client_of({"/a", "/b", "c"}), server_of({"c", "/b"}));
    REQUIRE(pair.shake_hands().has_value());
    CHECK(pair.client.protocol() == "/b");
    CHECK(pair.server.protocol() == "/b");
    CHECK(read_text(pair.server) == "(more)");
    REQUIRE(pair.client.write(as_bytes("hello")).has_value());
    REQUIRE(pair.client.end().has_value());
    pair.server.feed(output_of(pair.client));
    CHECK(read_text(pair.server) == "hello");
    CHECK(read_text(pair.server).empty());
    CHECK(read_text(pair.server).empty());
    // The other direction is open still.
    REQUIRE(pair.server.write(as_bytes("bye")).has_value());
    pair.client.feed(output_of(pair.server));
    CHECK(read_text(pair.client) == "bye");
    CHECK_FALSE(pair.client.write(as_bytes("more")).has_value());
}

TEST_CASE("a client without names gets none") {
    Pair pair(client_of({}), server_of({"c"}));
    REQUIRE(pair.shake_hands().has_value());
    CHECK(pair.client.protocol() == std::nullopt);
    CHECK(pair.server.protocol() == std::nullopt);
}

TEST_CASE("no name in common ends the handshake on both sides") {
    Pair pair(client_of({"/a"}), server_of({"/b"}));
    CHECK(pair.shake_hands().error().code == Errc::malformed);
    CHECK(pair.server_error->code == Errc::malformed);
}

TEST_CASE("each side shows its one certificate, and a refusal is the error") {
    for (const bool is_client_strict : {true, false}) {
        std::vector<std::size_t> counts;
        const auto judge = [&counts](std::span<const Bytes> chain) -> Result<> {
            counts.push_back(chain.size());
            CHECK(read_certificate(chain[0]).has_value());
            return fail(Errc::not_found, "a stranger");
        };
        TlsOptions client = client_of({});
        TlsOptions server = server_of({});
        if (is_client_strict) client.verify = judge;
        if (!is_client_strict) server.verify = judge;
        Pair pair(std::move(client), std::move(server));
        const Result<> shaken = pair.shake_hands();
        REQUIRE_FALSE(shaken.has_value());
        CHECK(counts == std::vector<std::size_t>{1});
        const Error& refusal = is_client_strict ? shaken.error() : *pair.server_error;
        CHECK(refusal.code == Errc::not_found);
        CHECK(refusal.context == "a stranger");
    }
}

TEST_CASE("who judges nobody trusts nobody") {
    Pair pair({.role = TlsRole::client, .protocols = {}, .verify = {}}, server_of({}));
    CHECK(pair.shake_hands().error().code == Errc::malformed);
}

TEST_CASE("no session ticket is sent behind the handshake") {
    Pair pair(client_of({}), server_of({}));
    REQUIRE(pair.shake_hands().has_value());
    CHECK(output_of(pair.server).empty());
}

TEST_CASE("a record that was changed is malformed, and nothing follows it") {
    Pair pair(client_of({}), server_of({}));
    REQUIRE(pair.shake_hands().has_value());
    REQUIRE(pair.client.write(as_bytes("hello")).has_value());
    auto record = output_of(pair.client);
    CHECK(record.size() == 5 + kTlsOverheadBytes);
    record.back() ^= std::byte{1};
    pair.server.feed(record);
    std::array<std::byte, 100> into{};
    CHECK(pair.server.read(into).error().code == Errc::malformed);
    CHECK(pair.server.read(into).error().code == Errc::malformed);
}
