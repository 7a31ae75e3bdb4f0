// Home::Growth: a change that may alter the size of a file, alone with it, and what it reserved.
// Private to Home's files.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "server/home.h"
#include "server/quota.h"
#include "server/usage_scan.h"

namespace homefs {

struct Home::Growth {
  const Actor& actor;
  InodeRef inode;
  disk::FdRef file;
  std::unique_lock<std::shared_mutex> size_lock;
  std::shared_lock<std::shared_mutex> source_lock;  ///< of the file that is copied from, if any
  UsageScan::Change change;
  disk::Stat before;  ///< a true one
  std::optional<Reservation> reservation;
  std::uint64_t size_reserved = 0;  ///< what the file may have with it

  [[nodiscard]] int fd() const { return file->get(); }
  [[nodiscard]] std::uint64_t size() const { return before.attributes.size; }
};

}  // namespace homefs
