// FileData: the data of one file that is on its way, in either direction.
#pragma once

#include "fusefs/deferred_change.h"
#include "fusefs/read_cache.h"
#include "fusefs/write_behind.h"
#include "protocol/attributes.h"

namespace homefs {

/// Made when a file is first read or written through the mount, dropped at its last close.
struct FileData {
  Timestamp last_write;            ///< our clock at the last write that is not acknowledged
  bool is_streaming_up = false;    ///< the transfer was announced
  bool is_streaming_down = false;  ///< likewise
  bool was_closed = false;         ///< close(2), since the last write; not all need have closed it
  bool keeps_written = false;      ///< `reads` holds what was written, for after the close
  WriteQueue writes;
  DeferredChange change;
  ReadCache reads;

  /// The server does not have all that was done here yet.
  [[nodiscard]] bool is_dirty() const { return writes.is_dirty() || change.is_pending(); }
};

}  // namespace homefs
