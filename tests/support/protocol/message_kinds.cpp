#include "tests/support/protocol/message_kinds.h"

#include <cstring>
#include <limits>
#include <type_traits>

#include "protocol/codec.h"
#include "protocol/limits.h"

namespace homefs::testing {
namespace {

constexpr std::uint64_t kNanosecondsMax = 999'999'999;

constexpr RenameMode highest(RenameMode) { return RenameMode::kExchange; }
constexpr XattrMode highest(XattrMode) { return XattrMode::kReplace; }
constexpr FallocateMode highest(FallocateMode) { return FallocateMode::kZeroKeepSize; }
constexpr SeekWhence highest(SeekWhence) { return SeekWhence::kHole; }
constexpr LockKind highest(LockKind) { return LockKind::kWhole; }
constexpr LockType highest(LockType) { return LockType::kNone; }

template <class T>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, NodeId>) return "node";
  if constexpr (std::is_same_v<T, InodeNumber>) return "inode";
  if constexpr (std::is_enum_v<T>) return "enum";
  if constexpr (std::is_same_v<T, std::int64_t>) return "i64";
  if constexpr (sizeof(T) == 1) return "u8";
  if constexpr (sizeof(T) == 2) return "u16";
  if constexpr (sizeof(T) == 4) return "u32";
  return "u64";
}

// The highest value of a number or enumeration, as it crosses the wire.
template <class T>
constexpr std::uint64_t highest_value() {
  if constexpr (std::is_same_v<T, NodeId> || std::is_same_v<T, InodeNumber>) {
    return std::numeric_limits<std::uint64_t>::max();
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<std::uint64_t>(highest(T{}));
  } else {
    return static_cast<std::uint64_t>(
        std::numeric_limits<std::conditional_t<std::is_signed_v<T>, std::uint64_t, T>>::max());
  }
}

// What a Timestamp, Attributes or GrantState is made of; messages say it themselves.
template <class Archive, class T>
void visit_fields(Archive& archive, T& value) {
  using Plain = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Plain, Attributes>) {
    archive(value.inode, value.mode, value.links, value.uid, value.gid, value.device,
            value.generation, value.size, value.blocks, value.atime, value.mtime, value.ctime,
            value.version, value.order);
  } else if constexpr (std::is_same_v<Plain, GrantState>) {
    archive(value.stamp, value.granted, value.used, value.limit);
  } else {
    Plain::visit(value, archive);
  }
}

class Filler {
 public:
  explicit Filler(ValueSource& values) : values_(values) {}
  template <class... Fields>
  void operator()(Fields&... fields) {
    (fill(fields), ...);
  }

 private:
  template <class T>
  void fill(T& value) {
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      value = static_cast<T>(values_.number(type_name<T>(), highest_value<T>()));
    } else {
      visit_fields(*this, value);
    }
  }
  void fill(Timestamp& time) {
    fill(time.seconds);
    time.nanoseconds = static_cast<std::uint32_t>(values_.number("u32", kNanosecondsMax));
  }
  void fill(std::string& text) { text = values_.bytes("string16", kSymlinkBytesMax); }
  void fill(Md5Digest& digest) {
    const std::string bytes = values_.bytes("digest", digest.size());
    HOMEFS_CHECK(bytes.size() == digest.size());
    std::memcpy(digest.data(), bytes.data(), bytes.size());
  }
  template <class T>
  void fill(std::vector<T>& list) {
    list.resize(values_.number("count", kListItemsMax));
    for (T& item : list) fill(item);
  }
  template <class T>
  void fill(std::optional<T>& value) {
    if (values_.number("present", 1) == 1) fill(value.emplace());
  }

  ValueSource& values_;
};

class Teller {
 public:
  explicit Teller(ValueSink& values) : values_(values) {}
  template <class... Fields>
  void operator()(const Fields&... fields) {
    (tell(fields), ...);
  }

 private:
  template <class T>
  void tell(const T& value) {
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      values_.number(type_name<T>(), static_cast<std::uint64_t>(value));
    } else {
      visit_fields(*this, value);
    }
  }
  void tell(const Timestamp& time) { (*this)(time.seconds, time.nanoseconds); }
  void tell(const std::string& text) { values_.bytes("string16", text); }
  void tell(const Md5Digest& digest) {
    char text[sizeof(Md5Digest)];
    std::memcpy(text, digest.data(), sizeof(text));
    values_.bytes("digest", {text, sizeof(text)});
  }
  template <class T>
  void tell(const std::vector<T>& list) {
    values_.number("count", list.size());
    for (const T& item : list) tell(item);
  }
  template <class T>
  void tell(const std::optional<T>& value) {
    values_.number("present", value ? 1 : 0);
    if (value) tell(*value);
  }

  ValueSink& values_;
};

template <class Message>
Message message_of(ValueSource& values) {
  Message message;
  Filler filler(values);
  Message::visit(message, filler);
  return message;
}

template <class Message>
constexpr MessageKind kind_of(std::string_view name) {
  return {.name = name,
          .encode = [](ValueSource& values) { return encode_fields(message_of<Message>(values)); },
          .decode = [](std::span<const std::byte> bytes, ValueSink& values) -> Result<void> {
            const Result<Message> message = decode_all<Message>(bytes);
            if (!message) return std::unexpected(message.error());
            Teller teller(values);
            Message::visit(*message, teller);
            return {};
          },
          .is_kept =
              [](ValueSource& values) {
                const Message message = message_of<Message>(values);
                const Result<Message> decoded = decode_all<Message>(encode_fields(message));
                return decoded.has_value() && *decoded == message;
              }};
}

#define HOMEFS_KIND(Message) kind_of<Message>(#Message),
constexpr MessageKind kKinds[] = {HOMEFS_EVERY_MESSAGE(HOMEFS_KIND)};
#undef HOMEFS_KIND

}  // namespace

std::span<const MessageKind> message_kinds() { return kKinds; }

const MessageKind* find_message_kind(std::string_view name) {
  for (const MessageKind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

}  // namespace homefs::testing
