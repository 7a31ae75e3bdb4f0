// Fuzzes accounts.ini: reading it, and editing it in place.
//
// Beside not crashing: what was read is given back byte for byte; an edit of an accepted file leads
// to a file that is accepted too and says what was set, and changes no other account.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/accounts.h"
#include "config/ini_document.h"

namespace homefs {
namespace {

bool is_same(const Account& a, const Account& b) {
  return a.name == b.name && a.display_name == b.display_name &&
         a.password.kind == b.password.kind && a.password.text == b.password.text &&
         a.total_space == b.total_space && a.used_space == b.used_space &&
         a.files_max == b.files_max && a.disabled == b.disabled &&
         a.preserve_owners == b.preserve_owners;
}

// Changes the first account, adds one, removes the last, and looks at what came of it.
void fuzz_edit(IniDocument document, const Accounts& before) {
  AccountsEdit edit(document);
  const std::string md5(32, 'a');
  const bool is_added = edit.add("added-by-fuzzer").has_value();
  const bool has_accounts = !before.all().empty();
  if (has_accounts) {
    const std::string& first = before.all().front().name;
    HOMEFS_CHECK(edit.set_password(first, md5).has_value());
    HOMEFS_CHECK(edit.set_total_space(first, 12345).has_value());
    HOMEFS_CHECK(edit.set_disabled(first, true).has_value());
    HOMEFS_CHECK(edit.set_preserve_owners(first, false).has_value());
    if (before.all().size() > 1) HOMEFS_CHECK(edit.remove(before.all().back().name).has_value());
  }
  const std::string text = document.text();
  const Result<Accounts> after = Accounts::parse(text, "accounts.ini");
  HOMEFS_CHECK(after.has_value());
  HOMEFS_CHECK(!is_added || after->find("added-by-fuzzer") != nullptr);
  if (!has_accounts) return;
  const Account* first = after->find(before.all().front().name);
  HOMEFS_CHECK(first != nullptr && first->password.text == md5);
  HOMEFS_CHECK(first->total_space == 12345 && first->disabled && !first->preserve_owners);
  for (std::size_t i = 1; i + 1 < before.all().size(); ++i) {
    const Account* kept = after->find(before.all()[i].name);
    HOMEFS_CHECK(kept != nullptr && is_same(*kept, before.all()[i]));
  }
}

void fuzz_accounts(std::string_view text) {
  const Result<IniDocument> document = IniDocument::parse(text, "accounts.ini");
  const Result<Accounts> accounts = Accounts::parse(text, "accounts.ini");
  if (document) HOMEFS_CHECK(document->text() == text);
  if (!accounts) {
    const std::string& context = accounts.error().context;
    HOMEFS_CHECK(context.starts_with("accounts.ini:"));
    HOMEFS_CHECK(context.find_first_of("\n\x1b") == std::string::npos);
    return;
  }
  HOMEFS_CHECK(document.has_value());
  for (const Account& account : accounts->all()) {
    HOMEFS_CHECK(check_account_name(account.name).has_value());
    HOMEFS_CHECK(accounts->find(account.name) == &account);
  }
  fuzz_edit(*document, *accounts);
}

}  // namespace
}  // namespace homefs

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  homefs::fuzz_accounts({reinterpret_cast<const char*>(data), size});
  return 0;
}
