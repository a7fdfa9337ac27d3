// Messages of peers are bounded before they cost memory (libp2p.md §4.1 and §4.2).
#include <array>

#include <doctest/doctest.h>

#include "p2p/length_prefixed.hpp"
#include "p2p/limits.hpp"
#include "p2p/protocol/identify_wire.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

namespace kwaai::p2p {
namespace {

TEST_CASE("a length beyond the limit is refused before anything of the message is kept") {
    testing::run_task([](testing::Simulation& /*simulation*/) -> io::Task<void> {
        const testing::StreamPair pair = testing::make_stream_pair();
        // 2^62, in nine bytes: as cpp-libp2p would allocate it.
        std::array<std::byte, 9> length{};
        length.fill(std::byte{0x80});
        length.back() = std::byte{0x40};
        const Bytes bytes(length);
        const Result<> written = co_await pair.client->write(bytes);
        REQUIRE(written.has_value());
        const auto message = co_await read_length_prefixed(*pair.server, 4096);
        REQUIRE_FALSE(message.has_value());
        CHECK(message.error().code == Errc::limit_exceeded);
    });
}

TEST_CASE("identify takes so many protocols and no more, however they are spread") {
    const Limits limits;
    IdentifyMessage message;
    while (message.protocols.size() < limits.identify_protocols_max)
        message.protocols.push_back("/a/" + std::to_string(message.protocols.size()));
    const auto most = decode_identify(encode_identify(message), limits);
    REQUIRE(most.has_value());
    IdentifyMessage known = *most;
    merge_identify(known, *most);
    CHECK(known.protocols.size() <= limits.identify_protocols_max);
    message.protocols.emplace_back("/b");
    const auto more = decode_identify(encode_identify(message), limits);
    REQUIRE_FALSE(more.has_value());
    CHECK(more.error().code == Errc::limit_exceeded);
}

}  // namespace
}  // namespace kwaai::p2p
