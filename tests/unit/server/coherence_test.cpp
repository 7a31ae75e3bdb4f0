#include "server/coherence.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>

namespace homefs {
namespace {

// A session that writes down what it is told, and acknowledges when the test says so.
class FakeMember : public CoherenceMember {
 public:
  explicit FakeMember(std::uint8_t number = 0) { id_[0] = std::byte{number}; }
  const SessionId& id() const override { return id_; }
  bool has_ended() override { return is_over; }
  void set_shared(bool is_shared) override {
    log += is_shared ? "S" : "s";
    late = late && (is_shared || !is_forgiven);
  }
  void send_mode(bool is_shared, std::move_only_function<void(bool)> done) override {
    log += is_shared ? "M" : "m";
    modes.push_back(std::move(done));
  }
  void send_changes(const std::vector<std::byte>&, std::move_only_function<void()> done) override {
    log += "c";
    acknowledgements.push_back(std::move(done));
  }
  void release_grant() override { log += "r"; }
  void begin_late() override {
    if (has_obeyed) return;
    log += "L";
    late = true;
  }
  bool is_late() override { return late; }
  bool obeys(std::uint64_t number) override {
    if (number != mode) return false;
    late = false;
    return true;
  }
  std::uint64_t progress() override { return sent; }

  void acknowledge_all(bool is_in_time = true) {
    for (auto& done : std::exchange(modes, {})) done(is_in_time);
    for (auto& done : std::exchange(acknowledgements, {})) done();
  }

  std::string log;
  bool is_over = false;
  bool has_obeyed = true;  // nothing that it has answered early is on its way
  bool late = false;
  bool is_forgiven = false;  // when it is alone
  std::uint64_t mode = 0;
  std::uint64_t sent = 0;
  std::vector<std::move_only_function<void(bool)>> modes;
  std::vector<std::move_only_function<void()>> acknowledgements;

 private:
  SessionId id_{};
};

class CoherenceTest : public testing::Test {
 protected:
  using Member = std::shared_ptr<FakeMember>;

