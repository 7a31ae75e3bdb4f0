// Whose the files are, as seen through the mount.
#pragma once

namespace homefs {

enum class IdMap {
  kUser,  ///< everything belongs to the user who mounts
  kNone,  ///< the server's numbers, where the account preserves them
};

}  // namespace homefs
