// Random operations on one file, each compared with what a plain array of bytes says.
//
// Usage: file_exerciser FILE OPERATIONS [SEED]
//
// Prints the seed. At the first difference it prints the last operations and where the bytes
// differ, and ends with status 1; the same seed does the same again. Status 2: the file cannot be
// used at all.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kFileBytesMax = 1024 * 1024;
constexpr std::size_t kPieceBytesMax = 80 * 1024;
constexpr std::size_t kHistory = 60;
constexpr std::size_t kPage = 4096;

class Exerciser {
 public:
  Exerciser(std::string path, std::uint64_t seed) : path_(std::move(path)), random_(seed) {
    open_file(O_CREAT | O_TRUNC);
  }
  ~Exerciser() { close_file(); }
  Exerciser(const Exerciser&) = delete;
  Exerciser& operator=(const Exerciser&) = delete;

  void step() {
    static constexpr struct {
      int weight;
      void (Exerciser::*run)();
    } kKinds[] = {
        {20, &Exerciser::write},      {20, &Exerciser::read},     {8, &Exerciser::write_mapped},
        {8, &Exerciser::read_mapped}, {6, &Exerciser::truncate},  {4, &Exerciser::punch},
        {3, &Exerciser::zero},        {3, &Exerciser::allocate},  {4, &Exerciser::copy},
        {3, &Exerciser::append},      {2, &Exerciser::look_size}, {2, &Exerciser::look_holes},
        {2, &Exerciser::sync},        {1, &Exerciser::reopen},    {1, &Exerciser::drop_pages},
    };
    int sum = 0;
    for (const auto& kind : kKinds) sum += kind.weight;
    int pick = static_cast<int>(random_() % static_cast<unsigned>(sum));
    for (const auto& kind : kKinds) {
      pick -= kind.weight;
      if (pick >= 0) continue;
      (this->*kind.run)();
      return;
    }
  }
  void look_at_all() {
    note("read all", 0, expected_.size());
    compare(0, expected_.size());
  }

 private:
  struct Range {
    std::size_t offset, length;
  };

  // ---- what is done ----

