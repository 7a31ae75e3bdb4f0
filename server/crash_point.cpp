#include "server/crash_point.h"

#ifdef HOMEFS_FAULTS

#include <signal.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace homefs {
namespace {

constexpr std::array<std::string_view, 8> kNames = {
    "before-intent", "begun",         "after-facts",  "mid-change",
    "after-change",  "after-outcome", "before-reply", "written"};

struct Place {
  CrashPoint point{};
  int count = 0;  // 0: nowhere
};

Place chosen_place() {
  const char* text = std::getenv("HOMEFS_CRASH_AT");
  if (text == nullptr) return {};
  std::string_view name(text);
  Place place{.point = {}, .count = 1};
  if (const std::size_t colon = name.find(':'); colon != std::string_view::npos) {
    const std::string_view count = name.substr(colon + 1);
    const auto [end, error] = std::from_chars(count.begin(), count.end(), place.count);
    if (error != std::errc() || end != count.end()) place.count = 0;
    name = name.substr(0, colon);
  }
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] != name) continue;
    place.point = static_cast<CrashPoint>(i);
    if (place.count > 0) return place;
  }
  // A test that believes it kills the server must not pass without that.
  (void)std::fprintf(stderr, "homefsd: HOMEFS_CRASH_AT=%s: no such point\n", text);
  std::abort();
}

}  // namespace

void crash_point(CrashPoint point) {
  static const Place place = chosen_place();
  static std::atomic<int> passed{0};
  if (place.count == 0 || place.point != point) return;
  if (passed.fetch_add(1) + 1 == place.count) (void)::raise(SIGKILL);
}

}  // namespace homefs

#endif
