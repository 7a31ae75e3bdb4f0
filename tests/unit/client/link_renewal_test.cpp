// What a ServerLink logs in with may change while it is refused.
#include <gtest/gtest.h>

#include "fusefs/server_link.h"
#include "tests/support/fake_server.h"

namespace homefs {
namespace {

using testing::FakeServer;

/// The token, or the key of the server, as it is on the disk.
class Means {
 public:
  explicit Means(LoginMeans means) : means_(std::move(means)) {}
  LoginMeans get() {
    const std::lock_guard lock(mutex_);
    return means_;
  }
  void change(std::string password, std::string pinned) {
    const std::lock_guard lock(mutex_);
    means_.credentials.password = std::move(password);
    means_.trust.pinned = std::move(pinned);
  }

 private:
  std::mutex mutex_;
  LoginMeans means_;
};

TEST(LinkRenewal, GoesOnWithATokenOrKeyThatWasTakenWhileItWasRefused) {
  FakeServer server;
  IoThreads io{kLinkThreads};
  io.start();
  LinkOptions options{.server = {.host = "127.0.0.1", .port = server.port()},
                      .credentials = {.user = FakeServer::kUser, .password = FakeServer::kPassword},
                      .trust = {.pinned = server.fingerprint()},
                      .client_id = "test"};
  options.times.backoff_first = std::chrono::milliseconds(1);
  options.times.backoff_max = std::chrono::milliseconds(20);
  Means means({.credentials = options.credentials, .trust = options.trust});
  options.renew = [&means] { return means.get(); };
  ServerLink link(io, *TlsContext::client(), std::move(options));
  ASSERT_TRUE(link.connect_and_login());
  const auto is_refused_with = [&](Status status) {
    return server.wait_until([&] {
      const auto refusal = link.status().refusal;
      return refusal && refusal->status == status;
    });
  };

  means.change("changed by somebody else", server.fingerprint());
  server.forget_sessions();
  server.cut_all();
  EXPECT_TRUE(is_refused_with(Status::kLoginRefused));

  means.change(FakeServer::kPassword, "SHA256:another");
  link.hurry();
  EXPECT_TRUE(is_refused_with(Status::kServerKeyChanged));
  means.change(FakeServer::kPassword, "");  // forgotten is not exchanged for another
  link.hurry();
  EXPECT_TRUE(is_refused_with(Status::kServerKeyChanged));
  EXPECT_FALSE(link.is_connected());

  means.change(FakeServer::kPassword, server.fingerprint());
  link.hurry();
  EXPECT_TRUE(server.wait_until([&] { return link.is_connected(); }));
  EXPECT_FALSE(link.status().refusal);
}

}  // namespace
}  // namespace homefs
