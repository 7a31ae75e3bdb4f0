// Where the reply to a request goes: the connection that asked last, under the tag it used.
//
// Owner: a value. Executor: any. Blocks: never.
#pragma once

#include <memory>

#include "protocol/frame.h"

namespace homefs {

class Connection;

struct ReplyTarget {
  std::weak_ptr<Connection> connection;  ///< empty once it is gone: nobody waits there any more
  FrameHeader request;
};

}  // namespace homefs
