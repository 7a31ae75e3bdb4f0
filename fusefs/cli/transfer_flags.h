// The flags that put, get and verify have in common.
//
// Owner: the command. Executor: the main thread. Blocks: never.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "fusefs/transfer/path_filter.h"
#include "fusefs/transfer/transfer_options.h"

namespace homefs {

struct TransferFlags {
  bool is_recursive = false;
  bool is_dry = false;
  bool is_quiet = false;
  bool is_json = false;
  bool compares_contents = false;
  unsigned jobs = 2;
  std::string limit;
  CLI::App* app = nullptr;
  CLI::Option* include = nullptr;
  CLI::Option* exclude = nullptr;

  /// --include, --exclude, -q, --json.
  void declare_common(CLI::App& command);
  /// The rest.
  void declare_transfer(CLI::App& command);
  /// The patterns in the order in which they were given. Call after parsing.
  [[nodiscard]] PathFilter filter() const;
  /// Errors: kInvalid for a limit that is no size.
  [[nodiscard]] Result<TransferOptions> options() const;
};

}  // namespace homefs
