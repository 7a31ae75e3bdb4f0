#include "fusefs/cli/mount_settings.h"

#include <charconv>

#include "config/config_error.h"
#include "config/size.h"
#include "config/target.h"

namespace homefs {
namespace {

using Value = std::string_view;

struct Option {
  std::string_view name;
  bool takes_value;
  Result<> (*apply)(Value value, MountSettings& settings);
};

Result<> ignore(Value, MountSettings&) { return {}; }

Result<std::uint64_t> number(Value value, std::uint64_t min, std::uint64_t max) {
  std::uint64_t result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size() || result < min || result > max) {
    return fail(Status::kInvalid, "expected a number from " + std::to_string(min) + " to " +
                                      std::to_string(max) + ", found " + shown(value));
  }
  return result;
}

Result<> set_seconds(Value value, std::uint64_t min, std::uint64_t max,
                     std::chrono::milliseconds& out) {
  const auto seconds = number(value, min, max);
  if (!seconds) return std::unexpected(seconds.error());
  out = std::chrono::seconds(*seconds);
  return {};
}

Result<> set_size(Value value, std::uint64_t min, std::uint64_t& out) {
  const auto bytes = parse_size(value);
  if (!bytes) return std::unexpected(bytes.error());
  if (*bytes < min) return fail(Status::kInvalid, "expected at least " + format_size(min));
  out = *bytes;
  return {};
}

Result<> set_timeo(Value value, MountSettings& settings) {
  std::chrono::milliseconds timeo{};
  auto done = set_seconds(value, 1, 86400, timeo);
  if (done) settings.times.timeo = timeo;
  return done;
}

Result<> set_id_map(Value value, MountSettings& settings) {
  if (value != "user" && value != "none") {
    return fail(Status::kInvalid, "expected user or none, found " + shown(value));
  }
  settings.mount.id_map = value == "user" ? IdMap::kUser : IdMap::kNone;
  return {};
}

// sshfs counts all connections, we count those beside the control connection.
Result<> set_connections(Value value, std::uint64_t others, MountSettings& settings) {
  const auto count = number(value, others, 8 + others);
  if (!count) return std::unexpected(count.error());
  settings.bulk_connections = static_cast<unsigned>(*count - others);
  return {};
}

Result<> set_port(Value value, MountSettings& settings) {
  const auto port = parse_port(value);
  if (!port) return std::unexpected(port.error());
  settings.port = *port;
  return {};
}

constexpr std::chrono::seconds kSoftDefault{30};
constexpr std::uint64_t kNamesMin = 1000;
constexpr std::uint64_t kNamesMax = 100'000'000;
constexpr std::uint64_t kReadCacheMin = std::uint64_t{8} * 1024 * 1024;
constexpr std::uint64_t kWriteBufferMin = std::uint64_t{4} * 1024 * 1024;

// homefs(1), section MOUNT OPTIONS, has the same ones; a test compares.
constexpr Option kOptions[] = {
    {"accept_new_server", false,
     [](Value, MountSettings& s) -> Result<> {
       s.accept_new_server = true;
       return {};
     }},
    {"allow_other", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.allow_other = true;
       return {};
     }},
    {"allow_root", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.allow_root = true;
       return {};
     }},
    {"bulk", true, [](Value v, MountSettings& s) { return set_connections(v, 0, s); }},
    // The name that sshfs has for it.
    {"dcache_max_size", true,
     [](Value v, MountSettings& s) -> Result<> {
       const auto count = number(v, kNamesMin, kNamesMax);
       if (!count) return std::unexpected(count.error());
       s.mount.names_max = *count;
       return {};
     }},
    {"debug", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.debug = s.is_foreground = true;
       return {};
     }},
    {"hard", false,
     [](Value, MountSettings& s) -> Result<> {
       s.times.timeo.reset();
       return {};
     }},
    {"idmap", true, set_id_map},
    {"keepalive", true,
     [](Value v, MountSettings& s) { return set_seconds(v, 1, 3600, s.times.keepalive); }},
    {"max_conns", true, [](Value v, MountSettings& s) { return set_connections(v, 1, s); }},
    {"password_file", true,
     [](Value v, MountSettings& s) -> Result<> {
       s.password_file = v;
       return {};
     }},
    {"pin", true,
     [](Value v, MountSettings& s) -> Result<> {
       s.pin = v;
       return {};
     }},
    {"port", true, set_port},
    {"profile", true,
     [](Value v, MountSettings& s) -> Result<> {
       s.profile = v;
       return {};
     }},
    {"read_cache", true,
     [](Value v, MountSettings& s) {
       return set_size(v, kReadCacheMin, s.mount.read_cache_bytes);
     }},
    {"remount", false,
     [](Value, MountSettings& s) -> Result<> {
       s.is_remount = true;
       return {};
     }},
    {"ro", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.read_only = true;
       return {};
     }},
    {"rw", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.read_only = false;
       return {};
     }},
    {"setuid", true,
     [](Value v, MountSettings& s) -> Result<> {
       s.set_user = v;
       return {};
     }},
    {"soft", false,
     [](Value, MountSettings& s) -> Result<> {
       if (!s.times.timeo) s.times.timeo = kSoftDefault;
       return {};
     }},
    {"timeo", true, set_timeo},
    {"write_buffer", true,
     [](Value v, MountSettings& s) {
       return set_size(v, kWriteBufferMin, s.mount.write_buffer_bytes);
     }},
    // The kernel's.
    {"dev", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_dev = false;
       return {};
     }},
    {"nodev", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_dev = true;
       return {};
     }},
    {"exec", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_exec = false;
       return {};
     }},
    {"noexec", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_exec = true;
       return {};
     }},
    {"suid", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_suid = false;
       return {};
     }},
    {"nosuid", false,
     [](Value, MountSettings& s) -> Result<> {
       s.mount.no_suid = true;
       return {};
     }},
    // What sshfs and mount(8) know, and what is so anyway or is not our business.
    {"ServerAliveInterval", true,
     [](Value v, MountSettings& s) { return set_seconds(v, 1, 3600, s.times.keepalive); }},
    {"_netdev", false, ignore},
    {"async", false, ignore},
    {"atime", false, ignore},
    {"auto", false, ignore},
    {"auto_unmount", false, ignore},
    {"big_writes", false, ignore},
    {"default_permissions", false, ignore},
    {"defaults", false, ignore},
    {"fsname", true,
     [](Value v, MountSettings& s) -> Result<> {
       s.mount.source = v;
       return {};
     }},
    {"kernel_cache", false, ignore},
    {"auto_cache", false, ignore},
    {"noatime", false, ignore},
    {"noauto", false, ignore},
    {"nofail", false, ignore},
    {"nonempty", false, ignore},
    {"nouser", false, ignore},
    {"reconnect", false, ignore},
    {"relatime", false, ignore},
    {"subtype", true, ignore},
    {"user", false, ignore},
    {"users", false, ignore},
};

