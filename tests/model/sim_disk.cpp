#include "tests/model/sim_disk.h"

#include <fstream>
#include <utility>

#include "config/accounts_file.h"
#include "server/state_db.h"
#include "server/usage_store.h"

namespace homefs::test {

struct SimDisk::Parts {
  explicit Parts(const std::filesystem::path& root_in)
      : root(root_in), accounts(root / "accounts.ini", {.on_problem = nullptr}) {}

  const std::filesystem::path root;
  const Account account{.name = "simulated"};
  AccountsFile accounts;
  std::unique_ptr<StateDb> state;
  std::shared_ptr<UsageStore> usage = std::make_shared<MemoryUsageStore>();
};

SimDisk::SimDisk(const std::filesystem::path& root) : parts_(std::make_unique<Parts>(root)) {
  std::ofstream(root / "accounts.ini") << "[" << account().name << "]\n";
  std::filesystem::create_directories(home());
  auto state = StateDb::open(root / "state.db");
  HOMEFS_CHECK(state.has_value());
  parts_->state = *std::move(state);
  // Nothing is there yet: no thread has to count it.
  HOMEFS_CHECK(usage()->save({.usage = {}, .is_clean = true}).has_value());
}

SimDisk::~SimDisk() = default;

const std::filesystem::path& SimDisk::root() const { return parts_->root; }
std::filesystem::path SimDisk::home() const { return homes() / account().name; }
const Account& SimDisk::account() const { return parts_->account; }
AccountsFile& SimDisk::accounts() const { return parts_->accounts; }
StateDb& SimDisk::state() const { return *parts_->state; }
std::shared_ptr<UsageStore> SimDisk::usage() const { return parts_->usage; }

}  // namespace homefs::test
