// Nodes of the table that end and begin again.
#include "p2p/kad/dht_archive.hpp"

#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>
#include <unistd.h>

#include "p2p/kad/dht_world_test.hpp"

namespace kwaai::p2p::kad {
namespace {

using namespace std::chrono_literals;

class Folder {
public:
    Folder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "kwaai-archive-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    ~Folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string file() const { return path_ + "/network.db"; }

private:
    std::string path_;
};

DhtArchive open_in(const Folder& folder) {
    auto opened = DhtArchive::open(folder.file(), {});
    REQUIRE(opened.has_value());
    CHECK(opened->note.empty());
    return std::move(opened->archive);
}

KeptDht some_state() {
    KeptDht kept;
    const KadKey point = KadKey::of(as_bytes("a key"));
    const Multiaddr address = Multiaddr::parse("/ip4/10.0.0.9/tcp/4001").value();
    kept.records.push_back(
        {.point = point, .value = codec::to_buffer(as_bytes("a value")), .left = 1h});
    kept.providers.push_back(
        {.point = point,
         .provider = {.peer = make_identity(1), .addresses = {address, address, address}},
         .age = 2h});
    kept.providers.push_back({.point = point,
                              .provider = {.peer = make_identity(2), .addresses = {address}},
                              .age = 1h});
    kept.peers.push_back({.peer = make_identity(3), .addresses = {address}, .age = 10min});
    return kept;
}

TEST_CASE("an archive gives what was saved last, as old as it is by then") {
    const Folder folder;
    {
        DhtArchive archive = open_in(folder);
        KeptDht earlier = some_state();
        earlier.peers.push_back(earlier.peers.front());
        REQUIRE(archive.save(earlier, kUnixTime).has_value());
        REQUIRE(archive.save(some_state(), kUnixTime).has_value());
    }
    DhtArchive archive = open_in(folder);
    const auto kept = archive.load(kUnixTime + 600);
    REQUIRE(kept.has_value());
    REQUIRE(kept->records.size() == 1);
    CHECK(as_text(Bytes(kept->records[0].value)) == "a value");
    CHECK(kept->records[0].point == KadKey::of(as_bytes("a key")));
    CHECK(kept->records[0].left == 50min);
    REQUIRE(kept->providers.size() == 2);
    CHECK(kept->providers[0].provider.peer == make_identity(1));  // told longest ago
    CHECK(kept->providers[0].provider.addresses.size() == 2);
    CHECK(kept->providers[0].age == 2h + 10min);
    REQUIRE(kept->peers.size() == 1);
    CHECK(kept->peers[0].peer == make_identity(3));
    CHECK(kept->peers[0].age == 20min);
    const auto later = archive.load(kUnixTime + 2 * 3600);
    REQUIRE(later.has_value());
    CHECK(later->records.empty());
    // A wall clock that was set back.
    const auto before = archive.load(kUnixTime - 3600);
    REQUIRE(before.has_value());
    CHECK(before->peers[0].age == 0s);
}

TEST_CASE("rows that make no sense are left out") {
    const Folder folder;
    DhtArchive archive = open_in(folder);
    REQUIRE(archive.save(some_state(), kUnixTime).has_value());
    auto opened = store::Database::open({.path = folder.file(), .migrations = {""}});
    REQUIRE(opened.has_value());
    REQUIRE(opened->database
                .execute("INSERT INTO record VALUES (x'00', x'01', 9999999999);"
                         "INSERT INTO record VALUES ('text', 7, 'text');"
                         "INSERT INTO provider VALUES (NULL, x'00', x'00', -5);"
                         "INSERT INTO peer VALUES (x'0001', x'04', -1)")
                .has_value());
    const auto kept = archive.load(kUnixTime);
    REQUIRE(kept.has_value());
    CHECK(kept->records.size() == 1);
    CHECK(kept->providers.size() == 2);
    CHECK(kept->peers.size() == 1);
}

TEST_CASE("a node that begins again finds its network, values and providers without bootstraps") {
    const Folder folder;
    const codec::Buffer key = signed_record_key(make_identity(2), "name");
    const codec::Buffer value =
        seal_signed_record(make_key(2), "name", 1, kUnixTime + 3600, as_bytes("value"));
    const codec::Buffer offer = provider_key("inference:llama2");
    run_dhts(4, [&](DhtWorld& world) -> io::Task<void> {
        co_await world.join();
        const auto taken = co_await world.dht(2).put(key, value);
        REQUIRE(taken.has_value());
        const auto told = co_await world.dht(2).provide(offer);
        REQUIRE(told.has_value());
        CHECK(world.dht(1).change_count() > 0);
        DhtArchive archive = open_in(folder);
        io::InlineWork work;
        SaveOptions saving{.unix_seconds = [] { return kUnixTime; }, .on_note = {}};
        auto keeping =
            keep_saved(world.dht(1), archive, world.hosts().clock(), work, std::move(saving));
        const bool has_ended =
            co_await io::finishes_within(world.hosts().clock(), 11min, std::move(keeping));
        CHECK_FALSE(has_ended);
    });
    // A new world, where only the first one is left, and the second has its file.
    run_dhts(2, [&](DhtWorld& world) -> io::Task<void> {
        DhtArchive archive = open_in(folder);
        auto kept = archive.load(kUnixTime + 60);
        REQUIRE(kept.has_value());
        const auto alone = co_await world.dht(1).rejoin();
        CHECK_FALSE(alone.has_value());
        world.dht(1).restore(std::move(*kept));
        const auto count = co_await world.dht(1).rejoin();
        REQUIRE(count.has_value());
        CHECK(*count == 1);
        CHECK(world.dht(1).peers().front() == world.hosts().host(0).id());
        // The first one has nothing; the second one serves what it was given long ago.
        const auto got = co_await world.dht(0).get(key);
        REQUIRE(got.has_value());
        CHECK(*got == value);
        const auto found = co_await world.dht(0).find_providers(offer, 5);
        REQUIRE(found.has_value());
        REQUIRE(found->size() == 1);
        CHECK(found->front().peer == make_identity(2));
        CHECK_FALSE(found->front().addresses.empty());
    });
}

}  // namespace
}  // namespace kwaai::p2p::kad
