// SimDisk: what is on the disk of a simulated server: homes, sessions, database, accounts. It has
// one account, whose home has a folder for each history.
//
// Owner: the test. Executor: the test's thread. Blocks: on the disk.
#pragma once

#include <filesystem>
#include <memory>

namespace homefs {
class AccountsFile;
class StateDb;
class UsageStore;
struct Account;
}  // namespace homefs

namespace homefs::test {

class SimDisk {
 public:
  /// `root` is there, and empty.
  explicit SimDisk(const std::filesystem::path& root);
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  [[nodiscard]] const std::filesystem::path& root() const;
  [[nodiscard]] std::filesystem::path homes() const { return root() / "homes"; }
  [[nodiscard]] std::filesystem::path home() const;
  [[nodiscard]] const Account& account() const;
  [[nodiscard]] AccountsFile& accounts() const;
  [[nodiscard]] StateDb& state() const;
  [[nodiscard]] std::shared_ptr<UsageStore> usage() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace homefs::test