  void write() {
    const Range at = any_range(kFileBytesMax);
    note("write", at.offset, at.length);
    const std::vector<char> bytes = some_bytes(at.length);
    must(::pwrite(file_, bytes.data(), bytes.size(), offset_of(at.offset)), at.length);
    put(at.offset, bytes);
  }
  void append() {
    const std::size_t length = 1 + random_() % 3000;
    if (expected_.size() + length > kFileBytesMax) return;
    note("append", expected_.size(), length);
    const std::vector<char> bytes = some_bytes(length);
    const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    must(::write(fd, bytes.data(), bytes.size()), length);
    must(::close(fd), 0);
    put(expected_.size(), bytes);
  }
  void read() {
    const Range at = any_range(expected_.size());
    note("read", at.offset, at.length);
    compare(at.offset, at.length);
  }
  void write_mapped() {
    const Range at = any_range(expected_.size());
    if (at.length == 0) return;
    note("write mapped", at.offset, at.length);
    const std::vector<char> bytes = some_bytes(at.length);
    const bool is_synced = random_() % 4 == 0;
    with_map(at, PROT_READ | PROT_WRITE, [&](char* mapped, char* page, std::size_t length) {
      std::memcpy(mapped, bytes.data(), bytes.size());
      if (is_synced) must(::msync(page, length, MS_SYNC), 0);
    });
    put(at.offset, bytes);
  }
  void read_mapped() {
    const Range at = any_range(expected_.size());
    if (at.length == 0) return;
    note("read mapped", at.offset, at.length);
    with_map(at, PROT_READ,
             [&](const char* mapped, char*, std::size_t) { same(at.offset, mapped, at.length); });
  }
  void truncate() {
    const std::size_t size = random_() % 3 == 0 ? 0 : random_() % kFileBytesMax;
    note("truncate", size, 0);
    must(::ftruncate(file_, offset_of(size)), 0);
    expected_.resize(size);
  }
  void punch() { fill_with_zero("punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false); }
  void zero() { fill_with_zero("zero", FALLOC_FL_ZERO_RANGE, true); }
  void allocate() {
    const Range at = any_range(kFileBytesMax);
    if (at.length == 0) return;
    const bool keeps_size = random_() % 2 == 0;
    note(keeps_size ? "allocate, keep size" : "allocate", at.offset, at.length);
    if (!allocate_on_disk(keeps_size ? FALLOC_FL_KEEP_SIZE : 0, at)) return;
    if (!keeps_size) expected_.resize(std::max(expected_.size(), at.offset + at.length));
  }
  void copy() {
    const Range from = any_range(expected_.size());
    const std::size_t to = random_() % (kFileBytesMax - from.length);
    const bool overlaps = to < from.offset + from.length && from.offset < to + from.length;
    if (from.length == 0 || overlaps) return;
    note("copy to " + std::to_string(to), from.offset, from.length);
    std::size_t done = 0;
    while (done < from.length) {
      off_t source = offset_of(from.offset + done);
      off_t target = offset_of(to + done);
      const ssize_t count =
          ::copy_file_range(file_, &source, file_, &target, from.length - done, 0);
      if (count <= 0) fail_with("copy_file_range", count);
      done += static_cast<std::size_t>(count);
    }
    const auto first = expected_.begin() + offset_of(from.offset);
    put(to, std::vector<char>(first, first + offset_of(from.length)));
  }
  void look_size() {
    note("fstat", 0, 0);
    struct stat found{};
    must(::fstat(file_, &found), 0);
    if (static_cast<std::size_t>(found.st_size) != expected_.size()) {
      fail_with("size is " + std::to_string(found.st_size), static_cast<long>(expected_.size()));
    }
  }
  // What is said to be a hole must read as zeros; a file ends with one.
  void look_holes() {
    note("holes", 0, expected_.size());
    off_t at = 0;
    while (at < offset_of(expected_.size())) {
      const off_t hole = ::lseek(file_, at, SEEK_HOLE);
      if (hole < at || hole > offset_of(expected_.size())) fail_with("SEEK_HOLE", hole);
      off_t data = ::lseek(file_, hole, SEEK_DATA);
      if (data < 0 && errno != ENXIO) fail_with("SEEK_DATA", data);
      if (data < 0) data = offset_of(expected_.size());
      const auto is_set = [](char byte) { return byte != 0; };
      if (std::any_of(expected_.begin() + hole, expected_.begin() + data, is_set)) {
        fail_with("data in a hole", hole);
      }
      at = data;
      if (hole == offset_of(expected_.size())) break;
    }
  }
  void sync() {
    const bool is_data_only = random_() % 2 == 0;
    note(is_data_only ? "fdatasync" : "fsync", 0, 0);
    must(is_data_only ? ::fdatasync(file_) : ::fsync(file_), 0);
  }
  void reopen() {
    note("reopen", 0, 0);
    close_file();
    open_file(0);
  }
  void drop_pages() {
    note("drop pages", 0, 0);
    must(::fdatasync(file_), 0);
    must(::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED), 0);
  }

  // ---- how ----

  void open_file(int flags) {
    file_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0644);
    if (file_ < 0) {
      std::fprintf(stderr, "%s: %s\n", path_.c_str(), std::strerror(errno));
      std::exit(2);
    }
  }
  void close_file() {
    must(::close(file_), 0);
    file_ = -1;
  }
  static off_t offset_of(std::size_t offset) { return static_cast<off_t>(offset); }

