#include "fusefs/caller_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace homefs {
namespace {

std::string set_of(std::initializer_list<int> signals) {
  unsigned long long set = 0;
  for (const int signal : signals) set |= 1ull << (signal - 1);
  char text[32];
  (void)std::snprintf(text, sizeof text, "%016llx", set);
  return text;
}

struct Sets {
  std::initializer_list<int> of_thread, of_process, blocked, ignored, handled;
};

CallerState state(const Sets& sets, unsigned long flags = 0x400040) {
  const std::string status = "Name:\tSigPnd:\nPid:\t7\nSigPnd:\t" + set_of(sets.of_thread) +
                             "\nShdPnd:\t" + set_of(sets.of_process) + "\nSigBlk:\t" +
                             set_of(sets.blocked) + "\nSigIgn:\t" + set_of(sets.ignored) +
                             "\nSigCgt:\t" + set_of(sets.handled) + "\n";
  const std::string stat = "7 (a ) b) S 1 7 7 0 -1 " + std::to_string(flags) + " 100 0 0";
  return caller_state_of(status, stat);
}

TEST(CallerState, SaysThatAKilledProgramIsDying) {
  EXPECT_EQ(state({.of_thread = {SIGKILL}}), CallerState::kDying);
  EXPECT_EQ(state({.of_process = {SIGTERM}}), CallerState::kDying);
  EXPECT_EQ(state({.of_process = {SIGALRM}}), CallerState::kDying) << "no handler: it kills";
  EXPECT_EQ(state({}, 0x404), CallerState::kDying) << "it ends because of a signal";
}

TEST(CallerState, SaysWhenTheProgramHandlesWhatAsksForAnEnd) {
  EXPECT_EQ(state({.of_process = {SIGINT}, .handled = {SIGINT}}), CallerState::kAskedToEnd);
  EXPECT_EQ(state({.of_thread = {SIGHUP}, .handled = {SIGHUP, SIGINT}}), CallerState::kAskedToEnd);
}

TEST(CallerState, LeavesAProgramAloneThatDoesNotExpectAnError) {
  EXPECT_EQ(state({}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGALRM}, .handled = {SIGALRM}}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGCHLD, SIGWINCH}}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGCHLD}, .handled = {SIGCHLD}}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGTSTP}}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGINT}, .ignored = {SIGINT}}), CallerState::kRunning);
  EXPECT_EQ(state({.of_process = {SIGINT}, .blocked = {SIGINT}}), CallerState::kRunning);
}

TEST(CallerState, TellsAnEndOfItsOwnFromAKill) { EXPECT_EQ(state({}, 0x4), CallerState::kExiting); }

TEST(CallerState, DoesNotGuess) {
  EXPECT_EQ(caller_state_of("", ""), CallerState::kUnknown);
  EXPECT_EQ(caller_state(0), CallerState::kUnknown);
  EXPECT_EQ(caller_state_of("\nSigPnd:", "7 (x"), CallerState::kRunning);
}

TEST(CallerState, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(caller_state(::getpid()), CallerState::kRunning);
  sigset_t set;
  sigset_t before;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  // Pending and blocked: nothing that ends this call.
  ASSERT_EQ(::sigprocmask(SIG_BLOCK, &set, &before), 0);
  ASSERT_EQ(::raise(SIGUSR1), 0);
  EXPECT_EQ(caller_state(::gettid()), CallerState::kRunning);
  int taken = 0;
  ASSERT_EQ(::sigwait(&set, &taken), 0);
  ASSERT_EQ(::sigprocmask(SIG_SETMASK, &before, nullptr), 0);
}

}  // namespace
}  // namespace homefs
