// The server's key as commands deal with it: looking it up, pinning it, and telling the person what
// a failed connection means.
//
// Executor: the main thread. Blocks: on the disk.
#pragma once

#include <string>
#include <string_view>

#include "config/client_paths.h"
#include "config/target.h"
#include "protocol/result.h"

namespace homefs {

/// "SHA256:base64", as TLS says it, of either form: that one, or "sha256:hex" as files have it.
/// Errors: kInvalid.
Result<std::string> normalize_fingerprint(std::string_view text);

/// The key that is pinned for the server, "SHA256:..."; empty when it is not known. Errors: those
/// of the file.
Result<std::string> pinned_fingerprint(const ClientPaths& paths, const Target& target);

/// Pins the key of a server that was not known; does nothing for one that is.
Result<> remember_server(const ClientPaths& paths, const Target& target,
                         const std::string& fingerprint);

/// What to say, in one line, when connecting has failed: what happened and what to do about it.
[[nodiscard]] std::string explain_connect_error(const Error& error, const Target& target,
                                                const ClientPaths& paths);

}  // namespace homefs