  // What is posted; timers stay.
  void run() {
    io_.restart();
    io_.poll();
  }
  Member join(std::string* result = nullptr) { return join_as(0, result); }
  Member join_as(std::uint8_t number, std::string* result = nullptr) {
    auto member = std::make_shared<FakeMember>(number);
    join_again(member, result);
    return member;
  }
  // One that has answered writes early.
  Member join_with_writes(std::uint8_t number = 0) {
    auto member = std::make_shared<FakeMember>(number);
    member->has_obeyed = false;
    join_again(member, nullptr);
    return member;
  }
  void obey(const Member& member, std::uint64_t mode = 0) {
    coherence_->obeyed(member, mode);
    run();
  }
  void join_again(const Member& member, std::string* result) {
    coherence_->join(member, [result](bool is_shared) {
      if (result != nullptr) *result = is_shared ? "shared" : "sole";
    });
    run();
  }
  static SessionId id_of(std::uint8_t number) { return FakeMember(number).id(); }
  void expect(std::uint8_t number) {
    coherence_->expect(id_of(number));
    run();
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
  std::shared_ptr<HomeCoherence> coherence_ =
      HomeCoherence::make(io_.get_executor(), {.returning = std::chrono::hours(1)});
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

// ---- Those who do not obey in time -------------------------------------------------------------

TEST_F(CoherenceTest, DoesNotWaitForOneWhoDoesNotObeyAndCallsItLate) {
  const Member first = join_with_writes();
  std::string result;
  const Member second = join(&result);
  first->acknowledge_all(/*is_in_time=*/false);
  run();
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "sSMLr");
  // Alone again it still has to send what is from before.
  leave(second);
  EXPECT_EQ(first->log, "sSMLr");
  EXPECT_TRUE(coherence_->is_shared());
  obey(first);
  EXPECT_EQ(first->log, "sSMLrsm");
  EXPECT_FALSE(coherence_->is_shared());
}

TEST_F(CoherenceTest, WaitsForOneWhoSendsWhatItHasOfBefore) {
  const Member first = join_with_writes();
  std::string result;
  join(&result);
  first->sent = 5;
  first->acknowledge_all(/*is_in_time=*/false);
  run();
  EXPECT_EQ(result, "") << "it has gone on";
  first->has_obeyed = true;
  obey(first);
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "sSMr") << "it is not late";
}

TEST_F(CoherenceTest, StopsWaitingWhenItDoesNotGoOn) {
  coherence_ = HomeCoherence::make(io_.get_executor(), {.progress = std::chrono::milliseconds(1)});
  const Member first = join_with_writes();
  std::string result;
  join(&result);
  first->sent = 5;
  first->acknowledge_all(/*is_in_time=*/false);
  io_.restart();
  io_.run();
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "sSMLr");
}

TEST_F(CoherenceTest, StopsWaitingForOneThatGoesOnForTooLong) {
  coherence_ = HomeCoherence::make(io_.get_executor(), {.progress = std::chrono::milliseconds(1)});
  const Member first = join_with_writes();
  std::string result;
  join(&result);
  int looks = 0;
  first->sent = 1;
  first->acknowledge_all(/*is_in_time=*/false);
  io_.restart();
  while (result.empty() && io_.run_one() > 0) {
    ++first->sent;
    ++looks;
  }
  EXPECT_EQ(first->log, "sSMLr");
  EXPECT_GE(looks, kProgressWaitsMax);
}

TEST_F(CoherenceTest, LetsTheSecondInWhenTheOneThatItWaitsForLeaves) {
  const Member first = join_with_writes();
  std::string result;
  const Member second = join(&result);
  first->sent = 5;
  first->acknowledge_all(/*is_in_time=*/false);
  run();
  leave(first);
  EXPECT_EQ(result, "sole");
  EXPECT_EQ(second->log, "s");
}

TEST_F(CoherenceTest, TakesNoNoticeOfAModeThatIsObeyedWhenItIsAloneAgain) {
  const Member first = join_with_writes();
  const Member second = join();
  leave(second);
  EXPECT_EQ(first->log, "sSMsm");
  first->mode = 1;
  first->late = true;
  obey(first, 0);
  EXPECT_TRUE(first->late);
  first->acknowledge_all();  // what still waits holds the member
  run();
}

TEST_F(CoherenceTest, IsLateWhenItComesIntoASharedHomeUntilItObeys) {
  const Member first = join();
  const Member second = join_with_writes(2);
  first->acknowledge_all();
  run();
  EXPECT_EQ(second->log, "SL");
  leave(first);
  EXPECT_EQ(second->log, "SL");
  obey(second);
  EXPECT_EQ(second->log, "SLsm");
}

TEST_F(CoherenceTest, IsSoleWhenItIsBackAloneAndNothingWasChanged) {
  expect(1);
  const auto first = std::make_shared<FakeMember>(1);
  first->late = first->is_forgiven = true;
  std::string result;
  join_again(first, &result);
  EXPECT_EQ(result, "sole");
  EXPECT_EQ(first->log, "s");
  EXPECT_FALSE(coherence_->is_shared());
}

TEST_F(CoherenceTest, IsNotSoleWhenItIsBackAloneAndLate) {
  expect(1);
  const auto first = std::make_shared<FakeMember>(1);
  first->late = true;
  std::string result;
  join_again(first, &result);
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "sS");
  obey(first);
  EXPECT_EQ(first->log, "sSsm");
}

// ---- Changes ----------------------------------------------------------------------------------

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

// ---- After a restart of the server ------------------------------------------------------------

TEST_F(CoherenceTest, IsSharedWithASessionThatIsNotBackYet) {
  expect(1);
  expect(2);
  std::string result;
  const Member first = join_as(1, &result);
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "S") << "never sole in between";
  const Member second = join_as(2, &result);
  EXPECT_EQ(result, "shared");
  EXPECT_EQ(first->log, "S");
  EXPECT_EQ(second->log, "S");
}

TEST_F(CoherenceTest, IsSoleForTheOnlyOneThatWasThere) {
  expect(1);
  std::string result;
  const Member only = join_as(1, &result);
  EXPECT_EQ(result, "sole");
  EXPECT_EQ(only->log, "s");
}

