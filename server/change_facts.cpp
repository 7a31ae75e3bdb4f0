#include "server/change_facts.h"

#include <array>
#include <cstring>
#include <utility>

#include "protocol/bytes.h"
#include "server/crash_point.h"

namespace homefs {
namespace {

// Texts are behind the numbers, each with its length.
constexpr std::array kTexts = {&ChangeFacts::path, &ChangeFacts::name, &ChangeFacts::to_path,
                               &ChangeFacts::new_name};

}  // namespace

std::size_t encode_facts(const ChangeFacts& facts, std::span<std::byte> out) {
  ByteWriter writer(out);
  writer.put_bytes(std::as_bytes(std::span(&facts.numbers, 1)));
  for (const auto text : kTexts) {
    const std::string& value = facts.*text;
    writer.put_u16(static_cast<std::uint16_t>(value.size()));
    writer.put_bytes(std::as_bytes(std::span(value)));
  }
  HOMEFS_CHECK(writer.is_ok());
  return writer.written();
}

std::optional<ChangeFacts> decode_facts(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  ChangeFacts facts;
  const auto numbers = reader.get_bytes(sizeof(ChangeNumbers));
  if (numbers.size() != sizeof(ChangeNumbers)) return std::nullopt;
  std::memcpy(&facts.numbers, numbers.data(), sizeof(ChangeNumbers));
  for (const auto text : kTexts) {
    const auto value = reader.get_bytes(reader.get_u16());
    (facts.*text).assign(reinterpret_cast<const char*>(value.data()), value.size());
  }
  if (!reader.is_ok() || !reader.rest().empty()) return std::nullopt;
  return facts;
}

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0x243f6a8885a308d3ull ^ bytes.size();  // pi: not zero for no bytes
  const auto add = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  };
  std::size_t offset = 0;
  for (; offset + sizeof(std::uint64_t) <= bytes.size(); offset += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + offset, sizeof(word));
    add(word);
  }
  std::uint64_t rest = 0;
  if (offset < bytes.size()) std::memcpy(&rest, bytes.data() + offset, bytes.size() - offset);
  add(rest);
  return hash;
}

void ChangeStep::begin(const ChangeFacts& facts) {
  journal_->about_to(facts);
  crash_point(CrashPoint::kAfterFacts);
}

void ChangeStep::finish(const ChangeOutcome& outcome) {
  if (journal_ == nullptr) return;
  crash_point(CrashPoint::kAfterChange);
  std::exchange(journal_, nullptr)->came_to(outcome);
  crash_point(CrashPoint::kAfterOutcome);
}

}  // namespace homefs
