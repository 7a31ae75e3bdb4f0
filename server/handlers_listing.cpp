// LIST: a page of one folder, and as many whole folders below it as the answer has room for, so
// that a walk over a tree costs few round trips.

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include "server/handlers.h"
#include "server/inode_table.h"

namespace homefs::handlers {
namespace {

// What an entry takes on the wire beside its strings, and a folder beside its entries.
const std::size_t kEntryBytes = encode_fields(ListedEntry{}).size();
const std::size_t kFolderBytes = encode_fields(ListReply{.folders = {ListedFolder{}}}).size();

/// Folders below that were read and did not fit before the answer is sent as it is: each costs
/// reading its names for nothing.
constexpr std::size_t kMissesMax = 16;

std::size_t bytes_of(const ListedEntry& entry) {
  return kEntryBytes + entry.name.size() + entry.target.size();
}

/// A folder whose entries may yet be added to the answer.
struct Below {
  InodeRef parent;
  std::string name;
  Attributes attributes;
};

void add_folders_of(const ListedFolder& listed, const InodeRef& folder, std::deque<Below>& queue) {
  for (const ListedEntry& entry : listed.entries) {
    if (!S_ISDIR(entry.attributes.mode) || queue.size() >= kFoldersPerListMax) continue;
    queue.push_back({.parent = folder, .name = entry.name, .attributes = entry.attributes});
  }
}

// Errors that another entry, or another try, would have as well.
bool is_for_all(Status status) {
  return status == Status::kTooManyOpen || status == Status::kNoMemory;
}

// The entries from `index` on that fit into `bytes_max`, at least one. Moves `index` behind them.
Result<std::size_t> add_entries(Home& home, const disk::FdRef& folder,
                                const std::vector<FolderEntry>& entries, std::size_t& index,
                                std::size_t bytes_max, ListedFolder& listed) {
  std::size_t bytes = kFolderBytes;
  for (; index < entries.size(); ++index) {
    const bool is_first = listed.entries.empty();
    if (!is_first && bytes + kEntryBytes + entries[index].name.size() > bytes_max) break;
    auto entry = home.stat_entry(folder, entries[index]);
    // It went meanwhile; or the disk cannot say what it is, which must not hide the others.
    if (!entry && !is_for_all(entry.error().status)) continue;
    if (!entry) return std::unexpected(entry.error());
    if (!is_first && bytes + bytes_of(*entry) > bytes_max) break;
    bytes += bytes_of(*entry);
    listed.entries.push_back(*std::move(entry));
  }
  return bytes;
}

struct Page {
  ListedFolder listed;
  std::size_t bytes = 0;
};

// The page of `folder` at `cursor`. The attributes are older than the entries, never newer.
Result<Page> page_of(HandlerContext& context, const InodeRef& folder, std::uint64_t cursor,
                     std::size_t bytes_max) {
  const auto descriptor = context.home.open_folder(folder);
  if (!descriptor) return std::unexpected(descriptor.error());
  const auto attributes = context.home.getattr(folder);
  if (!attributes) return std::unexpected(attributes.error());
  Page page{.listed = {.folder = *attributes}};
  ListingSnapshots::Position position;
  if (cursor != 0) {
    position = context.listings.find(folder->number(), cursor);
    if (position.entries == nullptr) return fail(Status::kStale, "the listing is gone");
  } else {
    auto entries = context.home.read_folder(*descriptor, std::numeric_limits<std::size_t>::max());
    if (!entries) return std::unexpected(entries.error());
    position.entries = std::make_shared<const std::vector<FolderEntry>>(*std::move(entries));
  }
  std::size_t index = position.index;
  const auto bytes =
      add_entries(context.home, *descriptor, *position.entries, index, bytes_max, page.listed);
  if (!bytes) return std::unexpected(bytes.error());
  page.bytes = *bytes;
  const bool is_complete = index == position.entries->size();
  if (is_complete && cursor != 0) context.listings.drop(cursor);
  if (!is_complete) {
    page.listed.next_cursor =
        cursor != 0 ? ListingSnapshots::cursor_at(cursor, index)
                    : context.listings.keep(folder->number(), position.entries, index);
  }
  return page;
}

// The whole of a folder below, if it fits into `bytes_max`.
std::optional<Page> whole_of(Home& home, const InodeRef& folder, const Attributes& attributes,
                             std::size_t bytes_max) {
  const auto descriptor = home.open_folder(folder);
  if (!descriptor) return {};
  const auto entries = home.read_folder(*descriptor, bytes_max);
  if (!entries || kFolderBytes + entries->size() * kEntryBytes > bytes_max) return {};
  Page page{.listed = {.folder = attributes}};
  std::size_t index = 0;
  const auto bytes = add_entries(home, *descriptor, *entries, index, bytes_max, page.listed);
  if (!bytes || index < entries->size() || *bytes > bytes_max) return {};
  page.bytes = *bytes;
  return page;
}

// Breadth first. Below a folder that did not fit nothing is listed: the client would not know
// where it belongs.
void add_below(HandlerContext& context, const InodeRef& top, std::size_t bytes_left,
               ListReply& reply) {
  std::deque<Below> queue;
  add_folders_of(reply.folders.front(), top, queue);
  std::size_t misses = 0;
  while (!queue.empty() && misses < kMissesMax && bytes_left >= kFolderBytes &&
         reply.folders.size() < kFoldersPerListMax) {
    const Below below = std::move(queue.front());
    queue.pop_front();
    const auto name = Name::make(below.name);
    const auto entry = name ? context.home.lookup(below.parent, *name)
                            : Result<Entry>(std::unexpected(name.error()));
    // Another folder may have the name by now.
    if (!entry || entry->inode->number() != below.attributes.inode) continue;
    auto page = whole_of(context.home, entry->inode, below.attributes, bytes_left);
    if (!page) {
      ++misses;
      continue;
    }
    bytes_left -= page->bytes;
    add_folders_of(page->listed, entry->inode, queue);
    reply.folders.push_back(std::move(page->listed));
  }
}

}  // namespace

Reply list(HandlerContext& context, const ListRequest& request) {
  const auto folder = context.nodes.find(request.folder);
  if (!folder) return error_reply(folder.error());
  const std::size_t bytes_max = std::min<std::size_t>(request.bytes_max, kPayloadBytesMax);
  auto page = page_of(context, *folder, request.cursor, bytes_max);
  if (!page) return error_reply(page.error());
  const bool is_complete = page->listed.next_cursor == 0;
  const std::size_t bytes_left = kPayloadBytesMax - std::min(page->bytes, kPayloadBytesMax);
  ListReply reply;
  reply.folders.push_back(std::move(page->listed));
  if (is_complete && request.bytes_below > 0) {
    add_below(context, *folder, std::min<std::size_t>(request.bytes_below, bytes_left), reply);
  }
  return reply_with(reply);
}

}  // namespace homefs::handlers