TEST_F(CoherenceTest, IsSharedForANewSessionWhileOneIsNotBack) {
  expect(1);
  std::string result;
  const Member stranger = join_as(3, &result);
  EXPECT_EQ(result, "shared");
}

TEST_F(CoherenceTest, IsSoleWhenTheOthersAreOver) {
  expect(1);
  expect(2);
  expect(3);
  const Member first = join_as(1);
  coherence_->expect_no_longer(id_of(2));
  run();
  EXPECT_EQ(first->log, "S");
  coherence_->expect_no_longer(id_of(3));
  run();
  EXPECT_EQ(first->log, "Ssm");
}

TEST_F(CoherenceTest, StaysSharedWhenOneLeavesAndAnotherIsNotBack) {
  for (std::uint8_t id = 1; id <= 3; ++id) expect(id);
  const Member first = join_as(1);
  const Member second = join_as(2);
  leave(second);
  EXPECT_EQ(first->log, "S");
  EXPECT_TRUE(coherence_->is_shared());
  leave(first);
  std::string result;
  join_as(1, &result);
  EXPECT_EQ(result, "shared");
}

TEST_F(CoherenceTest, ForgetsThatItExpectsOneThatEndsBeforeItIsIn) {
  expect(1);
  expect(2);
  const Member first = join_as(1);
  const auto second = std::make_shared<FakeMember>(2);
  second->is_over = true;
  leave(second);
  EXPECT_EQ(first->log, "Ssm");
  std::string result;
  join_again(second, &result);
  EXPECT_EQ(result, "sole") << "it is answered";
  EXPECT_EQ(first->log, "Ssm") << "and not let in";
}

TEST_F(CoherenceTest, LetsInOnceWhoJoinsTwice) {
  const Member first = join();
  std::string result;
  join_again(first, &result);
  EXPECT_EQ(result, "sole");
  const Member second = join_as(2);
  std::string again;
  join_again(second, &again);
  EXPECT_EQ(again, "") << "nor before the others know of it";
  first->acknowledge_all();
  run();
  EXPECT_EQ(again, "shared");
  bool is_done = false;
  spread(first, is_done);
  EXPECT_EQ(second->log, "SSc");
}

TEST_F(CoherenceTest, AChangeWaitsForThoseThatAreNotBack) {
  expect(1);
  expect(2);
  const Member first = join_as(1);
  coherence_->returned(id_of(1));
  run();
  bool is_done = false;
  EXPECT_FALSE(spread(first, is_done));
  const Member second = join_as(2);
  EXPECT_FALSE(is_done) << "it may still show what it knew";
  EXPECT_EQ(second->log, "S") << "what was changed before is void for it";
  bool is_own_done = false;
  EXPECT_FALSE(spread(second, is_own_done));
  first->acknowledge_all();
  EXPECT_TRUE(is_own_done) << "it waits for others, not for itself";
  coherence_->returned(id_of(2));
  run();
  EXPECT_TRUE(is_done);
  EXPECT_FALSE(spread(first, is_done = false));
  second->acknowledge_all();
  EXPECT_TRUE(is_done);
}

TEST_F(CoherenceTest, AChangeDoesNotWaitForOneThatIsOver) {
  expect(1);
  expect(2);
  const Member first = join_as(1);
  coherence_->returned(id_of(1));
  run();
  bool is_done = false;
  EXPECT_FALSE(spread(first, is_done));
  coherence_->expect_no_longer(id_of(2));
  run();
  EXPECT_TRUE(is_done);
}

TEST_F(CoherenceTest, ChangesWaitOnceForThoseThatDoNotComeBack) {
  coherence_ = HomeCoherence::make(io_.get_executor(), {.returning = std::chrono::milliseconds(1)});
  expect(1);
  expect(2);
  const Member first = join_as(1);
  bool is_done = false;
  EXPECT_FALSE(spread(first, is_done));
  io_.restart();
  while (!is_done && io_.run_one() > 0) {
  }
  EXPECT_TRUE(is_done);
  is_done = false;
  EXPECT_TRUE(spread(first, is_done)) << "the deadline has passed";
}

}  // namespace
}  // namespace homefs
