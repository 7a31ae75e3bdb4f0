#include "fusefs/cli/transfer_flags.h"

#include <map>

#include "config/size.h"

namespace homefs {

void TransferFlags::declare_common(CLI::App& command) {
  app = &command;
  include = command.add_option("--include", "what fits is meant, whatever later patterns say")
                ->type_name("PATTERN")
                ->expected(1)
                ->take_all()
                ->allow_extra_args(false);
  exclude =
      command.add_option("--exclude", "what fits is left out; a folder with all that is in it")
          ->type_name("PATTERN")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
  command.add_flag("-q,--quiet", is_quiet, "say only what fails");
  command.add_flag("--json", is_json, "print the result as JSON");
}

void TransferFlags::declare_transfer(CLI::App& command) {
  declare_common(command);
  command.add_flag("-r,-R,--recursive", is_recursive, "folders with all that is in them");
  command.add_flag("-n,--dry-run", is_dry, "only say what would be done");
  command.add_flag("-c,--checksum", compares_contents,
                   "tell by MD5 what has changed, instead of by size and time");
  command.add_option("--limit", limit, "at most so much a second, as 500K or 10M")
      ->type_name("RATE");
  command.add_option("-j,--jobs", jobs, "large files at a time")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, 16));
}

PathFilter TransferFlags::filter() const {
  PathFilter filter;
  std::map<const CLI::Option*, std::size_t> taken;
  for (const CLI::Option* option : app->parse_order()) {
    if (option != include && option != exclude) continue;
    filter.add(option->results().at(taken[option]++), option == include);
  }
  return filter;
}

Result<TransferOptions> TransferFlags::options() const {
  TransferOptions options{.compares_contents = compares_contents, .jobs = jobs};
  if (limit.empty()) return options;
  const auto rate = parse_size(limit);
  if (!rate) return fail(Status::kInvalid, "--limit: " + rate.error().context);
  options.bytes_per_second = *rate;
  return options;
}

}  // namespace homefs
