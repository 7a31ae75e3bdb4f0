// A server with two users, and the requests that tests make most.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <vector>

#include "protocol/block_md5.h"
#include "protocol/messages.h"
#include "protocol/scram.h"
#include "tests/support/server/test_server.h"
#include "tests/support/test_client.h"

namespace homefs::testing {

inline TestLogin alice(const std::string& client_id = "laptop") {
  return {.user = "alice", .secret = "wonderland", .finish = {.client_id = client_id}};
}

inline TestLogin bob() {
  return {.user = "bob", .secret = "builder", .finish = {.client_id = "laptop"}};
}

inline MkdirRequest mkdir_of(const std::string& name, std::uint64_t node) {
  return {.parent = kRootNode, .name = name, .node = NodeId{node}, .mode = 0755};
}

inline CreateRequest create_of(const std::string& name, std::uint64_t node) {
  return {.parent = kRootNode, .name = name, .node = NodeId{node}, .mode = 0644};
}

/// A WRITE of `text` with its digests.
inline OutFrame write_of(std::uint64_t node, std::uint64_t offset, const std::string& text) {
  auto data = std::make_shared<Buffer>(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), data->writable().begin());
  OutFrame frame;
  frame.header.op = Op::kWrite;
  WriteRequest request{.node = NodeId{node}, .offset = offset};
  request.digests.resize(piece_count(offset, text.size()));
  md5_pieces(offset, data->bytes(), request.digests);
  frame.fields = encode_request(Introductions{}, request);
  frame.payload = {slice_of(data)};
  return frame;
}

class ServeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.add_user("alice", "wonderland");
    server_.add_user("bob", "builder");
  }

  [[nodiscard]] std::filesystem::path in_home(const std::string& name) const {
    return server_.home_of("alice") / name;
  }

  TestServer server_;
};

}  // namespace homefs::testing
