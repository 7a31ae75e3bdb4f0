#include "fusefs/transfer/path_filter.h"

#include <algorithm>
#include <cstddef>

namespace homefs {
namespace {

// The length of the class at the front of `pattern` ("[...]"), and whether `c` is in it; 0 when
// there is none: "[" is a character then.
std::size_t match_class(std::string_view pattern, char c, bool& is_in) {
  std::size_t at = 1;
  const bool is_negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (is_negated) ++at;
  bool is_found = false;
  for (bool is_first = true; at < pattern.size(); is_first = false) {
    if (pattern[at] == ']' && !is_first) {
      is_in = is_found != is_negated && c != '/';
      return at + 1;
    }
    const char low = pattern[at++];
    char high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      high = pattern[at + 1];
      at += 2;
    }
    is_found = is_found || (low <= c && c <= high);
  }
  return 0;
}

// One character of `text` against what stands at the front of `pattern`; how much of the pattern
// that takes, 0 when it does not fit.
std::size_t match_one(std::string_view pattern, char c) {
  if (pattern[0] == '?') return c != '/' ? 1 : 0;
  if (pattern[0] == '[') {
    bool is_in = false;
    const std::size_t length = match_class(pattern, c, is_in);
    if (length > 0) return is_in ? length : 0;
  }
  const bool is_escaped = pattern[0] == '\\' && pattern.size() > 1;
  return pattern[is_escaped ? 1 : 0] == c ? (is_escaped ? 2 : 1) : 0;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  // The last star of each kind is where to go on after a mismatch: "*" first, which is the shorter
  // way, then "**". Never longer than pattern times text.
  struct Star {
    std::size_t pattern = std::string_view::npos;
    std::size_t text = 0;
  } one, two;
  std::size_t p = 0;
  std::size_t t = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      const bool is_double = p + 1 < pattern.size() && pattern[p + 1] == '*';
      p += is_double ? 2 : 1;
      (is_double ? two : one) = {p, t};
      if (is_double) one = {};
      continue;
    }
    if (t == text.size() && p == pattern.size()) return true;
    const std::size_t length =
        t < text.size() && p < pattern.size() ? match_one(pattern.substr(p), text[t]) : 0;
    if (length > 0) {
      p += length;
      ++t;
    } else if (one.pattern != std::string_view::npos && one.text < text.size() &&
               text[one.text] != '/') {
      p = one.pattern;
      t = ++one.text;
    } else if (two.pattern != std::string_view::npos && two.text < text.size()) {
      p = two.pattern;
      t = ++two.text;
      one = {};
    } else {
      return false;
    }
  }
}

void PathFilter::add(std::string_view pattern, bool is_include) {
  Rule rule{.is_include = is_include};
  if (pattern.ends_with('/') && pattern.size() > 1) {
    rule.is_for_folders = true;
    pattern.remove_suffix(1);
  }
  if (pattern.starts_with('/')) {
    rule.is_anchored = true;
    pattern.remove_prefix(1);
  }
  rule.has_slash = pattern.find('/') != pattern.npos;
  rule.pattern = pattern;
  rules_.push_back(std::move(rule));
}

bool PathFilter::accepts(std::string_view path, bool is_folder) const {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  for (const Rule& rule : rules_) {
    if (rule.is_for_folders && !is_folder) continue;
    bool fits = false;
    if (rule.is_anchored) {
      fits = glob_matches(rule.pattern, path);
    } else if (rule.has_slash) {
      fits = glob_matches(rule.pattern, path) || glob_matches("**/" + rule.pattern, path);
    } else {
      fits = glob_matches(rule.pattern, name);
    }
    if (fits) return rule.is_include;
  }
  return true;
}

std::function<bool(const std::string& path, bool is_folder)> PathFilter::for_walk() const {
  if (rules_.empty()) return {};
  return [this](const std::string& path, bool is_folder) { return accepts(path, is_folder); };
}

}  // namespace homefs
