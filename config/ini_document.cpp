#include "config/ini_document.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <unordered_map>

#include "config/config_error.h"

namespace homefs {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

bool is_key(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  });
}

bool is_value(std::string_view text) {
  return trimmed(text) == text && std::ranges::none_of(text, is_control);
}

bool is_section_name(std::string_view text) {
  return !text.empty() && is_value(text) && text.find_first_of("[]") == text.npos;
}

// Fills in key and value of a "key = value" line; false if the line has another shape.
bool split_key(IniLine& line) {
  const std::size_t delimiter = line.raw.find_first_of("=:");
  if (delimiter == std::string::npos) return false;
  const std::string_view raw = line.raw;
  const std::string_view key = trimmed(raw.substr(0, delimiter));
  const std::string_view value = trimmed(raw.substr(delimiter + 1));
  if (!is_key(key) || !is_value(value)) return false;
  line.key = lower(key);
  line.value_bytes = value.size();
  line.value_at =
      value.empty() ? delimiter + 1 : static_cast<std::size_t>(value.data() - raw.data());
  return true;
}

IniLine make_line(std::string_view key, std::string_view value, std::string_view end) {
  IniLine line;
  line.key = lower(key);
  line.raw = line.key + " = ";
  line.value_at = line.raw.size();
  line.value_bytes = value.size();
  line.raw += std::string(value) + std::string(end);
  return line;
}

// Where the last key of the section stands, plus one: where its next key belongs.
std::size_t keys_end(const IniSection& section) {
  const auto last = std::ranges::find_if(section.lines.rbegin(), section.lines.rend(),
                                         [](const IniLine& line) { return !line.key.empty(); });
  return static_cast<std::size_t>(std::distance(last, section.lines.rend()));
}

}  // namespace

const IniLine* IniSection::find(std::string_view key) const {
  const auto found = std::ranges::find(lines, lower(key), &IniLine::key);
  return found == lines.end() ? nullptr : &*found;
}

// Takes the file in line by line.
class IniParser {
 public:
  IniParser(std::string_view file_name, std::vector<IniLine>& preamble,
            std::vector<IniSection>& sections)
      : file_name_(file_name), preamble_(preamble), sections_(sections) {}

  Result<> take(IniLine line) {
    std::string_view content = trimmed(line.raw);
    if (line.number == 1 && content.starts_with(kByteOrderMark)) {
      content = trimmed(content.substr(kByteOrderMark.size()));
    }
    if (content.empty() || content.front() == '#' || content.front() == ';') {
      (sections_.empty() ? preamble_ : sections_.back().lines).push_back(std::move(line));
      return {};
    }
    if (content.front() == '[') return take_header(std::move(line), content);
    return take_key(std::move(line));
  }

 private:
  Result<> take_header(IniLine line, std::string_view content) {
    const std::string name(trimmed(content.substr(1, content.size() - 2)));
    if (content.back() != ']' || !is_section_name(name)) {
      return refuse(line, "", "expected [name]");
    }
    const auto [first, is_new] = header_lines_.try_emplace(name, line.number);
    if (!is_new) {
      return refuse(line, name, "given twice, first in line " + std::to_string(first->second));
    }
    sections_.push_back({name, std::move(line), {}});
    key_lines_.clear();
    return {};
  }

  Result<> take_key(IniLine line) {
    const std::string section = sections_.empty() ? "" : sections_.back().name;
    if (!split_key(line)) return refuse(line, section, "expected [name], key = value or # comment");
    if (sections_.empty()) return refuse(line, line.key, "stands before the first [name]");
    const auto [first, is_new] = key_lines_.try_emplace(line.key, line.number);
    if (!is_new) {
      return refuse(line, section + "." + line.key,
                    "given twice, first in line " + std::to_string(first->second));
    }
    sections_.back().lines.push_back(std::move(line));
    return {};
  }

  Result<> refuse(const IniLine& line, std::string_view key, std::string_view what) {
    return std::unexpected(config_error({file_name_, line.number, key}, what));
  }

  std::string_view file_name_;
  std::vector<IniLine>& preamble_;
  std::vector<IniSection>& sections_;
  std::unordered_map<std::string, int> header_lines_;
  std::unordered_map<std::string, int> key_lines_;  // Of the section being read.
};

Result<IniDocument> IniDocument::parse(std::string_view text, std::string_view file_name) {
  IniDocument document;
  IniParser parser(file_name, document.preamble_, document.sections_);
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
    IniLine line;
    line.raw = text.substr(0, length);
    line.number = number;
    if (Result<> taken = parser.take(std::move(line)); !taken) {
      return std::unexpected(taken.error());
    }
    text.remove_prefix(length);
  }
  return document;
}

