// What a change is about to do to the disk, and what came of it: enough to find out after a kill of
// the server whether it was done, to finish what cannot be left half done, and to answer it.
//
// Both are written down by Home while the lock is held under which the change is made (names_mutex,
// or the inode's size lock), so that of the changes of one kind of lock at most one is in doubt,
// and nothing came after it on what it is about.
//
// Executor: values. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "protocol/attributes.h"
#include "protocol/messages.h"
#include "protocol/result.h"

namespace homefs {

enum class ChangeKind : std::uint8_t {
  kMake,         ///< create, mkdir, mknod, symlink
  kLink,         ///< link
  kRemove,       ///< unlink, rmdir
  kRename,       ///< with or without a target that is replaced
  kExchange,     ///< rename with kExchange
  kSetattr,      ///< setattr
  kSetxattr,     ///< setxattr
  kRemovexattr,  ///< removexattr
  kAppend,       ///< append
  kCopy,         ///< copy
  kFallocate,    ///< fallocate
};

/// An inode, and where it was. No path: it is the root, an orphan, or too deep; the root is known
/// by its number, and others are looked for.
struct KnownInode {
  std::uint64_t number = 0;
  std::int64_t birth_ns = 0;
  std::uint32_t type = 0;  ///< S_IFMT bits, of the disk
};

/// The part of the facts that has no texts: kept as it is in memory.
struct ChangeNumbers {
  ChangeKind kind{};
  KnownInode at;               ///< the folder; without a name in it: the inode
  KnownInode to;               ///< rename: the other folder; copy: the source
  std::uint64_t subject = 0;   ///< the inode under `name`, or to be linked; none: 0
  std::uint64_t replaced = 0;  ///< the inode under `new_name`
  Attributes before;           ///< remove: of what is removed; rename: of what is replaced
  std::uint32_t mode = 0;      ///< make: the true one
  bool is_whole = false;       ///< make: in the whole form (file_mode.h)
  SetattrRequest setattr;      ///< setattr
  std::uint64_t size = 0;      ///< append: before; else of the file that is changed
  std::uint64_t offset = 0;    ///< copy, fallocate: in the file that is changed
  std::uint64_t source_offset = 0;
  std::uint64_t length = 0;
  std::uint64_t value_hash = 0;  ///< setxattr
  int flags = 0;                 ///< fallocate: of the system call
};
static_assert(std::is_trivially_copyable_v<ChangeNumbers>);

struct ChangeFacts {
  ChangeNumbers numbers;
  std::string path;      ///< of `at`, from the root of the home
  std::string name;      ///< in `at`; or of an xattr
  std::string to_path;   ///< of `to`
  std::string new_name;  ///< in `to`
};

/// What came of it, as the reply says it.
struct ChangeOutcome {
  Attributes attributes;
  Attributes parent;
  Attributes new_parent;
  Attributes other;
  bool has_other = false;
  std::uint64_t number = 0;  ///< append: the offset; copy: the length
};
static_assert(std::is_trivially_copyable_v<ChangeOutcome>);

/// Longer paths are not written down.
inline constexpr std::size_t kFactsPathBytesMax = 4096;
/// All that encode_facts() may need.
inline constexpr std::size_t kFactsBytesMax =
    sizeof(ChangeNumbers) + 2 * (kFactsPathBytesMax + 2) + 2 * (255 + 2);

/// Returns the bytes used. Precondition: `out` has kFactsBytesMax.
std::size_t encode_facts(const ChangeFacts& facts, std::span<std::byte> out);
/// Nothing for what encode_facts() does not make.
std::optional<ChangeFacts> decode_facts(std::span<const std::byte> bytes);

/// A hash of a value of an xattr; also the checksum of what is kept in files.
std::uint64_t hash_of(std::span<const std::byte> bytes);

/// Where facts and outcome go. One change at a time. Executor: the thread that makes the change.
class ChangeJournal {
 public:
  virtual ~ChangeJournal() = default;
  /// The disk is about to be changed.
  virtual void about_to(const ChangeFacts& facts) = 0;
  /// It was changed. Precondition: about_to().
  virtual void came_to(const ChangeOutcome& outcome) = 0;
  /// It was not, after all.
  virtual void withdraw() = 0;
};

/// The writing down around one change of the disk: about_to() before it, came_to() or, on every
/// other way out, withdraw() after it.
class ChangeStep {
 public:
  /// `make_facts` is called when there is a journal: not for what is outside of the sequence.
  template <class MakeFacts>
  ChangeStep(ChangeJournal* journal_or_null, MakeFacts make_facts) : journal_(journal_or_null) {
    if (journal_ == nullptr) return;
    begin(make_facts());
  }
  ~ChangeStep() {
    if (journal_ != nullptr) journal_->withdraw();
  }
  ChangeStep(const ChangeStep&) = delete;
  ChangeStep& operator=(const ChangeStep&) = delete;

  /// It is done, and the lock still held.
  void finish(const ChangeOutcome& outcome);

 private:
  void begin(const ChangeFacts& facts);

  ChangeJournal* journal_;
};

}  // namespace homefs
