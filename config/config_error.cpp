#include "config/config_error.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "protocol/name.h"

namespace homefs {
namespace {

// Longer names are not compared: the cost is the product of the two lengths.
constexpr std::size_t kComparedBytesMax = 64;

bool is_swap(std::string_view a, std::string_view b, std::size_t i, std::size_t j) {
  return i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
}

// Edits that turn `a` into `b`: a letter put in, left out, replaced, or two neighbours swapped
// ("prot" is one edit from "port": swapping is the commonest slip of all).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (is_swap(a, b, i, j)) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

const std::string* nearest(std::string_view name, std::span<const std::string> known) {
  if (name.size() > kComparedBytesMax) return nullptr;
  const std::string* best = nullptr;
  // A third of the letters may be wrong; beyond that a suggestion is a guess.
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = &candidate;
    }
  }
  return best;
}

// As it stands there, unless that would not be one line of plain text.
std::string shown_key(std::string_view key) {
  std::string text = shown(key);
  const bool is_plain = text.size() == key.size() + 2 && text.find(key) == 1;
  return is_plain ? std::string(key) : text;
}

}  // namespace

Error config_error(const ConfigPlace& place, std::string_view what) {
  std::string text(place.file);
  if (place.line > 0) text += ":" + std::to_string(place.line);
  text += ": ";
  if (!place.key.empty()) text += shown_key(place.key) + ": ";
  text += what;
  return Error{Status::kConfigError, std::move(text)};
}

std::string shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return homefs::quoted(text);
  std::string out = homefs::quoted(text.substr(0, kShownBytesMax));
  out.insert(out.size() - 1, "...");
  return out;
}

std::string suggestion(std::string_view name, std::span<const std::string> known) {
  if (const std::string* near = nearest(name, known)) return ", did you mean " + shown(*near) + "?";
  std::string out;
  for (const std::string& candidate : known) {
    out += (out.empty() ? "; known are " : ", ") + shown(candidate);
  }
  return out;
}

}  // namespace homefs
