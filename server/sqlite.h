// SQLite as the server uses it: a database, prepared statements, errors as values.
//
// Owner: StateDb. Executor: one thread at a time. Blocks: on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace homefs {

class SqliteDatabase;

/// One execution of a statement; bind from 1, read columns from 0.
class SqliteStatement {
 public:
  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, std::string_view value);

  /// The next row: true; none is left: false.
  Result<bool> step();
  /// Runs a statement that gives no rows.
  Result<void> run();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDatabase {
 public:
  /// Opens or makes the file (mode 0600), with a write-ahead log and full durability of commits.
  /// Errors: kIoError with SQLite's text; kNoSpace.
  static Result<SqliteDatabase> open(const std::filesystem::path& file);

  Result<SqliteStatement> prepare(std::string_view sql);
  /// Runs one or more statements that give no rows.
  Result<void> execute(const char* sql);
  /// Rows that the last statement inserted, changed or deleted.
  [[nodiscard]] int changes() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}

  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace homefs
