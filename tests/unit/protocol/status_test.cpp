#include "protocol/status.h"

#include <cerrno>
#include <set>

#include <gtest/gtest.h>
#include "protocol/result.h"

namespace homefs {
namespace {

enum Inverse { kYes, kNo };  // whether the errno leads back to the status

struct StatusRow {
  std::uint16_t number;
  int error;
  Inverse inverse;
};

// Written down once more, by number: these must never change, programs and peers rely on them.
constexpr StatusRow kRows[] = {
    {700, 0, kYes},
    {701, EACCES, kNo},
    {702, EACCES, kNo},
    {703, 0, kNo},
    {704, EACCES, kNo},
    {705, EACCES, kNo},
    {710, 0, kNo},
    {711, ENOENT, kYes},
    {712, 0, kNo},
    {713, EIO, kNo},
    {721, ENOENT, kNo},
    {731, EEXIST, kYes},
    {740, 0, kNo},
    {750, 0, kNo},
    {751, EEXIST, kNo},
    {760, EDQUOT, kYes},
    {761, ENOSPC, kYes},
    {762, ENOTDIR, kYes},
    {763, EISDIR, kYes},
    {764, ENOTEMPTY, kYes},
    {765, EPERM, kYes},
    {766, EACCES, kYes},
    {767, ENAMETOOLONG, kYes},
    {768, EINVAL, kYes},
    {769, EIO, kNo},
    {770, ESTALE, kYes},
    {771, EIO, kYes},
    {772, EOPNOTSUPP, kYes},
    {773, ENODATA, kYes},
    {774, EAGAIN, kYes},
    {775, EMLINK, kYes},
    {776, ESTALE, kNo},
    {777, EROFS, kYes},
    {778, EXDEV, kYes},
    {779, EFBIG, kYes},
    {780, ERANGE, kYes},
    {781, E2BIG, kYes},
    {782, EBUSY, kYes},
    {783, ETXTBSY, kYes},
    {784, ELOOP, kYes},
    {785, ENXIO, kYes},
    {786, EINTR, kYes},
    {787, ETIMEDOUT, kYes},
    {788, EDEADLK, kYes},
    {789, ENOLCK, kYes},
    {790, ENFILE, kYes},
    {791, ENOMEM, kYes},
    {792, ENOSYS, kYes},
    {793, EOVERFLOW, kYes},
    {800, EPROTO, kNo},
    {801, EPROTO, kNo},
    {802, EACCES, kNo},
    {803, ESTALE, kNo},
    {804, EPROTO, kNo},
    {805, EPROTO, kNo},
    {806, EUSERS, kNo},
    {807, EIO, kNo},
    {808, EACCES, kNo},
    {809, EACCES, kNo},
    {810, EIO, kNo},
    {811, EINVAL, kNo},
};

class StatusTable : public ::testing::TestWithParam<StatusRow> {};

TEST_P(StatusTable, MapsToItsErrnoAndBack) {
  const StatusRow& row = GetParam();
  const auto status = static_cast<Status>(row.number);
  EXPECT_TRUE(is_known_status(row.number));
  EXPECT_EQ(errno_of(status), row.error);
  EXPECT_EQ(status_of_errno(row.error) == status, row.inverse == kYes);
  EXPECT_EQ(is_success(status), row.error == 0);
  EXPECT_FALSE(text_of(status).empty());
  EXPECT_NE(text_of(status), "unknown status");
}

INSTANTIATE_TEST_SUITE_P(Status, StatusTable, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::to_string(row.param.number); });

TEST(Status, HasNoOtherCodesThanTheTable) {
  std::set<int> numbers;
  for (const StatusRow& row : kRows) numbers.insert(row.number);
  for (int number = 0; number < 65536; ++number) {
    EXPECT_EQ(is_known_status(static_cast<std::uint16_t>(number)), numbers.contains(number));
  }
}

TEST(Status, OfAnUnknownCodeIsAnError) {
  const auto unknown = static_cast<Status>(4711);
  EXPECT_EQ(errno_of(unknown), EIO);
  EXPECT_FALSE(is_success(unknown));
  EXPECT_EQ(text_of(unknown), "unknown status");
}

TEST(Status, OfAnErrnoThatIsNotInTheTableIsAnIoError) {
  EXPECT_EQ(status_of_errno(ENOTTY), Status::kIoError);
  EXPECT_EQ(status_of_errno(-1), Status::kIoError);
  EXPECT_EQ(status_of_errno(99999), Status::kIoError);
}

TEST(Status, TextsDifferFromEachOther) {
  std::set<std::string_view> texts;
  for (const StatusRow& row : kRows) texts.insert(text_of(static_cast<Status>(row.number)));
  EXPECT_EQ(texts.size(), std::size(kRows));
}

TEST(Error, SaysItsContextAndItsStatus) {
  EXPECT_EQ((Error{Status::kExists, ""}).message(), "file exists");
  EXPECT_EQ((Error{Status::kExists, "mkdir \"a\""}).message(), "mkdir \"a\": file exists");
}

TEST(Error, OfASystemCallKeepsWhatTheTableLoses) {
  const Error known = fail_errno(ENOENT, "open").error();
  EXPECT_EQ(known.status, Status::kNoSuchFile);
  EXPECT_EQ(known.context, "open");
  const Error lost = fail_errno(ENOTTY, "ioctl").error();
  EXPECT_EQ(lost.status, Status::kIoError);
  EXPECT_EQ(lost.context, "ioctl: Inappropriate ioctl for device");
  EXPECT_EQ(fail_errno(ENOTTY).error().context, "Inappropriate ioctl for device");
}

}  // namespace
}  // namespace homefs
