#include "server/request_class.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

TEST(RequestClass, OfEveryOperationAgreesWithTheProtocolOnWhatIsInSequence) {
  int known = 0;
  for (std::uint16_t number = 0; number < 1000; ++number) {
    const OpTraits* traits = find_op(number);
    if (traits == nullptr) continue;
    ++known;
    EXPECT_EQ(class_of(traits->op) == RequestClass::kChange, traits->is_sequenced) << traits->name;
  }
  EXPECT_GT(known, 30);
}

TEST(RequestClass, RefusesLoginsAndEventsInsideASession) {
  for (const Op op : {Op::kHello, Op::kAuthStart, Op::kAuthFinish, Op::kResume, Op::kMode,
                      Op::kChanged, Op::kQuotaChanged, Op::kGoingAway, Op::kLockGranted}) {
    EXPECT_EQ(class_of(op), RequestClass::kRefused) << name_of(op);
  }
}

}  // namespace
}  // namespace homefs
