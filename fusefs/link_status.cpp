#include "fusefs/link_status.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "fusefs/server_link.h"

namespace homefs {

nlohmann::json link_status_json(ServerLink& link) {
  const LinkStatus status = link.status();
  LinkCounters& counters = link.counters();
  nlohmann::json calls = nlohmann::json::object();
  for (const auto& [name, count] : counters.calls()) calls[name] = count;
  nlohmann::json troubles = nlohmann::json::array();
  for (const LinkTrouble& trouble : counters.troubles()) {
    const auto since = trouble.when.time_since_epoch();
    troubles.push_back({{"time", std::chrono::floor<std::chrono::seconds>(since).count()},
                        {"text", trouble.text}});
  }
  nlohmann::json refused;
  if (status.refusal) {
    const auto since = status.refusal->since.time_since_epoch();
    refused = {{"since", std::chrono::floor<std::chrono::seconds>(since).count()},
               {"status", static_cast<int>(status.refusal->status)},
               {"text", status.refusal->text}};
  }
  return {{"connected", status.is_connected},
          {"refused", std::move(refused)},
          {"server", status.server},
          {"fingerprint", status.fingerprint},
          {"session", status.session},
          {"incarnation", status.incarnation},
          {"bulk_connections", status.bulk_connections},
          {"round_trip_us", status.round_trip.count()},
          {"calls_under_way", status.calls_under_way},
          {"calls_waiting", status.calls_waiting},
          {"queued_bytes", status.queued_bytes},
          {"bytes_in", status.bytes_in},
          {"bytes_out", status.bytes_out},
          {"reconnects", counters.reconnects()},
          {"block_mismatches", counters.block_mismatches()},
          {"stale_retries", counters.stale_retries()},
          {"calls", std::move(calls)},
          {"troubles", std::move(troubles)}};
}

}  // namespace homefs
