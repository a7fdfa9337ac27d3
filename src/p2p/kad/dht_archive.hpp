// What a node of the table has in a file, so that it survives a restart.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/clock.hpp"
#include "io/offload.hpp"
#include "io/task.hpp"
#include "p2p/kad/dht_limits.hpp"
#include "p2p/kad/known_peers.hpp"
#include "p2p/kad/record_store.hpp"
#include "store/database.hpp"

namespace kwaai::p2p::kad {

class Dht;

struct KeptPeer {
    PeerId peer;
    std::vector<Multiaddr> addresses;
    io::Duration age{};  // since it answered
};

/// All that is kept.
struct KeptDht {
    std::vector<KeptRecord> records;
    std::vector<KeptProvider> providers;
    std::vector<KeptPeer> peers;
};

/// The file: records, providers and known peers, of at most `archive_bytes_max`. Used by one thread
/// at a time, and every call may wait for the disk.
class DhtArchive {
public:
    struct Opened;

    /// Errors and the note of store::Database::open.
    static Result<Opened> open(const std::string& path, const DhtLimits& limits);

    /// What was saved last and has not expired by `unix_seconds`. Rows that make no sense are left
    /// out.
    [[nodiscard]] Result<KeptDht> load(std::uint64_t unix_seconds);
    /// In place of what was saved before. At most two addresses of each provider, and four of each
    /// peer. Errors as store::Database::execute; what was there stays then.
    [[nodiscard]] Result<> save(const KeptDht& kept, std::uint64_t unix_seconds);

private:
    DhtArchive(store::Database database, const DhtLimits& limits)
        : database_(std::move(database)), limits_(limits) {}

    [[nodiscard]] Result<std::vector<KeptRecord>> load_records(std::uint64_t unix_seconds);
    [[nodiscard]] Result<std::vector<KeptProvider>> load_providers(std::uint64_t unix_seconds);
    [[nodiscard]] Result<std::vector<KeptPeer>> load_peers(std::uint64_t unix_seconds);
    [[nodiscard]] Result<> save_records(const KeptDht& kept, std::uint64_t unix_seconds);
    [[nodiscard]] Result<> save_providers(const KeptDht& kept, std::uint64_t unix_seconds);
    [[nodiscard]] Result<> save_peers(const KeptDht& kept, std::uint64_t unix_seconds);

    store::Database database_;
    DhtLimits limits_;
};

struct DhtArchive::Opened {
    DhtArchive archive;
    std::string note;  // a sentence, where a damaged file was put aside
};

struct SaveOptions {
    /// Seconds since 1970.
    std::function<std::uint64_t()> unix_seconds;
    /// Told, once, why nothing can be saved.
    std::function<void(const std::string&)> on_note;
};

/// Saves what has changed every `save_interval`, on `work`, until cancelled. All outlive it, and
/// nobody else uses the archive meanwhile; save the last changes afterwards, by Dht::kept().
io::Task<void> keep_saved(
    Dht& dht, DhtArchive& archive, io::Clock& clock, io::WorkQueue& work, SaveOptions options);

}  // namespace kwaai::p2p::kad
