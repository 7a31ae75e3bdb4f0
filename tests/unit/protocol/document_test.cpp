// The tables of PROTOCOL.md against the code that they describe, in both directions.
#include <cerrno>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>
#include "protocol/block.h"
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/op.h"
#include "protocol/status.h"
#include "tests/support/protocol/vector_file.h"

namespace homefs::testing {
namespace {

std::string text_of_limit(std::integral auto value) { return std::to_string(value); }
std::string text_of_limit(std::chrono::seconds value) {
  return std::to_string(value.count()) + " s";
}

#define HOMEFS_LIMIT(name) {#name, text_of_limit(name)}

const std::map<std::string, std::string>& limits() {
  static const std::map<std::string, std::string> instance = {
      HOMEFS_LIMIT(kProtocolVersion),     HOMEFS_LIMIT(kDefaultPort),
      HOMEFS_LIMIT(kPayloadBytesMax),     HOMEFS_LIMIT(kFieldBytesMax),
      HOMEFS_LIMIT(kBodyBytesMax),        HOMEFS_LIMIT(kLoginBodyBytesMax),
      HOMEFS_LIMIT(kNameBytesMax),        HOMEFS_LIMIT(kSymlinkBytesMax),
      HOMEFS_LIMIT(kListItemsMax),        HOMEFS_LIMIT(kXattrValueBytesMax),
      HOMEFS_LIMIT(kXattrListBytesMax),   HOMEFS_LIMIT(kXattrNameBytesMax),
      HOMEFS_LIMIT(kIntroductionsMax),    HOMEFS_LIMIT(kNodesPerRequestMax),
      HOMEFS_LIMIT(kFoldersPerListMax),   HOMEFS_LIMIT(kCopyBytesMax),
      HOMEFS_LIMIT(kLocksPerSessionMax),  HOMEFS_LIMIT(kLockWaitsPerSessionMax),
      HOMEFS_LIMIT(kRequestsInFlightMax), HOMEFS_LIMIT(kSendQueueBytesMax),
      HOMEFS_LIMIT(kBlockRetriesMax),     HOMEFS_LIMIT(kHandshakeDeadline),
      HOMEFS_LIMIT(kKeepAliveDefault),    HOMEFS_LIMIT(kSessionLingerDefault),
  };
  return instance;
}

TEST(ProtocolDocument, ListsTheLimitsOfTheCode) {
  std::map<std::string, std::string> documented;
  for (const auto& row : table_of_document("Limits")) documented.emplace(row.at(0), row.at(1));
  EXPECT_EQ(documented, limits());
}

TEST(ProtocolDocument, IsComparedWithEveryLimitOfTheHeader) {
  const std::string header = read_source("protocol/limits.h");
  const std::regex constant(R"(inline constexpr [\w:]+ (k\w+)[ ={])");
  std::set<std::string> names;
  for (std::sregex_iterator match(header.begin(), header.end(), constant), end; match != end;
       ++match) {
    names.insert((*match)[1]);
  }
  std::set<std::string> compared;
  for (const auto& [name, value] : limits()) compared.insert(name);
  EXPECT_EQ(names, compared);
}

TEST(ProtocolDocument, CutsFilesIntoTheBlocksOfTheCode) {
  EXPECT_NE(read_source("protocol/PROTOCOL.md").find("A **block** is 65,536 bytes"),
            std::string::npos);
  EXPECT_EQ(kBlockBytes, 65536u);
}

TEST(ProtocolDocument, SaysHowLongTheTypesAre) {
  std::map<std::string, std::string> documented;
  for (const auto& row : table_of_document("Encoding")) documented.emplace(row.at(0), row.at(1));
  EXPECT_EQ(documented.at("attributes"), std::to_string(encode_fields(AttributesReply{}).size()));
  EXPECT_EQ(documented.at("grant"), std::to_string(encode_fields(QuotaEvent{}).size()));
  const std::size_t without = encode_fields(DigestReply{}).size();
  const std::size_t with = encode_fields(DigestReply{.digests = {Md5Digest{}}}).size();
  EXPECT_EQ(documented.at("digest"), std::to_string(with - without));
}

// The errnos of the table, by their names.
const std::map<std::string, int>& errnos() {
#define HOMEFS_ERRNO(name) {#name, name}
  static const std::map<std::string, int> instance = {{"0", 0},
                                                      HOMEFS_ERRNO(EACCES),
                                                      HOMEFS_ERRNO(ENOENT),
                                                      HOMEFS_ERRNO(EIO),
                                                      HOMEFS_ERRNO(EEXIST),
                                                      HOMEFS_ERRNO(EDQUOT),
                                                      HOMEFS_ERRNO(ENOSPC),
                                                      HOMEFS_ERRNO(ENOTDIR),
                                                      HOMEFS_ERRNO(EISDIR),
                                                      HOMEFS_ERRNO(ENOTEMPTY),
                                                      HOMEFS_ERRNO(EPERM),
                                                      HOMEFS_ERRNO(EINVAL),
                                                      HOMEFS_ERRNO(ESTALE),
                                                      HOMEFS_ERRNO(ENODATA),
                                                      HOMEFS_ERRNO(EAGAIN),
                                                      HOMEFS_ERRNO(EMLINK),
                                                      HOMEFS_ERRNO(EROFS),
                                                      HOMEFS_ERRNO(EXDEV),
                                                      HOMEFS_ERRNO(EFBIG),
                                                      HOMEFS_ERRNO(ERANGE),
                                                      HOMEFS_ERRNO(E2BIG),
                                                      HOMEFS_ERRNO(EBUSY),
                                                      HOMEFS_ERRNO(ETXTBSY),
                                                      HOMEFS_ERRNO(ELOOP),
                                                      HOMEFS_ERRNO(ENXIO),
                                                      HOMEFS_ERRNO(EINTR),
                                                      HOMEFS_ERRNO(EDEADLK),
                                                      HOMEFS_ERRNO(ENOLCK),
                                                      HOMEFS_ERRNO(ENFILE),
                                                      HOMEFS_ERRNO(ENOMEM),
                                                      HOMEFS_ERRNO(ENOSYS),
                                                      HOMEFS_ERRNO(EPROTO),
                                                      HOMEFS_ERRNO(EUSERS),
                                                      HOMEFS_ERRNO(EOVERFLOW),
                                                      HOMEFS_ERRNO(ETIMEDOUT),
                                                      HOMEFS_ERRNO(EOPNOTSUPP),
                                                      HOMEFS_ERRNO(ENAMETOOLONG)};
#undef HOMEFS_ERRNO
  return instance;
}

TEST(ProtocolDocument, ListsTheStatusesOfTheCode) {
  std::set<int> documented;
  for (const auto& row : table_of_document("Status codes")) {
    SCOPED_TRACE(row.at(0) + " " + row.at(1));
    const auto number = static_cast<std::uint16_t>(std::stoi(row[0]));
    const auto status = static_cast<Status>(number);
    ASSERT_TRUE(errnos().contains(row.at(2)));
    EXPECT_TRUE(is_known_status(number));
    EXPECT_EQ(errno_of(status), errnos().at(row[2]));
    EXPECT_EQ(status_of_errno(errnos().at(row[2])) == status, row.at(3) == "yes");
    EXPECT_EQ(text_of(status), row.at(4));
    documented.insert(number);
  }
  for (int number = 0; number < 65536; ++number) {
    EXPECT_EQ(is_known_status(static_cast<std::uint16_t>(number)), documented.contains(number))
        << number;
  }
}

TEST(ProtocolDocument, NamesTheStatusesAsTheHeaderDoes) {
  const std::string header = read_source("protocol/status.h");
  const std::regex enumerator(R"((k\w+) =\s+(\d+),)");
  std::map<std::string, std::string> in_header;
  for (std::sregex_iterator match(header.begin(), header.end(), enumerator), end; match != end;
       ++match) {
    in_header.emplace((*match)[2], (*match)[1]);
  }
  std::map<std::string, std::string> documented;
  for (const auto& row : table_of_document("Status codes")) documented.emplace(row[0], row[1]);
  EXPECT_EQ(documented, in_header);
}

TEST(ProtocolDocument, ListsTheOperationsOfTheCode) {
  std::set<int> documented;
  for (const auto& row : table_of_document("Operations")) {
    SCOPED_TRACE(row.at(0) + " " + row.at(1));
    const OpTraits* traits = find_op(static_cast<std::uint16_t>(std::stoi(row[0])));
    ASSERT_NE(traits, nullptr);
    EXPECT_EQ(traits->name, row[1]);
    EXPECT_EQ(traits->is_sequenced ? "yes" : "no", row.at(2));
    EXPECT_EQ(traits->has_payload ? "large" : "small", row.at(3));
    documented.insert(std::stoi(row[0]));
  }
  for (int number = 0; number < 65536; ++number) {
    EXPECT_EQ(find_op(static_cast<std::uint16_t>(number)) != nullptr, documented.contains(number))
        << number;
  }
}

}  // namespace
}  // namespace homefs::testing
