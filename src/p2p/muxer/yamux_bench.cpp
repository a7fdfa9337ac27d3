// What yamux itself costs, without a connection: from one application's memory to the other's.
// Beside it the bound: the three copies that it makes (into the batch, out of what was read, to
// the reader).
#include <algorithm>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include "p2p/muxer/yamux_state.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

constexpr std::size_t kReadBytes = 64 << 10;

struct Pair {
    io::TimePoint now{std::chrono::hours(1)};
    YamuxState dialer{YamuxRole::dialer, Limits{}, now};
    YamuxState listener{YamuxRole::listener, Limits{}, now};
    std::vector<std::byte> batch;

    // All that is ready, in pieces as a connection would give them; false where nothing is.
    bool carry(YamuxState& from, YamuxState& to) {
        batch.clear();
        from.produce(batch, now);
        for (Bytes rest(batch); !rest.empty();) {
            const Bytes piece = rest.first(std::min(rest.size(), kReadBytes));
            to.receive(piece, now);
            rest = rest.subspan(piece.size());
        }
        return !batch.empty();
    }
};

// Each of `streams` streams sends a message at a time, of `size` bytes.
void send_messages(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    const auto size = static_cast<std::size_t>(state.range(1));
    Pair pair;
    std::vector<YamuxStream*> from;
    std::vector<YamuxStream*> to;
    for (std::size_t i = 0; i < streams; ++i) {
        from.push_back(&pair.dialer.open(pair.now));
        pair.dialer.announce(*from.back());
        pair.carry(pair.dialer, pair.listener);
        to.push_back(pair.listener.accept(pair.now));
        pair.carry(pair.listener, pair.dialer);
    }
    const std::vector<std::byte> message(size, std::byte{'a'});
    const Bytes part(message);
    std::vector<std::byte> into(kReadBytes);
    std::vector<YamuxStream*> changed;
    for (auto _ : state) {
        for (YamuxStream* const stream : from)
            (void)pair.dialer.begin_write(*stream, std::span<const Bytes>(&part, 1));
        while (pair.carry(pair.dialer, pair.listener)) {
            for (YamuxStream* const stream : to) {
                while (pair.listener.read(*stream, into, pair.now) > 0) {
                }
            }
            pair.carry(pair.listener, pair.dialer);
            pair.listener.take_changed(changed);
            pair.dialer.take_changed(changed);
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * streams * size));
}

void copy_three_times(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::vector<std::vector<std::byte>> places(4, std::vector<std::byte>(size, std::byte{'a'}));
    for (auto _ : state) {
        for (std::size_t i = 0; i < 3; ++i)
            std::memcpy(places[i + 1].data(), places[i].data(), size);
        benchmark::DoNotOptimize(places.back().data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}

BENCHMARK(copy_three_times)->Arg(256 << 10);
BENCHMARK(send_messages)->Args({1, 4 << 20})->Args({16, 1 << 20})->Args({100, 64})->Args({1, 64});

}  // namespace
