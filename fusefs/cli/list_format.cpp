#include "fusefs/cli/list_format.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "protocol/name.h"

namespace homefs {
namespace {

char type_letter(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return 'd';
    case S_IFLNK:
      return 'l';
    case S_IFIFO:
      return 'p';
    case S_IFSOCK:
      return 's';
    case S_IFBLK:
      return 'b';
    case S_IFCHR:
      return 'c';
    default:
      return '-';
  }
}

const char* type_name(std::uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "folder";
    case S_IFLNK:
      return "symlink";
    case S_IFREG:
      return "file";
    default:
      return "special";
  }
}

}  // namespace

std::string mode_text(std::uint32_t mode) {
  std::string text(1, type_letter(mode));
  constexpr std::string_view kLetters = "rwxrwxrwx";
  for (int i = 0; i < 9; ++i) {
    text += (mode & (0400U >> i)) != 0 ? kLetters[static_cast<std::size_t>(i)] : '-';
  }
  if ((mode & S_ISUID) != 0) text[3] = (mode & 0100) != 0 ? 's' : 'S';
  if ((mode & S_ISGID) != 0) text[6] = (mode & 0010) != 0 ? 's' : 'S';
  if ((mode & S_ISVTX) != 0) text[9] = (mode & 0001) != 0 ? 't' : 'T';
  return text;
}

std::string moment_text(const Timestamp& time) {
  const auto seconds = static_cast<std::time_t>(time.seconds);
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "?";
  std::array<char, 64> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts);
  return text.data();
}

std::string escaped(std::string_view name) {
  const std::string text = homefs::quoted(name);
  return text.substr(1, text.size() - 2);
}

std::string long_line(const TreeEntry& entry, const std::string& shown_name, int size_columns) {
  std::array<char, 64> figures{};
  std::snprintf(figures.data(), figures.size(), " %3u %*llu ", entry.attributes.links, size_columns,
                static_cast<unsigned long long>(entry.attributes.size));
  std::string line = mode_text(entry.attributes.mode) + figures.data() +
                     moment_text(entry.attributes.mtime) + " " + shown_name;
  if (entry.is_symlink()) line += " -> " + escaped(entry.target);
  return line;
}

nlohmann::ordered_json json_of(const TreeEntry& entry, const std::string& path) {
  const Attributes& attributes = entry.attributes;
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", attributes.mode & 07777);
  const auto text = [](const std::string& bytes) {
    // What is no UTF-8 cannot be a string of JSON.
    const bool is_utf8 = homefs::quoted(bytes).find("\\x") == std::string::npos;
    return is_utf8 ? bytes : escaped(bytes);
  };
  nlohmann::ordered_json json = {{"path", text(path)},
                                 {"type", type_name(attributes.mode)},
                                 {"mode", mode.data()},
                                 {"links", attributes.links},
                                 {"size", attributes.size},
                                 {"mtime", attributes.mtime.seconds},
                                 {"mtime_ns", attributes.mtime.nanoseconds}};
  if (entry.is_symlink()) json["target"] = text(entry.target);
  return json;
}

}  // namespace homefs
