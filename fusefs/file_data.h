// FileData: the data of one file that is on its way, in either direction.
#pragma once

#include "fusefs/read_cache.h"
#include "fusefs/write_behind.h"
#include "protocol/attributes.h"

namespace homefs {

/// Made when a file is first read or written through the mount, dropped at its last close.
struct FileData {
  Timestamp last_write;            ///< our clock at the last write that is not acknowledged
  bool is_streaming_up = false;    ///< the transfer was announced
  bool is_streaming_down = false;  ///< likewise
  WriteQueue writes;
  ReadCache reads;
};

}  // namespace homefs