std::string quoted_name(std::string_view name) { return "-o " + std::string(name); }

}  // namespace

Result<> apply_mount_option(std::string_view name, std::optional<std::string_view> value,
                            MountSettings& settings) {
  // Of fstab, for others; "user=alice" is what mount(8) writes into its table.
  if (name.starts_with("x-") || name == "comment" || (name == "user" && value)) return {};
  for (const Option& option : kOptions) {
    if (option.name != name) continue;
    if (option.takes_value && (!value || value->empty())) {
      return fail(Status::kInvalid,
                  quoted_name(name) + " needs a value: " + std::string(name) + "=...");
    }
    if (!option.takes_value && value) {
      return fail(Status::kInvalid, quoted_name(name) + " takes no value");
    }
    const auto applied = option.apply(value.value_or(""), settings);
    if (applied) return {};
    return fail(Status::kInvalid, quoted_name(name) + ": " + applied.error().context);
  }
  const std::string near = suggestion(name, mount_option_names());
  const bool is_near = near.starts_with(", did");
  return fail(Status::kInvalid, "there is no option -o " + shown(name) +
                                    (is_near ? near : "; homefs(1) lists them all"));
}

Result<> apply_mount_options(std::string_view list, MountSettings& settings) {
  std::string item;
  const auto apply = [&]() -> Result<> {
    if (item.empty()) return {};
    const std::string whole = std::exchange(item, {});
    const std::size_t equals = whole.find('=');
    if (equals == std::string::npos) return apply_mount_option(whole, std::nullopt, settings);
    const std::string_view view = whole;
    return apply_mount_option(view.substr(0, equals), view.substr(equals + 1), settings);
  };
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '\\' && i + 1 < list.size()) {
      item += list[++i];
    } else if (list[i] == ',') {
      if (const auto applied = apply(); !applied) return applied;
    } else {
      item += list[i];
    }
  }
  return apply();
}

std::vector<std::string> mount_option_names() {
  std::vector<std::string> names;
  for (const Option& option : kOptions) names.emplace_back(option.name);
  return names;
}

}  // namespace homefs
