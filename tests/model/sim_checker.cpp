#include "tests/model/sim_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace homefs::test {
namespace {

constexpr Moment kBefore = 0;

std::string show(const FileKey& file) { return fmt::format("inode {}", number_of(file.inode)); }

// The number in a slot; 0: it is none.
std::uint64_t number_in(std::string_view text, std::uint64_t& slot) {
  if (text.size() != kSlotBytes || text.front() != '<' || text.back() != '\n') return 0;
  std::uint64_t number = 0;
  const auto first = std::from_chars(text.data() + 1, text.data() + 8, number, 16);
  const auto second = std::from_chars(text.data() + 9, text.data() + 14, slot, 16);
  const bool is_whole = first.ptr == text.data() + 8 && second.ptr == text.data() + 14;
  return is_whole && text[8] == '.' && text[14] == '>' ? number : 0;
}

constexpr std::uint64_t kAppendedSlot = 0xfffff;

}  // namespace

std::string slot_text(std::uint64_t number, std::uint64_t slot) {
  return fmt::format("<{:07x}.{:05x}>\n", number, slot);
}

// ---- Data ---------------------------------------------------------------------------------------

std::uint64_t SimChecker::begin_data(DataChange change) {
  change.number = data_.size() + 1;
  of_file_[change.file].push_back(change.number);
  data_.push_back(std::move(change));
  return data_.back().number;
}

void SimChecker::end_data(std::uint64_t number, Moment now, bool is_done, bool is_stable) {
  DataChange& change = data_[number - 1];
  if (is_done) change.end = now;
  if (is_stable) change.stable = now;
}

void SimChecker::settle(int mount, const FileKey& file, Moment done, Moment now) {
  const auto numbers = of_file_.find(file);
  if (numbers == of_file_.end()) return;
  for (const std::uint64_t number : numbers->second) {
    DataChange& change = data_[number - 1];
    if (change.mount == mount && change.end < done) change.stable = std::min(change.stable, now);
  }
}

bool SimChecker::covers(const DataChange& change, std::uint64_t slot) {
  if (change.is_append) return false;
  return slot >= change.first && (change.is_cut || slot < change.first + change.count);
}

// Whether a change of `writer` that was done then has to show to `reader`.
bool SimChecker::counts(int writer, Moment done, Moment stable, int reader,
                        Moment read_begin) const {
  if (done >= read_begin) return false;
  if (writer == reader || reader < 0) return true;
  // Buffered, and not at the server when the call returned: it is once the mount is told to share.
  if (stable >= read_begin && reachable_(writer) > done) return false;
  return reachable_(reader) <= read_begin;
}

bool SimChecker::shows(const DataChange& change, const DataRead& read) const {
  if (counts(change.mount, change.end, change.stable, read.mount, read.begin)) return true;
  // Under a lock it does not matter how long somebody could not be reached.
  if (change.end >= read.begin) return false;
  if (change.stable >= read.begin && reachable_(change.mount) > change.end) return false;
  return std::ranges::any_of(
      read.locks, [&](std::size_t lock) { return locks_.orders(change.mount, change.end, lock); });
}

const SimChecker::DataChange* SimChecker::replacing(const DataRead& read, std::uint64_t slot,
                                                    const DataChange* change) const {
  Moment end = change == nullptr ? kBefore : change->end;
  // What was written under a lock and is not there by then is not written any more.
  if (change != nullptr && change->lock) end = std::min(end, locks_.superseded(*change->lock));
  if (end == kNever) return nullptr;
  const auto seen = seen_.find({read.file, slot});
  for (const std::uint64_t number : of_file_.at(read.file)) {
    const DataChange& later = data_[number - 1];
    if (&later == change || !covers(later, slot) || later.begin <= end) continue;
    if (read.of_mount >= 0 && later.mount != read.of_mount) continue;
    if (shows(later, read)) return &later;
    if (seen == seen_.end()) continue;
    const bool was_seen = std::ranges::any_of(seen->second, [&](const Seen& one) {
      return one.number == number && one.end < read.begin && one.mount == read.mount;
    });
    if (was_seen) return &later;
  }
  return nullptr;
}

void SimChecker::read(const DataRead& read) {
  if (!of_file_.contains(read.file)) of_file_[read.file];
  for (std::uint64_t at = 0; at < read.length; at += kSlotBytes) {
    const std::string_view text = at >= read.text.size()
                                      ? std::string_view()
                                      : std::string_view(read.text).substr(at, kSlotBytes);
    read_slot(read, (read.offset + at) / kSlotBytes, text);
  }
}

