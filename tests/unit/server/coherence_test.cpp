#include "server/coherence.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>

namespace homefs {
namespace {

// A session that writes down what it is told, and acknowledges when the test says so.
class FakeMember : public CoherenceMember {
 public:
  void set_shared(bool is_shared) override { log += is_shared ? "S" : "s"; }
  void send_mode(bool is_shared, std::move_only_function<void()> done) override {
    log += is_shared ? "M" : "m";
    acknowledgements.push_back(std::move(done));
  }
  void send_changes(const std::vector<std::byte>&, std::move_only_function<void()> done) override {
    log += "c";
    acknowledgements.push_back(std::move(done));
  }
  void release_grant() override { log += "r"; }

  void acknowledge_all() {
    for (auto& done : std::exchange(acknowledgements, {})) done();
  }

  std::string log;
  std::vector<std::move_only_function<void()>> acknowledgements;
};

class CoherenceTest : public testing::Test {
 protected:
  using Member = std::shared_ptr<FakeMember>;

  void run() {
    io_.restart();
    io_.run();
  }
  Member join(std::string* result = nullptr) {
    auto member = std::make_shared<FakeMember>();
    coherence_->join(member, [result](bool is_shared) {
      if (result != nullptr) *result = is_shared ? "shared" : "sole";
    });
    run();
    return member;
  }
  void leave(const Member& member) {
    coherence_->leave(member);
    run();
  }
  bool spread(const Member& from, bool& is_done) {
    coherence_->spread(*from, {Change{.inode = InodeNumber{5}}}, [&is_done] { is_done = true; });
    return is_done;
  }

  boost::asio::io_context io_;
  std::shared_ptr<HomeCoherence> coherence_ = HomeCoherence::make(io_.get_executor());
};

TEST_F(CoherenceTest, LetsTheFirstSessionInAsSole) {
  std::string result;
  const Member first = join(&result);
  EXPECT_EQ(result, "sole");
  EXPECT_EQ(first->log, "s");
  bool is_done = false;
  EXPECT_TRUE(spread(first, is_done)) << "there is nobody to be told";
}

TEST_F(CoherenceTest, LetsTheSecondInOnlyWhenTheFirstObeys) {
  const Member first = join();
  std::string result;
  const Member second = join(&result);
  EXPECT_EQ(first->log, "sSM");
  EXPECT_EQ(result, "") << "the first has not acknowledged";
  first->acknowledge_all();
  run();
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "sSMr") << "its grant is taken back when it has obeyed";
  EXPECT_EQ(second->log, "S");
}

TEST_F(CoherenceTest, LetsAThirdWaitForTheSwitchUnderWayAndAFourthNot) {
  const Member first = join();
  std::string second, third, fourth;
  join(&second);
  join(&third);
  EXPECT_EQ(third, "");
  first->acknowledge_all();
  run();
  EXPECT_EQ(second, "shared");
  EXPECT_EQ(third, "shared");
  join(&fourth);
  EXPECT_EQ(fourth, "shared");
  EXPECT_EQ(first->log, "sSMr") << "told once";
}

TEST_F(CoherenceTest, TellsTheOneThatRemainsThatItIsSole) {
  const Member first = join();
  const Member second = join();
  first->acknowledge_all();
  run();
  leave(first);
  EXPECT_EQ(second->log, "Ssm");
  EXPECT_FALSE(coherence_->is_shared());
}

TEST_F(CoherenceTest, IsSoleAgainWhenTheSecondGivesUpBeforeItIsIn) {
  const Member first = join();
  std::string result;
  const Member second = join(&result);
  leave(second);
  EXPECT_EQ(first->log, "sSMsm");
  first->acknowledge_all();  // the old mode, too late
  run();
  EXPECT_EQ(first->log, "sSMsm") << "its grant stays";
  EXPECT_EQ(result, "");
  EXPECT_FALSE(coherence_->is_shared());
}

TEST_F(CoherenceTest, LetsTheSecondInAsSoleWhenTheFirstLeavesMeanwhile) {
  const Member first = join();
  std::string result;
  const Member second = join(&result);
  leave(first);
  first->acknowledge_all();  // its outbox gives up when its connection goes
  run();
  EXPECT_EQ(result, "sole");
  EXPECT_EQ(second->log, "s");
}

TEST_F(CoherenceTest, SpreadsAChangeToAllOthersAndWaitsForEach) {
  const Member first = join();
  const Member second = join();
  first->acknowledge_all();
  run();
  const Member third = join();
  bool is_done = false;
  EXPECT_FALSE(spread(third, is_done));
  EXPECT_EQ(first->log, "sSMrc");
  EXPECT_EQ(second->log, "Sc");
  EXPECT_EQ(third->log, "S");
  first->acknowledge_all();
  EXPECT_FALSE(is_done);
  second->acknowledge_all();
  EXPECT_TRUE(is_done);
}

TEST_F(CoherenceTest, CallsInOrderWithTheChangesOfTheMode) {
  const Member first = join();
  std::string order;
  coherence_->join(std::make_shared<FakeMember>(), [&](bool) { order += "joined "; });
  coherence_->in_order([&](bool is_shared) { order += is_shared ? "shared " : "sole "; });
  run();
  EXPECT_EQ(order, "shared ") << "the switch has begun";
  first->acknowledge_all();
  run();
  EXPECT_EQ(order, "shared joined ");
}

TEST_F(CoherenceTest, ToleratesThatSomebodyLeavesTwice) {
  const Member first = join();
  leave(first);
  leave(first);
  std::string result;
  join(&result);
  EXPECT_EQ(result, "sole");
}

}  // namespace
}  // namespace homefs
