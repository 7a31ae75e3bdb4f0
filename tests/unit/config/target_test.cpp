#include "config/target.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

struct Good {
  const char* text;
  Target target;
  const char* shortest;
};

TEST(Target, ReadsEveryForm) {
  const Good kRows[] = {
      {"host", {"", "host", 7070, ""}, "host"},
      {"alice@Files.Example.ORG",
       {"alice", "files.example.org", 7070, ""},
       "alice@files.example.org"},
      {"host:7071", {"", "host", 7071, ""}, "host:7071"},
      {"host:7070", {"", "host", 7070, ""}, "host"},
      {"host/a/b", {"", "host", 7070, "a/b"}, "host/a/b"},
      {"host//a///b/", {"", "host", 7070, "a/b"}, "host/a/b"},
      {"host/a:b@c", {"", "host", 7070, "a:b@c"}, "host/a:b@c"},
      {"alice@nas:/", {"alice", "nas", 7070, ""}, "alice@nas"},
      {"alice@nas:/work", {"alice", "nas", 7070, "work"}, "alice@nas/work"},
      {"alice@192.0.2.1:1/x", {"alice", "192.0.2.1", 1, "x"}, "alice@192.0.2.1:1/x"},
      {"[::1]", {"", "::1", 7070, ""}, "[::1]"},
      {"a.b-c_d@[2001:DB8::1]:65535/x y",
       {"a.b-c_d", "2001:db8::1", 65535, "x y"},
       "a.b-c_d@[2001:db8::1]:65535/x y"},
      {"[fe80::1%Eth0]:1", {"", "fe80::1%Eth0", 1, ""}, "[fe80::1%Eth0]:1"},
      {"host_1.lan.", {"", "host_1.lan.", 7070, ""}, "host_1.lan."},
  };
  for (const Good& row : kRows) {
    const Result<Target> target = parse_target(row.text);
    ASSERT_TRUE(target) << row.text << ": " << target.error().context;
    EXPECT_EQ(*target, row.target) << row.text;
    EXPECT_EQ(target->text(), row.shortest);
    EXPECT_EQ(parse_target(target->text()), *target) << row.text;
  }
}

struct Bad {
  std::string text;
  std::string error;
};

TEST(Target, NamesThePartThatIsWrong) {
  const std::string kHost = "expected a host name or a numeric address, found ";
  const std::string kPort = "expected a port from 1 to 65535, found ";
  const Bad kRows[] = {
      {"", kHost + "\"\""},
      {"/sub", kHost + "\"\""},
      {"alice@", kHost + "\"\""},
      {"a..b", kHost + "\"a..b\""},
      {"-host", kHost + "\"-host\""},
      {"ho st", kHost + "\"ho st\""},
      {std::string(64, 'a'), kHost + "\"" + std::string(64, 'a') + "\""},
      {"host:0", kPort + "\"0\""},
      {"host:65536", kPort + "\"65536\""},
      {"host:70a", kPort + "\"70a\""},
      {"host:-1", kPort + "\"-1\""},
      {"::1", "an IPv6 address needs brackets around it: [\"::1\"]"},
      {"[::1", "no ] after the address in \"[::1\""},
      {"[host]", "expected an IPv6 address in brackets, found \"host\""},
      {"[::1]x", "expected :PORT after the address, found \"x\""},
      {"[fe80::1%]", "expected an IPv6 address in brackets, found \"fe80::1%\""},
      {"host/../x", "the folder \"..\" cannot be part of a path"},
      {"host/a/./x", "the folder \".\" cannot be part of a path"},
      {"@host",
       "expected a name of 1 to 64 letters, digits, '.', '_' or '-' that does not begin with '.' "
       "or '-', found \"\""},
      {"a@b@host",
       "expected a name of 1 to 64 letters, digits, '.', '_' or '-' that does not begin with '.' "
       "or '-', found \"a@b\""},
  };
  for (const Bad& row : kRows) {
    const Result<Target> target = parse_target(row.text);
    ASSERT_FALSE(target) << row.text;
    EXPECT_EQ(target.error().status, Status::kInvalid);
    EXPECT_EQ(target.error().context, row.error) << row.text;
  }
  EXPECT_EQ(parse_target("host/" + std::string(256, 'x')).error().status, Status::kNameTooLong);
  EXPECT_EQ(parse_target(std::string("host/a\0b", 8)).error().status, Status::kInvalid);
}

TEST(Target, NamesItsServerAsKnownServersDoes) {
  EXPECT_EQ(parse_target("a@host/x")->server(), "host:7070");
  EXPECT_EQ(parse_target("[::1]:80")->server(), "[::1]:80");
}

}  // namespace
}  // namespace homefs
