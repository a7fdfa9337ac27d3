// A SQLite file: bounded, migrated, and begun anew where it is damaged.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace kwaai::store {

struct DatabaseOptions {
    std::string path;
    /// Of the file; beyond, writes fail with `Errc::limit_exceeded`.
    std::size_t bytes_max = std::size_t{64} << 20;
    /// SQL that leads from layout i (`user_version`) to i + 1.
    std::vector<std::string_view> migrations;
};

/// A prepared statement. Parameters and columns count from 0.
class Statement {
public:
    /// Copies the value.
    void bind(int parameter, Bytes value);
    void bind(int parameter, std::uint64_t value);

    /// To the next row: false where there is none. Errors as Database::execute.
    [[nodiscard]] Result<bool> step();
    /// For new parameters.
    void reset();

    /// Of the row at hand; valid until the next step() or reset(). Empty, or 0, where the column
    /// holds something else.
    [[nodiscard]] Bytes bytes(int column) const;
    [[nodiscard]] std::uint64_t number(int column) const;

private:
    friend class Database;
    struct State;

    struct Finalize {
        void operator()(State* state) const;
    };

    explicit Statement(State* state) : state_(state) {}

    std::unique_ptr<State, Finalize> state_;
};

/// Used by one thread at a time; every call may wait for the disk.
class Database {
public:
    struct Opened;

    /// Makes the file (0600), and its directories, where there is none. One that is damaged is
    /// renamed to PATH.damaged, in place of an earlier one. `Errc::unsupported` for a file of a
    /// newer program, `io` where the file system refuses, `unavailable` while another process holds
    /// it.
    static Result<Opened> open(const DatabaseOptions& options);

    Database(Database&&) noexcept;
    Database& operator=(Database&&) noexcept;
    ~Database();

    /// One or several statements. `Errc::limit_exceeded` past bytes_max, `malformed` for a damaged
    /// file, `unavailable` while another process holds it, `io` else.
    [[nodiscard]] Result<> execute(const std::string& sql);
    [[nodiscard]] Result<Statement> prepare(std::string_view sql);

private:
    struct State;
    explicit Database(std::unique_ptr<State> state);
    static Result<Database> open_once(const DatabaseOptions& options);
    std::unique_ptr<State> state_;
};

struct Database::Opened {
    Database database;
    std::string note;  // a sentence, where a damaged file was put aside
};

/// Undone when it ends without commit().
class Transaction {
public:
    static Result<Transaction> begin(Database& database);
    Transaction(Transaction&& other) noexcept;
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    [[nodiscard]] Result<> commit();

private:
    explicit Transaction(Database& database) : database_(&database) {}

    Database* database_;
};

}  // namespace kwaai::store
