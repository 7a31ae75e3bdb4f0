#include "protocol/codec.h"

#include <concepts>
#include <tuple>
#include <type_traits>

#include "protocol/limits.h"

namespace homefs {
namespace {

// The longest string of any message; each use has a tighter bound of its own where it is applied.
constexpr std::size_t kStringBytesMax = kSymlinkBytesMax;

template <class T>
concept Visitable = requires(T& t, int& archive) { T::visit(t, archive); };

// The highest enumerator of each enum that may cross the wire inside a message.
constexpr std::uint8_t highest(RenameMode) {
  return static_cast<std::uint8_t>(RenameMode::kExchange);
}
constexpr std::uint8_t highest(XattrMode) { return static_cast<std::uint8_t>(XattrMode::kReplace); }
constexpr std::uint8_t highest(FallocateMode) {
  return static_cast<std::uint8_t>(FallocateMode::kZeroKeepSize);
}
constexpr std::uint8_t highest(SeekWhence) { return static_cast<std::uint8_t>(SeekWhence::kHole); }
constexpr std::uint8_t highest(LockKind) { return static_cast<std::uint8_t>(LockKind::kWhole); }
constexpr std::uint8_t highest(LockType) {
  return static_cast<std::uint8_t>(LockType::kSessionShared);
}

class Encoder {
 public:
  explicit Encoder(std::vector<std::byte>& out) : out_(out) {}

  template <class... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }

 private:
  template <std::integral T>
  void put(const T& value) {
    using Unsigned = std::make_unsigned_t<std::conditional_t<std::same_as<T, bool>, char, T>>;
    const auto bits = static_cast<Unsigned>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out_.push_back(static_cast<std::byte>((bits >> (8 * i)) & 0xff));
    }
  }
  void put(const NodeId& id) { put(number_of(id)); }
  void put(const InodeNumber& id) { put(number_of(id)); }
  template <class T>
    requires std::is_enum_v<T>
  void put(const T& value) {
    put(static_cast<std::uint8_t>(value));
  }
  void put(const std::string& text) {
    HOMEFS_CHECK(text.size() <= kStringBytesMax);
    put(static_cast<std::uint16_t>(text.size()));
    const auto bytes = std::as_bytes(std::span(text));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  void put(const Md5Digest& digest) {
    const auto bytes = std::span(digest);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  void put(const Timestamp& time) { (*this)(time.seconds, time.nanoseconds); }
  void put(const Attributes& a) {
    (*this)(a.inode, a.mode, a.links, a.uid, a.gid, a.device, a.generation, a.size, a.blocks,
            a.atime, a.mtime, a.ctime, a.version, a.order);
  }
  void put(const GrantState& grant) {
    (*this)(grant.stamp, grant.granted, grant.used, grant.limit);
  }
  template <class T>
  void put(const std::vector<T>& list) {
    HOMEFS_CHECK(list.size() <= kListItemsMax);
    put(static_cast<std::uint32_t>(list.size()));
    for (const T& item : list) put(item);
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <Visitable T>
  void put(const T& message) {
    T::visit(message, *this);
  }

  std::vector<std::byte>& out_;
};

// The least that a T takes on the wire: its strings and lists empty.
template <class T>
std::size_t encoded_bytes_min() {
  static const std::size_t bytes = [] {
    std::vector<std::byte> out;
    Encoder encoder(out);
    const T smallest{};
    encoder(smallest);
    return out.size();
  }();
  return bytes;
}

class Decoder {
 public:
  explicit Decoder(ByteReader& in) : in_(in) {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (get(fields), ...);
  }

 private:
  void get(std::uint8_t& value) { value = in_.get_u8(); }
  void get(std::uint16_t& value) { value = in_.get_u16(); }
  void get(std::uint32_t& value) { value = in_.get_u32(); }
  void get(std::uint64_t& value) { value = in_.get_u64(); }
  void get(std::int64_t& value) { value = static_cast<std::int64_t>(in_.get_u64()); }
  void get(bool& value) {
    const std::uint8_t byte = in_.get_u8();
    if (byte > 1) in_.set_bad();
    value = byte == 1;
  }
  void get(NodeId& id) { id = NodeId{in_.get_u64()}; }
  void get(InodeNumber& id) { id = InodeNumber{in_.get_u64()}; }
  template <class T>
    requires std::is_enum_v<T>
  void get(T& value) {
    const std::uint8_t byte = in_.get_u8();
    if (byte > highest(T{})) in_.set_bad();
    value = static_cast<T>(byte);
  }
  void get(std::string& text) {
    const std::uint16_t length = in_.get_u16();
    if (length > kStringBytesMax) return in_.set_bad();
    const auto bytes = in_.get_bytes(length);
    text.resize(bytes.size());
    if (!bytes.empty()) std::memcpy(text.data(), bytes.data(), bytes.size());
  }
  void get(Md5Digest& digest) {
    const auto bytes = in_.get_bytes(digest.size());
    if (!bytes.empty()) std::memcpy(digest.data(), bytes.data(), bytes.size());
  }
  void get(Timestamp& time) {
    (*this)(time.seconds, time.nanoseconds);
    if (time.nanoseconds >= 1'000'000'000) in_.set_bad();
  }
  void get(Attributes& a) {
    (*this)(a.inode, a.mode, a.links, a.uid, a.gid, a.device, a.generation, a.size, a.blocks,
            a.atime, a.mtime, a.ctime, a.version, a.order);
  }
  void get(GrantState& grant) { (*this)(grant.stamp, grant.granted, grant.used, grant.limit); }
  template <class T>
  void get(std::vector<T>& list) {
    const std::uint32_t count = in_.get_u32();
    // A count that cannot be true reserves nothing.
    if (count > kListItemsMax || count > in_.rest().size() / encoded_bytes_min<T>()) {
      return in_.set_bad();
    }
    list.clear();
    list.reserve(count);
    for (std::uint32_t i = 0; i < count && in_.is_ok(); ++i) get(list.emplace_back());
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool is_there = false;
    get(is_there);
    value.reset();
    if (is_there) get(value.emplace());
  }
  template <Visitable T>
  void get(T& message) {
    T::visit(message, *this);
  }

  ByteReader& in_;
};

}  // namespace

template <class Message>
void encode(const Message& message, std::vector<std::byte>& out) {
  Encoder encoder(out);
  Message::visit(message, encoder);
}

template <class Message>
Result<Message> decode(ByteReader& in) {
  Message message;
  Decoder decoder(in);
  Message::visit(message, decoder);
  if (!in.is_ok()) return fail(Status::kProtocolError, "malformed message");
  return message;
}

#define HOMEFS_INSTANTIATE(Message)                                       \
  template void encode<Message>(const Message&, std::vector<std::byte>&); \
  template Result<Message> decode<Message>(ByteReader&);

HOMEFS_EVERY_MESSAGE(HOMEFS_INSTANTIATE)

}  // namespace homefs
