#include "server/inode.h"

#include "server/inode_table.h"

namespace homefs {

Inode::~Inode() { table_.destroyed(*this); }

}  // namespace homefs
