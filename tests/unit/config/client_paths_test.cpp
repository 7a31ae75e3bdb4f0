#include "config/client_paths.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/config/temporary_folder.h"

namespace homefs {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

ClientEnvironment only_home(const std::string& home) {
  ClientEnvironment environment;
  environment.home = home;
  environment.uid = ::geteuid();
  return environment;
}

TEST(ClientPaths, FollowTheXdgVariables) {
  ClientEnvironment environment = only_home("/home/alice");
  environment.config_home = "/c";
  environment.state_home = "/s";
  environment.runtime_dir = "/run/user/1";
  const Result<ClientPaths> paths = ClientPaths::make(environment);
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_dir(), "/c/homefs");
  EXPECT_EQ(paths->profiles_dir(), "/c/homefs/profiles");
  EXPECT_EQ(paths->tokens_dir(), "/c/homefs/tokens");
  EXPECT_EQ(paths->known_servers_file(), "/c/homefs/known_servers");
  EXPECT_EQ(paths->state_dir(), "/s/homefs");
}

TEST(ClientPaths, FallBackToTheHomeAndIgnoreRelativeVariables) {
  ClientEnvironment environment = only_home("/home/alice");
  environment.config_home = "relative";
  const Result<ClientPaths> paths = ClientPaths::make(environment);
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->config_dir(), "/home/alice/.config/homefs");
  EXPECT_EQ(paths->state_dir(), "/home/alice/.local/state/homefs");
}

TEST(ClientPaths, NeedAHomeWhereTheVariablesAreMissing) {
  const Result<ClientPaths> paths = ClientPaths::make(ClientEnvironment{});
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().context, "neither XDG_CONFIG_HOME nor HOME is set to an absolute path");
}

TEST(ClientPaths, MakeTheStateFolderPrivate) {
  const TemporaryFolder folder;
  const Result<ClientPaths> paths = ClientPaths::make(only_home(folder.path().string()));
  ASSERT_TRUE(paths);
  const auto made = paths->make_state_dir("work");
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_EQ(*made, folder.file(".local/state/homefs/work"));
  EXPECT_EQ(mode_of(*made), 0700u);
  EXPECT_EQ(mode_of(folder.file(".local")), 0700u);
  EXPECT_TRUE(paths->make_state_dir("work")) << "a second time too";
}

TEST(ClientPaths, MakeAPrivateRuntimeFolderInTmpWithoutASession) {
  const TemporaryFolder folder;
  ClientEnvironment environment = only_home("/home/alice");
  environment.temporary = folder.path();
  const Result<ClientPaths> paths = ClientPaths::make(environment);
  ASSERT_TRUE(paths);
  const auto made = paths->make_runtime_dir();
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_EQ(*made, folder.file("homefs-" + std::to_string(::geteuid())));
  EXPECT_EQ(mode_of(*made), 0700u);
  EXPECT_TRUE(paths->make_runtime_dir());

  ASSERT_EQ(::chmod(made->c_str(), 0750), 0);
  EXPECT_EQ(paths->make_runtime_dir().error().status, Status::kAccessDenied);
}

TEST(ClientPaths, RefuseARuntimeFolderThatSomebodyElsePlanted) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  ClientEnvironment environment = only_home("/home/alice");
  environment.temporary = folder.path();
  const auto name = "homefs-" + std::to_string(::geteuid());
  std::filesystem::create_directory_symlink(elsewhere.path(), folder.file(name));
  EXPECT_EQ(ClientPaths::make(environment)->make_runtime_dir().error().status,
            Status::kAccessDenied);

  environment.uid = ::geteuid() + 1;  // The folder made below belongs to another user then.
  EXPECT_EQ(ClientPaths::make(environment)->make_runtime_dir().error().status,
            Status::kAccessDenied);
}

TEST(ClientPaths, ExpandATildeAndNothingElse) {
  const ClientPaths paths = *ClientPaths::make(only_home("/home/alice"));
  EXPECT_EQ(paths.expand("~"), "/home/alice");
  EXPECT_EQ(paths.expand("~/Remote"), "/home/alice/Remote");
  EXPECT_EQ(paths.expand("~//x"), "/home/alice/x");
  EXPECT_EQ(paths.expand("~bob/x"), "~bob/x");
  EXPECT_EQ(paths.expand("/a/~"), "/a/~");
  EXPECT_EQ(paths.expand(""), "");
}

TEST(ClientPaths, RefuseAFileInTheWay) {
  const TemporaryFolder folder;
  folder.write("file", "");
  EXPECT_EQ(make_private_folder(folder.file("file")).error().status, Status::kNotDirectory);
  EXPECT_EQ(make_private_folder(folder.file("file/x")).error().status, Status::kNotDirectory);
}

TEST(ClientPaths, OfTheProcessHaveAHome) {
  EXPECT_TRUE(ClientPaths::make(ClientEnvironment::of_process()));
}

}  // namespace
}  // namespace homefs
