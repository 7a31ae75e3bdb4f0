#include "fusefs/cli/arguments.h"

#include <gtest/gtest.h>

#include <sstream>

namespace homefs {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

std::string normalized(const std::string& program, const std::string& arguments) {
  const std::vector<std::string> commands{"mount", "umount", "status", "shell"};
  std::string text;
  for (const std::string& word : normalize_arguments(program, words(arguments), commands)) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

struct Case {
  const char* program;
  const char* given;
  const char* expected;
};

TEST(NormalizeArguments, BringsEveryFormIntoOne) {
  const Case cases[] = {
      {"homefs", "mount a@b /m", "mount a@b /m"},
      {"homefs", "status --json", "status --json"},
      {"homefs", "", ""},
      {"homefs", "--help", "--help"},
      {"homefs", "--version", "--version"},
      // Flags before the command, as the older system's client had them.
      {"homefs", "-s h -P 1 -u a status", "status -s h -P 1 -u a"},
      {"homefs", "-s mount -u a status", "status -s mount -u a"},
      {"homefs", "-s h -P 1 -u a -p x", "shell -s h -P 1 -u a -p x"},
      // As sshfs, and as mount(8) and its generic helper call it.
      {"homefs", "a@b:/ /m", "mount a@b:/ /m"},
      {"homefs", "a@b:/ /m -o ro,soft", "mount a@b:/ /m -o ro,soft"},
      {"homefs", "a@b:/ /m -n -v -s -t fuse.homefs -o ro", "mount a@b:/ /m -o ro"},
      {"homefs", "homefs#a@b /m -f", "mount homefs#a@b /m -f"},
      {"homefs", "a@b", "mount a@b"},
      {"homefs", "--profile files -f", "shell --profile files -f"},
      {"homefs", "-f --profile files /m", "mount -f --profile files /m"},
      {"/sbin/mount.fuse.homefs", "a@b:/ /m -o rw,setuid=a -n", "mount a@b:/ /m -o rw,setuid=a"},
      {"mount.homefs", "status /m", "mount status /m"},
      // A word that is neither stays what it is, and is told of by the parser.
      {"homefs", "statsu", "statsu"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(normalized(each.program, each.given), each.expected) << each.given;
  }
}

}  // namespace
}  // namespace homefs
