#include "p2p/kad/dht_archive.hpp"

#include <algorithm>
#include <utility>

#include "p2p/kad/dht.hpp"

namespace kwaai::p2p::kad {
namespace {

constexpr std::size_t kProviderAddressesMax = 2;
constexpr std::size_t kPeerAddressesMax = 4;

// A row for each address; times are seconds since 1970. A released layout never changes.
constexpr std::string_view kFirstLayout =
    "CREATE TABLE record (point BLOB PRIMARY KEY, value BLOB, expires INTEGER) WITHOUT ROWID;"
    "CREATE TABLE provider (point BLOB, peer BLOB, address BLOB, told INTEGER);"
    "CREATE TABLE peer (peer BLOB, address BLOB, answered INTEGER)";

std::uint64_t seconds_of(io::Duration time) {
    const auto count = std::chrono::floor<std::chrono::seconds>(time).count();
    return count < 0 ? 0 : static_cast<std::uint64_t>(count);
}

// Not negative, whatever the file says and however the wall clock was set.
io::Duration between(std::uint64_t earlier, std::uint64_t later) {
    constexpr std::uint64_t kSecondsMax = 10ULL * 365 * 24 * 3600;
    if (later <= earlier) return {};
    return std::chrono::seconds(std::min(later - earlier, kSecondsMax));
}

std::optional<KadKey> read_point(Bytes bytes) {
    KadKey point;
    if (bytes.size() != point.bytes.size()) return std::nullopt;
    std::ranges::copy(bytes, point.bytes.begin());
    return point;
}

}  // namespace

Result<DhtArchive::Opened> DhtArchive::open(const std::string& path, const DhtLimits& limits) {
    KWAAI_TRY(
        store::Database::Opened opened,
        store::Database::open(
            {.path = path, .bytes_max = limits.archive_bytes_max, .migrations = {kFirstLayout}}));
    return Opened{.archive = DhtArchive(std::move(opened.database), limits),
                  .note = std::move(opened.note)};
}

Result<KeptDht> DhtArchive::load(std::uint64_t unix_seconds) {
    KeptDht kept;
    KWAAI_TRY(kept.records, load_records(unix_seconds));
    KWAAI_TRY(kept.providers, load_providers(unix_seconds));
    KWAAI_TRY(kept.peers, load_peers(unix_seconds));
    return kept;
}

Result<std::vector<KeptRecord>> DhtArchive::load_records(std::uint64_t unix_seconds) {
    std::vector<KeptRecord> records;
    KWAAI_TRY(store::Statement rows,
              database_.prepare("SELECT point, value, expires FROM record WHERE expires > ?"));
    rows.bind(0, unix_seconds);
    while (records.size() < limits_.records_max) {
        KWAAI_TRY(const bool has_row, rows.step());
        if (!has_row) break;
        const auto point = read_point(rows.bytes(0));
        const Bytes value = rows.bytes(1);
        if (!point || value.size() > limits_.value_bytes_max) continue;
        records.push_back({.point = *point,
                           .value = codec::to_buffer(value),
                           .left = between(unix_seconds, rows.number(2))});
    }
    return records;
}

Result<std::vector<KeptProvider>> DhtArchive::load_providers(std::uint64_t unix_seconds) {
    std::vector<KeptProvider> providers;
    KWAAI_TRY(store::Statement rows,
              database_.prepare("SELECT point, peer, address, told FROM provider "
                                "ORDER BY told, point, peer, rowid"));
    while (true) {
        KWAAI_TRY(const bool has_row, rows.step());
        if (!has_row) break;
        const auto point = read_point(rows.bytes(0));
        const auto peer = PeerId::from_bytes(rows.bytes(1));
        auto address = Multiaddr::from_bytes(rows.bytes(2));
        if (!point || !peer || !address) continue;
        const bool is_new = providers.empty() || providers.back().point != *point ||
                            providers.back().provider.peer != *peer;
        if (is_new && providers.size() >= limits_.saved_providers_max) break;
        if (is_new)
            providers.push_back({.point = *point,
                                 .provider = {.peer = *peer, .addresses = {}},
                                 .age = between(rows.number(3), unix_seconds)});
        std::vector<Multiaddr>& addresses = providers.back().provider.addresses;
        if (addresses.size() < kProviderAddressesMax) addresses.push_back(std::move(*address));
    }
    return providers;
}

Result<std::vector<KeptPeer>> DhtArchive::load_peers(std::uint64_t unix_seconds) {
    std::vector<KeptPeer> peers;
    KWAAI_TRY(store::Statement rows,
              database_.prepare("SELECT peer, address, answered FROM peer "
                                "ORDER BY answered, peer, rowid"));
    while (true) {
        KWAAI_TRY(const bool has_row, rows.step());
        if (!has_row) break;
        const auto peer = PeerId::from_bytes(rows.bytes(0));
        auto address = Multiaddr::from_bytes(rows.bytes(1));
        if (!peer || !address) continue;
        const bool is_new = peers.empty() || peers.back().peer != *peer;
        if (is_new && peers.size() >= limits_.known_peers_max) break;
        if (is_new)
            peers.push_back(
                {.peer = *peer, .addresses = {}, .age = between(rows.number(2), unix_seconds)});
        std::vector<Multiaddr>& addresses = peers.back().addresses;
        if (addresses.size() < kPeerAddressesMax) addresses.push_back(std::move(*address));
    }
    return peers;
}

Result<> DhtArchive::save_records(const KeptDht& kept, std::uint64_t unix_seconds) {
    KWAAI_TRY(store::Statement insert,
              database_.prepare("INSERT OR REPLACE INTO record VALUES (?, ?, ?)"));
    for (const KeptRecord& record : kept.records) {
        insert.bind(0, Bytes(record.point.bytes));
        insert.bind(1, Bytes(record.value));
        insert.bind(2, unix_seconds + seconds_of(record.left));
        KWAAI_TRY(const bool has_row, insert.step());
        static_cast<void>(has_row);
        insert.reset();
    }
    return {};
}

Result<> DhtArchive::save_providers(const KeptDht& kept, std::uint64_t unix_seconds) {
    KWAAI_TRY(store::Statement insert,
              database_.prepare("INSERT INTO provider VALUES (?, ?, ?, ?)"));
    for (const KeptProvider& one : kept.providers) {
        const std::vector<Multiaddr>& addresses = one.provider.addresses;
        for (std::size_t i = 0; i < std::min(addresses.size(), kProviderAddressesMax); ++i) {
            insert.bind(0, Bytes(one.point.bytes));
            insert.bind(1, one.provider.peer.bytes());
            insert.bind(2, addresses[i].bytes());
            insert.bind(3, unix_seconds - std::min(unix_seconds, seconds_of(one.age)));
            KWAAI_TRY(const bool has_row, insert.step());
            static_cast<void>(has_row);
            insert.reset();
        }
    }
    return {};
}

Result<> DhtArchive::save_peers(const KeptDht& kept, std::uint64_t unix_seconds) {
    KWAAI_TRY(store::Statement insert, database_.prepare("INSERT INTO peer VALUES (?, ?, ?)"));
    for (const KeptPeer& one : kept.peers) {
        for (std::size_t i = 0; i < std::min(one.addresses.size(), kPeerAddressesMax); ++i) {
            insert.bind(0, one.peer.bytes());
            insert.bind(1, one.addresses[i].bytes());
            insert.bind(2, unix_seconds - std::min(unix_seconds, seconds_of(one.age)));
            KWAAI_TRY(const bool has_row, insert.step());
            static_cast<void>(has_row);
            insert.reset();
        }
    }
    return {};
}

Result<> DhtArchive::save(const KeptDht& kept, std::uint64_t unix_seconds) {
    KWAAI_TRY(store::Transaction whole, store::Transaction::begin(database_));
    KWAAI_CHECKED(database_.execute("DELETE FROM record; DELETE FROM provider; DELETE FROM peer"));
    KWAAI_CHECKED(save_records(kept, unix_seconds));
    KWAAI_CHECKED(save_providers(kept, unix_seconds));
    KWAAI_CHECKED(save_peers(kept, unix_seconds));
    return whole.commit();
}

io::Task<void> keep_saved(
    Dht& dht, DhtArchive& archive, io::Clock& clock, io::WorkQueue& work, SaveOptions options) {
    std::uint64_t saved = dht.change_count();
    bool is_noted = false;
    while (true) {
        co_await clock.sleep_for(dht.limits().save_interval);
        const std::uint64_t changes = dht.change_count();
        if (changes == saved) continue;
        const KeptDht kept = dht.kept();
        const std::uint64_t now = options.unix_seconds();
        const auto save = [&archive, &kept, now] {
            return archive.save(kept, now);
        };
        const Result<> done = co_await io::offload(work, save);
        if (done) saved = changes;
        if (!done && !is_noted && options.on_note)
            options.on_note("what the network entrusts to this node would not survive a restart: " +
                            done.error().context);
        is_noted = !done;
    }
}

}  // namespace kwaai::p2p::kad
