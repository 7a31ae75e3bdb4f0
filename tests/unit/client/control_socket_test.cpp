#include "fusefs/control_socket.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace homefs {
namespace {

class ControlSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/homefs-control-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "mount.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(ControlSocketTest, AnswersWithWhatItsProvidersSay) {
  const auto socket = ControlSocket::listen(path_);
  ASSERT_TRUE(socket);
  (*socket)->add_status("one", [] { return nlohmann::json{{"value", 1}}; });
  (*socket)->add_status("two", [] { return nlohmann::json{{"text", "\xff"}}; });
  const auto status = ask_control(path_, {{"ask", "status"}});
  ASSERT_TRUE(status);
  EXPECT_EQ((*status)["one"]["value"], 1);
  EXPECT_TRUE(status->contains("two")) << "also what is not UTF-8 is sent";
  (*socket)->remove_status("one");
  EXPECT_FALSE(ask_control(path_, {{"ask", "status"}})->contains("one"));
}

TEST_F(ControlSocketTest, SaysThatItDoesNotUnderstand) {
  const auto socket = ControlSocket::listen(path_);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(ask_control(path_, {{"ask", "coffee"}})->contains("error"));
  EXPECT_TRUE(ask_control(path_, nlohmann::json::array())->contains("error"));
}

TEST_F(ControlSocketTest, KeepsASecondDaemonAway) {
  const auto socket = ControlSocket::listen(path_);
  ASSERT_TRUE(socket);
  EXPECT_EQ(ControlSocket::listen(path_).error().status, Status::kBusy);
}

TEST_F(ControlSocketTest, ReplacesWhatAKilledDaemonHasLeft) {
  const int left = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(left, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(left);
  EXPECT_EQ(ask_control(path_, {{"ask", "status"}}).error().status, Status::kDisconnected);
  const auto socket = ControlSocket::listen(path_);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(ask_control(path_, {{"ask", "status"}}));
}

TEST_F(ControlSocketTest, TakesItsFileAwayAtTheEnd) {
  {
    const auto socket = ControlSocket::listen(path_);
  }
  EXPECT_EQ(ask_control(path_, {{"ask", "status"}}).error().status, Status::kNoSuchFile);
}

}  // namespace
}  // namespace homefs