const IniSection* IniDocument::find(std::string_view section) const {
  const auto found = std::ranges::find(sections_, section, &IniSection::name);
  return found == sections_.end() ? nullptr : &*found;
}

std::string IniDocument::text() const {
  std::string out;
  for (const IniLine& line : preamble_) out += line.raw;
  for (const IniSection& section : sections_) {
    out += section.header.raw;
    for (const IniLine& line : section.lines) out += line.raw;
  }
  return out;
}

Result<> IniDocument::set(std::string_view section, std::string_view key, std::string_view value) {
  if (!is_key(key)) return fail(Status::kInvalid, "a key cannot be " + shown(key));
  // The value itself stays out of the message, it may be a password.
  if (!is_value(value)) {
    return fail(Status::kInvalid, std::string(key) +
                                      " cannot have a value with control characters, or with "
                                      "spaces around it");
  }
  IniSection* found = find_mutable(section);
  if (found == nullptr) return fail(Status::kNoSuchFile, "[" + std::string(section) + "]");
  const auto line = std::ranges::find(found->lines, lower(key), &IniLine::key);
  if (line == found->lines.end()) {
    end_last_line();
    const auto at = found->lines.begin() + static_cast<std::ptrdiff_t>(keys_end(*found));
    found->lines.insert(at, make_line(key, value, line_end()));
    return {};
  }
  std::string written(value);
  if (line->value_bytes == 0 && line->raw[line->value_at - 1] != ' ') written = " " + written;
  line->raw.replace(line->value_at, line->value_bytes, written);
  line->value_at += written.size() - value.size();
  line->value_bytes = value.size();
  return {};
}

Result<> IniDocument::unset(std::string_view section, std::string_view key) {
  IniSection* found = find_mutable(section);
  if (found == nullptr) return fail(Status::kNoSuchFile, "[" + std::string(section) + "]");
  std::erase_if(found->lines,
                [name = lower(key)](const IniLine& line) { return line.key == name; });
  return {};
}

Result<> IniDocument::add_section(std::string_view section) {
  if (!is_section_name(section)) {
    return fail(Status::kInvalid, "a section cannot be named " + shown(section));
  }
  if (find(section) != nullptr) return fail(Status::kExists, "[" + std::string(section) + "]");
  end_last_line();
  const std::string end = line_end();
  const std::string before = text();
  if (!before.empty() && !before.ends_with(end + end)) {
    IniLine blank;
    blank.raw = end;
    (sections_.empty() ? preamble_ : sections_.back().lines).push_back(std::move(blank));
  }
  IniSection added;
  added.name = section;
  added.header.raw = "[" + added.name + "]" + end;
  sections_.push_back(std::move(added));
  return {};
}

Result<> IniDocument::remove_section(std::string_view section) {
  const auto found = std::ranges::find(sections_, section, &IniSection::name);
  if (found == sections_.end()) return fail(Status::kNoSuchFile, "[" + std::string(section) + "]");
  std::vector<IniLine> kept(
      std::next(found->lines.begin(), static_cast<std::ptrdiff_t>(keys_end(*found))),
      found->lines.end());
  std::vector<IniLine>& before = found == sections_.begin() ? preamble_ : std::prev(found)->lines;
  // Of the two blank lines around the section one is enough.
  const auto is_blank = [](const IniLine& line) { return trimmed(line.raw).empty(); };
  if (!kept.empty() && is_blank(kept.front()) && (before.empty() || is_blank(before.back()))) {
    kept.erase(kept.begin());
  }
  std::ranges::move(kept, std::back_inserter(before));
  sections_.erase(found);
  return {};
}

IniSection* IniDocument::find_mutable(std::string_view section) {
  const auto found = std::ranges::find(sections_, section, &IniSection::name);
  return found == sections_.end() ? nullptr : &*found;
}

// What ends the lines of this file: CRLF if its first one has it.
std::string IniDocument::line_end() const {
  const std::string* first = nullptr;
  if (!preamble_.empty()) {
    first = &preamble_.front().raw;
  } else if (!sections_.empty()) {
    first = &sections_.front().header.raw;
  }
  return first != nullptr && first->ends_with("\r\n") ? "\r\n" : "\n";
}

// Before anything is put behind the last line, that line has to have an end.
void IniDocument::end_last_line() {
  IniLine* last = nullptr;
  if (!preamble_.empty()) last = &preamble_.back();
  if (!sections_.empty()) {
    IniSection& section = sections_.back();
    last = section.lines.empty() ? &section.header : &section.lines.back();
  }
  if (last == nullptr || last->raw.ends_with('\n')) return;
  last->raw += last->raw.ends_with('\r') ? "\n" : line_end();
}

}  // namespace homefs
