// Nodes of a table on a simulated network, for tests.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "p2p/host_world_test.hpp"
#include "p2p/kad/dht.hpp"

namespace kwaai::p2p::kad {

inline constexpr std::uint64_t kUnixTime = 1'800'000'000;

/// Server mode; what a node of this project takes may be put.
[[nodiscard]] inline DhtOptions make_dht_options() {
    DhtOptions options{.mode = Mode::server};
    options.validators = standard_validators([] { return kUnixTime; });
    return options;
}

/// One table node a host.
class DhtWorld {
public:
    DhtWorld(HostWorld& world, const std::function<DhtOptions(std::size_t)>& options)
        : hosts_(world) {
        for (std::size_t i = 0; i < world.size(); ++i)
            dhts_.push_back(std::make_unique<Dht>(world.host(i), world.clock(), options(i)));
    }

    [[nodiscard]] HostWorld& hosts() { return hosts_; }

    [[nodiscard]] Dht& dht(std::size_t index) { return *dhts_[index]; }

    [[nodiscard]] std::size_t size() const { return dhts_.size(); }

    /// Everybody knows the first one at the beginning.
    io::Task<void> join() {
        for (std::size_t i = 1; i < size(); ++i) {
            const std::vector<Multiaddr> first{hosts_.address(0)};
            const auto count = co_await dhts_[i]->bootstrap(first);
            if (!count) FAIL(count.error().context);
        }
    }

    /// Those of `living` nearest to `key`, but `asker`.
    [[nodiscard]] std::vector<PeerId> truly_closest(const codec::Buffer& key,
                                                    std::size_t asker,
                                                    const std::vector<std::size_t>& living,
                                                    std::size_t count) {
        std::map<Distance, PeerId> sorted;
        for (const std::size_t index : living) {
            const PeerId& peer = hosts_.host(index).id();
            const KadKey point = KadKey::of(peer);
            if (index != asker)
                sorted.emplace(Distance::between(KadKey::of(Bytes(key)), point), peer);
        }
        std::vector<PeerId> found;
        for (const auto& [distance, peer] : sorted)
            if (found.size() < count) found.push_back(peer);
        return found;
    }

private:
    HostWorld& hosts_;
    std::vector<std::unique_ptr<Dht>> dhts_;
};

namespace detail {

template <class Fn>
io::Task<void> run_dht_body(io::TaskGroup& group, DhtWorld& world, Fn fn) {
    for (std::size_t i = 0; i < world.size(); ++i)
        group.spawn(&Dht::run, std::ref(world.dht(i)));
    co_await fn(world);
    group.cancel();
}

template <class Fn>
struct DhtBody {
    std::function<DhtOptions(std::size_t)> options;
    Fn fn;

    io::Task<void> operator()(HostWorld& hosts) const {
        DhtWorld world(hosts, options);
        co_await io::with_group(&run_dht_body<Fn>, std::ref(world), fn);
    }
};

}  // namespace detail

/// Runs `fn(world)`, a coroutine, beside `count` hosts and their table nodes.
template <class Fn>
void run_dhts(unsigned char count,
              const Limits& limits,
              const std::function<DhtOptions(std::size_t)>& options,
              Fn fn) {
    run_hosts(count, limits, detail::DhtBody<Fn>{.options = options, .fn = std::move(fn)});
}

template <class Fn>
void run_dhts(unsigned char count, const std::function<DhtOptions(std::size_t)>& options, Fn fn) {
    run_dhts(count, Limits(), options, std::move(fn));
}

template <class Fn>
void run_dhts(unsigned char count, Fn fn) {
    run_dhts(count, [](std::size_t) { return make_dht_options(); }, std::move(fn));
}

}  // namespace kwaai::p2p::kad
