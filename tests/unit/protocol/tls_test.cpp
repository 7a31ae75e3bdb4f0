#include "protocol/tls.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include "tests/unit/protocol/channel_fixture.h"

namespace homefs::testing {
namespace {

std::string text_of_file(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

class TlsIdentityTest : public ::testing::Test {
 protected:
  TlsIdentityTest() {
    std::string name = ::testing::TempDir() + "homefs-identity-XXXXXX";
    HOMEFS_CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    key_ = folder_ / "key.pem";
    cert_ = folder_ / "cert.pem";
  }
  ~TlsIdentityTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }

  std::filesystem::path folder_;
  std::filesystem::path key_;
  std::filesystem::path cert_;
};

TEST_F(TlsIdentityTest, IsMadePrivateAndUsable) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  EXPECT_EQ(file_count(), 2u);
  struct stat status{};
  ASSERT_EQ(::stat(key_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  const auto server = TlsContext::server(key_, cert_);
  ASSERT_TRUE(server) << server.error().message();
  EXPECT_TRUE(server->is_server());
  EXPECT_EQ(server->fingerprint(), *fingerprint_of_certificate(cert_));
  EXPECT_TRUE(server->fingerprint().starts_with("SHA256:"));
  EXPECT_EQ(server->fingerprint().size(), 7u + 43u);
}

TEST_F(TlsIdentityTest, IsNeverOverwritten) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  const std::string key = text_of_file(key_);
  const std::string cert = text_of_file(cert_);
  ASSERT_TRUE(make_server_identity(key_, cert_));
  EXPECT_EQ(text_of_file(key_), key);
  EXPECT_EQ(text_of_file(cert_), cert);
}

TEST_F(TlsIdentityTest, KeepsTheKeyWhenTheCertificateIsMadeAgain) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  const std::string fingerprint = *fingerprint_of_certificate(cert_);
  std::filesystem::remove(cert_);
  ASSERT_TRUE(make_server_identity(key_, cert_));
  EXPECT_EQ(*fingerprint_of_certificate(cert_), fingerprint);
}

TEST_F(TlsIdentityTest, RefusesACertificateWithoutItsKey) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  std::filesystem::remove(key_);
  const auto made = make_server_identity(key_, cert_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().status, Status::kConfigError);
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(TlsIdentityTest, SaysWhyItCannotBeMade) {
  const auto made = make_server_identity(folder_ / "absent" / "key", folder_ / "absent" / "cert");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().status, Status::kConfigError);
  EXPECT_NE(made.error().context.find("absent"), std::string::npos);
}

TEST_F(TlsIdentityTest, IsTheSameForServersThatStartAtOnce) {
  std::vector<std::thread> starters;
  std::atomic<int> made{0};
  for (int i = 0; i < 4; ++i) {
    starters.emplace_back([&] { made += make_server_identity(key_, cert_).has_value() ? 1 : 0; });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_EQ(made, 4);
  EXPECT_TRUE(TlsContext::server(key_, cert_));
  EXPECT_EQ(file_count(), 2u);
}

TEST_F(TlsIdentityTest, RefusesAKeyThatEverybodyCanRead) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  ASSERT_EQ(::chmod(key_.c_str(), 0644), 0);
  const auto server = TlsContext::server(key_, cert_);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().status, Status::kConfigError);
  ASSERT_EQ(::chmod(key_.c_str(), 0640), 0);  // a group of the server's is the operator's choice
  EXPECT_TRUE(TlsContext::server(key_, cert_));
}

TEST_F(TlsIdentityTest, RefusesFilesThatDoNotFit) {
  ASSERT_TRUE(make_server_identity(key_, cert_));
  EXPECT_FALSE(TlsContext::server(key_, folder_ / "absent.pem"));
  EXPECT_FALSE(TlsContext::server(folder_ / "absent.pem", cert_));
  EXPECT_FALSE(TlsContext::server(TestIdentity::get().key_file(), cert_));
  std::ofstream(cert_) << "not PEM";
  const auto server = TlsContext::server(key_, cert_);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().status, Status::kConfigError);
  EXPECT_FALSE(fingerprint_of_certificate(cert_));
}

TEST(TlsCaMode, RefusesACertificateThatNoCaHasSigned) {
  const auto client = TlsContext::client_with_ca("localhost");
  ASSERT_TRUE(client) << client.error().message();
  ChannelPair pair(tcp_pair(), 1, {}, *client);
  pair.start();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed() && pair.server->is_closed(); }));
  EXPECT_FALSE(pair.client->is_open());
  EXPECT_EQ(pair.client->closed()->status, Status::kServerKeyUnknown);
}

TEST(TlsCaMode, RefusesATrustedCertificateOfAnotherName) {
  const auto client =
      TlsContext::client_with_ca("files.example.org", TestIdentity::get().cert_file());
  ASSERT_TRUE(client) << client.error().message();
  ChannelPair pair(tcp_pair(), 1, {}, *client);
  pair.start();
  ASSERT_TRUE(pair.wait_for([&] { return pair.client->is_closed(); }));
  EXPECT_EQ(pair.client->closed()->status, Status::kServerKeyUnknown);
}

TEST(TlsCaMode, AcceptsATrustedCertificateOfItsName) {
  const auto client = TlsContext::client_with_ca("homefs server", TestIdentity::get().cert_file());
  ASSERT_TRUE(client) << client.error().message();
  ChannelPair pair(tcp_pair(), 1, {}, *client);
  pair.open();
}

TEST(TlsCaMode, RefusesACaFileThatIsNotThere) {
  const auto client = TlsContext::client_with_ca("localhost", "/nonexistent/ca.pem");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().status, Status::kConfigError);
}

}  // namespace
}  // namespace homefs::testing
