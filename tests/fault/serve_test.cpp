// A server and hand-made clients: logins, changes, resends, several sessions of one home.

#include <gtest/gtest.h>

#include "protocol/messages.h"
#include "tests/support/server/test_server.h"
#include "tests/support/test_client.h"

namespace homefs {
namespace {

using testing::TestClient;
using testing::TestLogin;
using testing::TestServer;

TestLogin alice(const std::string& client_id = "laptop") {
  return {.user = "alice", .secret = "wonderland", .finish = {.client_id = client_id}};
}

MkdirRequest mkdir_of(const std::string& name, std::uint64_t node) {
  return {.parent = kRootNode, .name = name, .node = NodeId{node}, .mode = 0755};
}

class ServeTest : public ::testing::Test {
 protected:
  void SetUp() override { server_.add_user("alice", "wonderland"); }

  TestServer server_;
};

TEST_F(ServeTest, LogsInAndMakesAFolder) {
  TestClient client(server_.port());
  EXPECT_EQ(client.fingerprint(), server_.server().fingerprint());
  const auto session = client.log_in(alice());
  ASSERT_TRUE(session) << session.error().message();
  const auto made = client.ask<EntryReply>(Op::kMkdir, mkdir_of("photos", 2), /*seq=*/1);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(std::filesystem::is_directory(server_.home_of("alice") / "photos"));
  const auto root = client.ask<AttributesReply>(Op::kGetattr, NodeRequest{kRootNode});
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(number_of(root->attributes.inode), session->home.root_inode);
}

TEST_F(ServeTest, RefusesAWrongPassword) {
  TestClient client(server_.port());
  TestLogin login = alice();
  login.secret = "looking-glass";
  const auto session = client.log_in(login);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().status, Status::kLoginRefused);
  EXPECT_TRUE(client.wait_closed());
}

}  // namespace
}  // namespace homefs
