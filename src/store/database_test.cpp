#include "store/database.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <sys/stat.h>

namespace kwaai::store {
namespace {

class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "kwaai-store-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }

    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    ~Folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string file() const { return path_ + "/state.db"; }

private:
    std::string path_;
};

DatabaseOptions options_of(const Folder& folder) {
    return {.path = folder.file(), .migrations = {"CREATE TABLE pair (key BLOB, number INTEGER)"}};
}

Database open_in(const Folder& folder) {
    auto opened = Database::open(options_of(folder));
    REQUIRE(opened.has_value());
    CHECK(opened->note.empty());
    return std::move(opened->database);
}

void insert(Database& database, std::string_view key, std::uint64_t number) {
    auto statement = database.prepare("INSERT INTO pair VALUES (?, ?)");
    REQUIRE(statement.has_value());
    statement->bind(0, as_bytes(key));
    statement->bind(1, number);
    const auto stepped = statement->step();
    REQUIRE(stepped.has_value());
    CHECK_FALSE(*stepped);
}

std::size_t count(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM pair");
    REQUIRE(statement.has_value());
    REQUIRE(statement->step().value());
    return statement->number(0);
}

TEST_CASE("what was written is read by the next process, and by nobody else's") {
    const Folder folder;
    {
        Database database = open_in(folder);
        insert(database, "one", 1);
        insert(database, "", ~std::uint64_t{0} >> 1);
    }
    Database database = open_in(folder);
    auto rows = database.prepare("SELECT key, number FROM pair ORDER BY number");
    REQUIRE(rows.has_value());
    REQUIRE(rows->step().value());
    CHECK(as_text(rows->bytes(0)) == "one");
    CHECK(rows->number(1) == 1);
    REQUIRE(rows->step().value());
    CHECK(rows->bytes(0).empty());
    CHECK(rows->number(1) == ~std::uint64_t{0} >> 1);
    CHECK_FALSE(rows->step().value());
    struct stat status{};
    REQUIRE(::stat(folder.file().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a transaction without commit leaves nothing behind") {
    const Folder folder;
    Database database = open_in(folder);
    {
        auto undone = Transaction::begin(database);
        REQUIRE(undone.has_value());
        insert(database, "one", 1);
    }
    CHECK(count(database) == 0);
    auto done = Transaction::begin(database);
    REQUIRE(done.has_value());
    insert(database, "one", 1);
    REQUIRE(done->commit().has_value());
    CHECK(count(database) == 1);
}

TEST_CASE("a file grows to its bound and no further") {
    const Folder folder;
    DatabaseOptions options = options_of(folder);
    options.bytes_max = 64 << 10;
    auto opened = Database::open(options);
    REQUIRE(opened.has_value());
    const std::string large(20'000, 'x');
    Result<bool> stepped = false;
    for (int i = 0; i < 10 && stepped; ++i) {
        auto statement = opened->database.prepare("INSERT INTO pair VALUES (?, 0)");
        REQUIRE(statement.has_value());
        statement->bind(0, as_bytes(large));
        stepped = statement->step();
    }
    REQUIRE_FALSE(stepped.has_value());
    CHECK(stepped.error().code == Errc::limit_exceeded);
    CHECK(std::filesystem::file_size(folder.file()) <= options.bytes_max);
}

TEST_CASE("a damaged file is put aside, and said so") {
    const Folder folder;
    for (const bool is_partly : {false, true}) {
        if (is_partly) {
            Database database = open_in(folder);
            for (std::uint64_t i = 0; i < 2000; ++i)
                insert(database, "a key of some length", i);
        }
        std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
        if (!file.is_open()) file.open(folder.file(), std::ios::out | std::ios::binary);
        file.seekp(is_partly ? 4096 : 0);
        file << std::string(8192, 'x');
        file.close();
        auto opened = Database::open(options_of(folder));
        REQUIRE(opened.has_value());
        CHECK(opened->note.find(".damaged") != std::string::npos);
        CHECK(count(opened->database) == 0);
        CHECK(std::filesystem::exists(folder.file() + ".damaged"));
    }
}

TEST_CASE("an older layout is led on, a newer one refused") {
    const Folder folder;
    {
        Database database = open_in(folder);
        insert(database, "one", 1);
    }
    DatabaseOptions newer = options_of(folder);
    newer.migrations.push_back("ALTER TABLE pair ADD COLUMN more INTEGER DEFAULT 7");
    {
        auto opened = Database::open(newer);
        REQUIRE(opened.has_value());
        auto rows = opened->database.prepare("SELECT more FROM pair");
        REQUIRE(rows.has_value());
        REQUIRE(rows->step().value());
        CHECK(rows->number(0) == 7);
    }
    const auto refused = Database::open(options_of(folder));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unsupported);
    CHECK(std::filesystem::exists(folder.file()));
}

TEST_CASE("folders are made where they are missing") {
    const Folder folder;
    const std::string path = folder.file() + ".d/of/state.db";
    CHECK(Database::open({.path = path, .migrations = {}}));
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("a folder that cannot be made is an error with the file's name") {
    const auto refused = Database::open({.path = "/dev/null/state.db", .migrations = {}});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::io);
    CHECK(refused.error().context.find("/dev/null/state.db") != std::string::npos);
}

}  // namespace
}  // namespace kwaai::store