void SimChecker::read_slot(const DataRead& read, std::uint64_t slot, std::string_view text) {
  const bool is_blank = std::ranges::all_of(text, [](char c) { return c == '\0'; });
  if (!is_blank) {
    std::uint64_t written_slot = 0;
    const std::uint64_t number = number_in(text, written_slot);
    const bool is_known = number > 0 && number <= data_.size();
    const DataChange* change = is_known ? &data_[number - 1] : nullptr;
    if (change == nullptr || change->file != read.file) {
      violated(fmt::format("{} slot {}: {} read, which is {}", show(read.file), slot,
                           std::string(text), is_known ? "another file's" : "torn"));
      return;
    }
    if (change->is_append) {
      if (written_slot != kAppendedSlot) violated("an append is torn");
      return;
    }
    if (written_slot != slot) {
      violated(fmt::format("{} slot {}: what was written to slot {}", show(read.file), slot,
                           written_slot));
      return;
    }
    seen_[{read.file, slot}].push_back({number, read.end, read.mount});
    if (const DataChange* later = replacing(read, slot, change)) {
      violated(
          fmt::format("{} slot {}: mount {} reads #{:x} at {}..{}, replaced by #{:x} of mount "
                      "{} at {}..{}",
                      show(read.file), slot, read.mount, number, read.begin, read.end,
                      later->number, later->mount, later->begin, later->end));
    }
    return;
  }
  // It was never written, or cut off.
  const DataChange* last = replacing(read, slot, nullptr);
  if (last == nullptr) return;
  for (const std::uint64_t number : of_file_.at(read.file)) {
    const DataChange& cut = data_[number - 1];
    if (!cut.is_cut || !covers(cut, slot) || cut.begin >= read.end) continue;
    if (replacing(read, slot, &cut) == nullptr) return;
  }
  violated(
      fmt::format("{} slot {}: mount {} reads nothing at {}..{}, but #{:x} of mount {} was "
                  "there at {}..{}",
                  show(read.file), slot, read.mount, read.begin, read.end, last->number,
                  last->mount, last->begin, last->end));
}

void SimChecker::read_appends(const DataRead& read) {
  std::map<std::uint64_t, int> found;
  for (std::size_t at = 0; at < read.text.size(); at += kSlotBytes) {
    std::uint64_t slot = 0;
    const std::string_view text = std::string_view(read.text).substr(at, kSlotBytes);
    const std::uint64_t number = number_in(text, slot);
    const bool is_append = number != 0 && number <= data_.size() && slot == kAppendedSlot &&
                           data_[number - 1].file == read.file;
    if (!is_append) {
      violated(fmt::format("{}: mount {} reads at {}..{} what nobody appended, at byte {}",
                           show(read.file), read.mount, read.begin, read.end, at));
      return;
    }
    ++found[number];
  }
  for (const std::uint64_t number : of_file_[read.file]) {
    const DataChange& change = data_[number - 1];
    const bool must_be_there = change.end != kNever &&
                               (read.of_mount < 0 || read.of_mount == change.mount) &&
                               shows(change, read);
    if (found[number] > 1 || (must_be_there && found[number] == 0)) {
      violated(fmt::format(
          "{}: append #{:x} of mount {} at {}..{} is there {} times for mount {} at {}..{}",
          show(read.file), number, change.mount, change.begin, change.end, found[number],
          read.mount, read.begin, read.end));
    }
  }
}

// An append of the same mount that is under way, which another lock allows or none forbids, makes
// the kernel forget what it is told meanwhile.
void SimChecker::found_end(const DataRead& read) {
  const std::vector<std::uint64_t>& numbers = of_file_[read.file];
  const bool is_appending = std::ranges::any_of(numbers, [&](std::uint64_t number) {
    const DataChange& change = data_[number - 1];
    return change.mount == read.mount && change.begin <= read.end && change.end >= read.begin;
  });
  if (is_appending) return;
  const auto count = std::ranges::count_if(numbers, [&](std::uint64_t number) {
    return data_[number - 1].end != kNever && shows(data_[number - 1], read);
  });
  if (read.length >= static_cast<std::uint64_t>(count) * kSlotBytes) return;
  violated(fmt::format("{}: mount {} finds the end at {} at {}..{}, and {} appends were done",
                       show(read.file), read.mount, read.length, read.begin, read.end, count));
}

// ---- Names --------------------------------------------------------------------------------------

std::size_t SimChecker::begin_name(NameChange change) {
  std::vector<NameChange>& changes = names_[change.path];
  changes.push_back(std::move(change));
  return changes.size() - 1;
}

void SimChecker::end_name(const std::string& path, std::size_t number, Moment now,
                          std::optional<FileKey> file) {
  NameChange& change = names_[path][number];
  change.end = now;
  change.is_certain = true;
  if (file) change.file = file;
}

void SimChecker::read(const NameRead& read) {
  const auto& changes = names_[read.path];
  const auto is_same = [&](const NameChange& change) {
    if (change.is_present != read.is_present) return false;
    return !change.is_present || !change.file || !read.file || *change.file == *read.file;
  };
  const auto replaced_by = [&](Moment end) -> const NameChange* {
    if (end == kNever) return nullptr;
    for (const NameChange& later : changes) {
      if (later.begin <= end || !later.is_certain || is_same(later)) continue;
      if (counts(later.mount, later.end, kBefore, read.mount, read.begin)) return &later;
    }
    return nullptr;
  };
  const NameChange* replaced = nullptr;
  if (!read.is_present) {
    replaced = replaced_by(kBefore);
    if (replaced == nullptr) return;
  }
  for (const NameChange& change : changes) {
    if (!is_same(change) || change.begin >= read.end) continue;
    const NameChange* later = replaced_by(change.is_certain ? change.end : kNever);
    if (later == nullptr) return;
    replaced = later;
  }
  violated(fmt::format(
      "{}: mount {} {} finds it {} at {}..{}; {}", read.path, read.mount, read.what,
      read.is_present ? (read.file ? show(*read.file) : "there") : "absent", read.begin, read.end,
      replaced == nullptr
          ? "it never was"
          : fmt::format("mount {} has made it {} at {}..{}", replaced->mount,
                        replaced->is_present ? (replaced->file ? show(*replaced->file) : "present")
                                             : "absent",
                        replaced->begin, replaced->end)));
}

}  // namespace homefs::test
