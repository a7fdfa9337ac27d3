#include "testing/memory_stream.hpp"

#include <doctest/doctest.h>

#include "testing/stream_conformance.hpp"

using namespace kwaai;
using testing::Simulation;
using testing::StreamCaseBody;
using testing::StreamPair;

namespace {

template <std::uint64_t kSeed, std::size_t kCapacity>
io::Task<void> with_pair(Simulation& simulation, StreamCaseBody body) {
    const StreamPair pair = testing::make_stream_pair({.seed = kSeed, .capacity = kCapacity});
    co_await body(simulation, *pair.client, *pair.server);
}

}  // namespace

TEST_CASE("a memory stream is a stream") {
    testing::check_stream_conformance(with_pair<0, 64 << 10>);
}

TEST_CASE("a memory stream that splits what is read is a stream") {
    testing::check_stream_conformance(with_pair<1, 64 << 10>);
}

TEST_CASE("a memory stream that holds little is a stream") {
    testing::check_stream_conformance(with_pair<2, 40000>);
}