  Range any_range(std::size_t end) {
    if (end == 0) return {0, 0};
    std::size_t offset = random_() % end;
    if (random_() % 4 == 0) offset &= ~(kPage - 1);
    const std::size_t small = random_() % 2 == 0 ? 600 : kPieceBytesMax;
    return {offset, std::min(1 + random_() % small, end - offset)};
  }
  std::vector<char> some_bytes(std::size_t count) {
    std::vector<char> bytes(count);
    const auto first = random_();
    for (std::size_t i = 0; i < count; ++i) {
      bytes[i] = static_cast<char>(1 + (first + i * 31 + i / 253) % 255);
    }
    return bytes;
  }
  void put(std::size_t offset, const std::vector<char>& bytes) {
    expected_.resize(std::max(expected_.size(), offset + bytes.size()));
    std::copy(bytes.begin(), bytes.end(), expected_.begin() + offset_of(offset));
  }
  void fill_with_zero(const char* what, int mode, bool extends) {
    const Range at = any_range(extends ? kFileBytesMax : expected_.size());
    if (at.length == 0) return;
    note(what, at.offset, at.length);
    if (!allocate_on_disk(mode, at)) return;
    const std::size_t end = at.offset + at.length;
    if (extends && end > expected_.size()) expected_.resize(end);
    std::fill(expected_.begin() + offset_of(at.offset), expected_.begin() + offset_of(end), 0);
  }
  // False: the file system does not have this kind.
  bool allocate_on_disk(int mode, const Range& at) {
    if (::fallocate(file_, mode, offset_of(at.offset), offset_of(at.length)) == 0) return true;
    if (errno != EOPNOTSUPP) fail_with("fallocate", -1);
    return false;
  }
  template <class Use>
  void with_map(const Range& at, int protection, Use use) {
    const std::size_t start = at.offset & ~(kPage - 1);
    const std::size_t length = at.offset + at.length - start;
    void* const mapped = ::mmap(nullptr, length, protection, MAP_SHARED, file_, offset_of(start));
    if (mapped == MAP_FAILED) fail_with("mmap", -1);
    char* const page = static_cast<char*>(mapped);
    use(page + (at.offset - start), page, length);
    must(::munmap(mapped, length), 0);
  }
  void compare(std::size_t offset, std::size_t length) {
    std::vector<char> found(length);
    std::size_t done = 0;
    while (done < length) {
      const ssize_t count =
          ::pread(file_, found.data() + done, length - done, offset_of(offset + done));
      if (count <= 0) fail_with("pread at " + std::to_string(offset + done), count);
      done += static_cast<std::size_t>(count);
    }
    same(offset, found.data(), length);
  }
  void same(std::size_t offset, const char* found, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
      if (found[i] == expected_[offset + i]) continue;
      std::size_t last = length;
      while (found[last - 1] == expected_[offset + last - 1]) --last;
      std::fprintf(stderr, "bytes %zu to %zu differ (first: %d, expected %d)\n", offset + i,
                   offset + last, found[i], expected_[offset + i]);
      show_history();
    }
  }

  void note(const std::string& what, std::size_t offset, std::size_t length) {
    history_.push_back(std::to_string(number_++) + " " + what + " " + std::to_string(offset) +
                       " +" + std::to_string(length) + " (size " +
                       std::to_string(expected_.size()) + ")");
    if (history_.size() > kHistory) history_.pop_front();
  }
  void must(ssize_t result, std::size_t expected) {
    if (result != static_cast<ssize_t>(expected)) fail_with("the call", result);
  }
  [[noreturn]] void fail_with(const std::string& what, long result) {
    std::fprintf(stderr, "%s: %ld (%s)\n", what.c_str(), result, std::strerror(errno));
    show_history();
  }
  [[noreturn]] void show_history() {
    for (const std::string& line : history_) std::fprintf(stderr, "  %s\n", line.c_str());
    std::exit(1);
  }

  std::string path_;
  std::mt19937_64 random_;
  int file_ = -1;
  std::vector<char> expected_;
  std::deque<std::string> history_;
  std::uint64_t number_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: file_exerciser FILE OPERATIONS [SEED]\n");
    return 2;
  }
  const std::uint64_t operations = std::strtoull(arguments[2], nullptr, 10);
  const std::uint64_t seed =
      count > 3 ? std::strtoull(arguments[3], nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Exerciser exerciser(arguments[1], seed);
  for (std::uint64_t i = 0; i < operations; ++i) {
    exerciser.step();
    if (i % 1000 == 999) exerciser.look_at_all();
  }
  exerciser.look_at_all();
  std::printf("%llu operations, no difference\n", static_cast<unsigned long long>(operations));
  return 0;
}
