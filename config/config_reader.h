// Reads the keys of a parsed JSON file into typed fields, and finds every key it was not asked for.
//
// The function that asks for the keys is the schema: what it asks for exists, everything else is a
// mistake that is told with the nearest existing key. Fields keep their default where a key is
// missing or wrong; all mistakes are collected and the topmost one of the file is reported.
//
//   read_config(root, {file_name, folder}, [&](ConfigReader& reader) {
//     reader.section("listen", [&](ConfigReader& listen) { listen.number("port", 1, 65535, port);
//     });
//   });
//
// Owner: lives on the stack of read_config. Executor: one thread. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_value.h"
#include "protocol/result.h"

namespace homefs {

class ConfigReader;

/// Which file is being read, and from where its relative paths count.
struct ConfigFile {
  std::string name;
  std::filesystem::path folder;
};

/// Calls `schema` with a reader for the object `root`. Errors: kConfigError, the topmost mistake.
[[nodiscard]] Result<> read_config(const JsonValue& root, const ConfigFile& file,
                                   const std::function<void(ConfigReader&)>& schema);

class ConfigReader {
 public:
  ConfigReader(const ConfigReader&) = delete;
  ConfigReader& operator=(const ConfigReader&) = delete;

  /// A whole number within [min, max].
  template <class Integer>
  void number(std::string_view key, std::int64_t min, std::int64_t max, Integer& out) {
    if (const auto value = whole_number(key, min, max)) out = static_cast<Integer>(*value);
  }
  /// A whole number of seconds within [min, max].
  void seconds(std::string_view key, std::int64_t min, std::int64_t max, std::chrono::seconds& out);
  void boolean(std::string_view key, bool& out);
  /// A string that is not empty.
  void text(std::string_view key, std::string& out);
  /// One string that is not empty, or a list of 1 to `count_max` of them.
  void texts(std::string_view key, std::size_t count_max, std::vector<std::string>& out);
  /// A path; a relative one is made to start from the file's folder.
  void path(std::string_view key, std::filesystem::path& out);
  /// One of `names`; sets `out` to its position among them.
  template <class Enum>
  void choice(std::string_view key, std::initializer_list<std::string_view> names, Enum& out) {
    if (const auto index = choice_index(key, names)) out = static_cast<Enum>(*index);
  }
  /// An object, read by `schema`; not called where the key is missing or no object.
  void section(std::string_view key, const std::function<void(ConfigReader&)>& schema);
  /// All members, whatever their names: for an object whose keys somebody else knows.
  [[nodiscard]] const std::vector<JsonMember>& members();

  [[nodiscard]] bool has(std::string_view key) const { return object_.find(key) != nullptr; }
  /// Adds a mistake: of `key` where it stands in the file, of the object as a whole where it does
  /// not.
  void refuse(std::string_view key, std::string_view what);

 private:
  friend Result<> read_config(const JsonValue&, const ConfigFile&,
                              const std::function<void(ConfigReader&)>&);

  struct Mistake {
    int line;
    Error error;
  };
  // What the readers of one file share.
  struct Shared {
    const ConfigFile& file;
    std::vector<Mistake> mistakes;
  };

  ConfigReader(const JsonValue& object, std::string path, Shared& shared);

  [[nodiscard]] const JsonMember* ask(std::string_view key);
  [[nodiscard]] const JsonValue* ask(std::string_view key, JsonValue::Kind kind,
                                     std::string_view expected);
  [[nodiscard]] std::optional<std::int64_t> whole_number(std::string_view key, std::int64_t min,
                                                         std::int64_t max);
  [[nodiscard]] std::optional<std::size_t> choice_index(
      std::string_view key, std::initializer_list<std::string_view> names);
  void refuse_value(std::string_view key, std::string_view expected, const JsonValue& found);
  void refuse_unknown_keys();
  [[nodiscard]] std::string path_of(std::string_view key) const;

  const JsonValue& object_;
  const std::string path_;  // "listen"; empty for the root.
  Shared& shared_;
  std::vector<std::string> known_;  // The keys asked for so far.
  bool knows_all_ = false;
};

}  // namespace homefs
