// Numbers that name things, each a type of its own so that one cannot be given for another.
#pragma once

#include <cstdint>
#include <functional>

namespace homefs {

/// A file or folder as one session calls it; chosen by the client, never used again in a session.
enum class NodeId : std::uint64_t {};
/// No node: an introduction's parent for an orphan.
inline constexpr NodeId kNoNode{0};
/// The folder that the session has mounted.
inline constexpr NodeId kRootNode{1};

/// The number of an inode of a home: st_ino. Stable over renames and restarts of the server.
enum class InodeNumber : std::uint64_t {};

constexpr std::uint64_t number_of(NodeId id) { return static_cast<std::uint64_t>(id); }
constexpr std::uint64_t number_of(InodeNumber id) { return static_cast<std::uint64_t>(id); }

}  // namespace homefs
