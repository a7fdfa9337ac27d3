#include "store/database.hpp"

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kwaai::store {
namespace {

constexpr int kBusyMs = 2000;  // waited for another process

Errc code_of(int status) {
    switch (status & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return Errc::malformed;
        case SQLITE_FULL:
        case SQLITE_TOOBIG: return Errc::limit_exceeded;
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return Errc::unavailable;
        default: return Errc::io;
    }
}

std::unexpected<Error> failed(sqlite3* handle, int status, std::string_view path) {
    const char* const why = handle == nullptr ? sqlite3_errstr(status) : sqlite3_errmsg(handle);
    return fail(code_of(status), std::string(path) + ": " + why);
}

// SQLite gives its journal the mode of the file.
Result<> make_private(const std::string& path) {
    std::error_code unmade;  // opening says what is wrong then
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), unmade);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (descriptor < 0) return fail(Errc::io, path + ": " + std::generic_category().message(errno));
    const int status = ::fchmod(descriptor, S_IRUSR | S_IWUSR);
    const int error = errno;
    ::close(descriptor);
    if (status != 0) return fail(Errc::io, path + ": " + std::generic_category().message(error));
    return {};
}

Result<> put_aside(const std::string& path) {
    std::error_code error;
    std::filesystem::rename(path, path + ".damaged", error);
    if (error) return fail(Errc::io, path + ": " + error.message());
    // It belongs to the damaged file, and would be played into the new one.
    std::filesystem::remove(path + "-journal", error);
    return {};
}

}  // namespace

struct Statement::State {
    sqlite3_stmt* statement = nullptr;
    std::string path;
};

void Statement::Finalize::operator()(State* state) const {
    sqlite3_finalize(state->statement);
    delete state;
}

void Statement::bind(int parameter, Bytes value) {
    // A null pointer would be NULL, not an empty blob.
    const void* const data = value.empty() ? "" : static_cast<const void*>(value.data());
    sqlite3_bind_blob64(
        state_->statement, parameter + 1, data, value.size(), SQLITE_TRANSIENT);  // NOLINT
}

void Statement::bind(int parameter, std::uint64_t value) {
    sqlite3_bind_int64(state_->statement, parameter + 1, static_cast<sqlite3_int64>(value));
}

Result<bool> Statement::step() {
    const int status = sqlite3_step(state_->statement);
    if (status == SQLITE_ROW) return true;
    if (status == SQLITE_DONE) return false;
    return failed(sqlite3_db_handle(state_->statement), status, state_->path);
}

void Statement::reset() {
    sqlite3_reset(state_->statement);
    sqlite3_clear_bindings(state_->statement);
}

Bytes Statement::bytes(int column) const {
    if (sqlite3_column_type(state_->statement, column) != SQLITE_BLOB) return {};
    const void* const data = sqlite3_column_blob(state_->statement, column);
    const int size = sqlite3_column_bytes(state_->statement, column);
    return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size)};
}

std::uint64_t Statement::number(int column) const {
    if (sqlite3_column_type(state_->statement, column) != SQLITE_INTEGER) return 0;
    return static_cast<std::uint64_t>(sqlite3_column_int64(state_->statement, column));
}

struct Database::State {
    ~State() { sqlite3_close_v2(handle); }

    sqlite3* handle = nullptr;
    std::string path;
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}

Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<> Database::execute(const std::string& sql) {
    const int status = sqlite3_exec(state_->handle, sql.c_str(), nullptr, nullptr, nullptr);
    if (status != SQLITE_OK) return failed(state_->handle, status, state_->path);
    return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int status = sqlite3_prepare_v2(
        state_->handle, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    if (status != SQLITE_OK) return failed(state_->handle, status, state_->path);
    return Statement(new Statement::State{.statement = statement, .path = state_->path});
}

namespace {

Result<> check_whole(Database& database, const std::string& path) {
    KWAAI_TRY(Statement look,
              database.prepare("SELECT count(*) FROM pragma_quick_check() "
                               "WHERE quick_check <> 'ok'"));
    KWAAI_TRY(const bool has_row, look.step());
    if (has_row && look.number(0) == 0) return {};
    return fail(Errc::malformed, path + ": its pages do not hold together");
}

Result<std::uint64_t> number_of(Database& database, std::string_view pragma) {
    KWAAI_TRY(Statement look, database.prepare(pragma));
    KWAAI_TRY(const bool has_row, look.step());
    return has_row ? look.number(0) : 0;
}

Result<> bound(Database& database, std::size_t bytes_max) {
    KWAAI_TRY(const std::uint64_t page, number_of(database, "PRAGMA page_size"));
    const std::uint64_t pages = bytes_max / (page == 0 ? 4096 : page);
    return database.execute("PRAGMA max_page_count = " + std::to_string(pages == 0 ? 1 : pages));
}

Result<> migrate(Database& database, const DatabaseOptions& options) {
    KWAAI_TRY(const std::uint64_t layout, number_of(database, "PRAGMA user_version"));
    if (layout > options.migrations.size())
        return fail(Errc::unsupported,
                    options.path + " has layout " + std::to_string(layout) +
                        ", of a newer program; this one knows " +
                        std::to_string(options.migrations.size()));
    for (std::size_t i = layout; i < options.migrations.size(); ++i) {
        KWAAI_TRY(Transaction whole, Transaction::begin(database));
        KWAAI_CHECKED(database.execute(std::string(options.migrations[i])));
        KWAAI_CHECKED(database.execute("PRAGMA user_version = " + std::to_string(i + 1)));
        KWAAI_CHECKED(whole.commit());
    }
    return {};
}

}  // namespace

Result<Database> Database::open_once(const DatabaseOptions& options) {
    KWAAI_CHECKED(make_private(options.path));
    auto state = std::make_unique<State>();
    state->path = options.path;
    const int status = sqlite3_open_v2(
        options.path.c_str(), &state->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (status != SQLITE_OK) return failed(state->handle, status, options.path);
    sqlite3_busy_timeout(state->handle, kBusyMs);
    Database database(std::move(state));
    KWAAI_CHECKED(check_whole(database, options.path));
    // The last seconds may be lost when the machine loses power, the file may not.
    KWAAI_CHECKED(database.execute("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL"));
    KWAAI_CHECKED(bound(database, options.bytes_max));
    KWAAI_CHECKED(migrate(database, options));
    return database;
}

Result<Database::Opened> Database::open(const DatabaseOptions& options) {
    auto first = open_once(options);
    if (first) return Opened{.database = std::move(*first), .note = {}};
    if (first.error().code != Errc::malformed) return forward_error(first);
    KWAAI_CHECKED(put_aside(options.path));
    KWAAI_TRY(Database second, open_once(options));
    return Opened{.database = std::move(second),
                  .note = "A damaged file was put aside as " + options.path +
                          ".damaged, and a new one begun: " + first.error().context};
}

Result<Transaction> Transaction::begin(Database& database) {
    KWAAI_CHECKED(database.execute("BEGIN IMMEDIATE"));
    return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
    if (database_ == nullptr) return;
    const Result<> undone = database_->execute("ROLLBACK");
    static_cast<void>(undone);  // SQLite has done so itself where the disk was full
}

Result<> Transaction::commit() {
    KWAAI_CHECKED(database_->execute("COMMIT"));
    database_ = nullptr;
    return {};
}

}  // namespace kwaai::store
