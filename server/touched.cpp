#include "server/touched.h"

#include <algorithm>
#include <utility>

namespace homefs {

void Touched::entry(const InodeRef& folder, const Name& name, InodeNumber target) {
  const InodeNumber number = folder->number();
  const auto known = std::ranges::find_if(entries_, [&](const Change& change) {
    return change.inode == number && change.name == name.text();
  });
  if (known != entries_.end()) {
    known->target = target;
    return;
  }
  entries_.push_back({.inode = number, .name = name.text(), .target = target});
  inodes_.push_back(folder);
}

void Touched::note(const InodeRef& inode, Change change) {
  const auto known = std::ranges::find(others_, change.inode, &Change::inode);
  if (known == others_.end()) {
    others_.push_back(std::move(change));
    inodes_.push_back(inode);
  } else if (change.has_data) {
    *known = std::move(change);
  }
}

void Touched::sized(const Inode& inode, std::uint64_t size) {
  const auto known = std::ranges::find(others_, inode.number(), &Change::inode);
  if (known != others_.end() && known->has_data) known->size = size;
}

std::vector<Change> Touched::changes() const {
  std::vector<Change> all = entries_;
  all.insert(all.end(), others_.begin(), others_.end());
  return all;
}

bool is_refusal(Status status) {
  switch (status) {
    case Status::kNoSuchFile:
    case Status::kExists:
    case Status::kNotDirectory:
    case Status::kIsDirectory:
    case Status::kNotEmpty:
    case Status::kNotPermitted:
    case Status::kAccessDenied:
    case Status::kNameTooLong:
    case Status::kInvalid:
    case Status::kNotSupported:
    case Status::kNoAttribute:
    case Status::kTooManyLinks:
    case Status::kReadOnly:
    case Status::kCrossDevice:
    case Status::kAttributeTooBig:
    case Status::kBusy:
    case Status::kTextBusy:
    case Status::kLoop:
      return true;
    default:
      return false;
  }
}

}  // namespace homefs
