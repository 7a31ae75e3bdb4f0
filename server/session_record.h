// A session in a mapped file: who it is, what it has applied, and what it is about to do. It
// survives a kill of the server, because stores to the file are there when the process is not; and
// an orderly stop in the same way. One file a session, about 16 KiB of it in memory.
//
//   header   who; the boot that wrote it (after a loss of power it is worth nothing); which writes
//            were done
//   foreign  what others have changed while the session was late; used when it was
//   intent   the change that is being applied: its seq, what it will do, what came of it
//   slots    replies that the client may ask for again, each with its seq
//
// Every part is stored before the number or state that says it is there, and has a checksum.
//
// Owner: the session's Sequencer and Session, or SavedSessions until the client is back.
// Executor: ReplayRecord under the session's lock; ChangeJournal the thread that applies.
// Blocks: never, but for the disk when replies need more room than ever before.
#pragma once

#include <bitset>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/login_messages.h"
#include "protocol/op.h"
#include "server/change_facts.h"
#include "server/mapped_file.h"
#include "server/replay_record.h"

namespace homefs {

/// Who a session is.
struct SessionIdentity {
  SessionId id{};
  SessionSecret secret{};
  std::string account;
  std::string account_id;  ///< StateDb::account_id(): not that of a later one of this name
  std::string client_id;
  std::string token_id;  ///< the device token it was made with; empty: by password
  std::string subdir;

  bool operator==(const SessionIdentity&) const = default;
};

class SessionRecord final : public ReplayRecord, public ChangeJournal {
 public:
  /// Of a new session. `boot`: names this run of the machine. Errors: those of the disk.
  static Result<std::unique_ptr<SessionRecord>> make(const std::filesystem::path& file,
                                                     std::string_view boot,
                                                     const SessionIdentity& identity);
  /// Of an earlier run of the server. `boot`: the one that it must have been written in, which is
  /// not asked for when it is empty. kInvalid when it cannot be trusted.
  static Result<std::unique_ptr<SessionRecord>> open(const std::filesystem::path& file,
                                                     std::string_view boot);

  [[nodiscard]] const SessionIdentity& identity() const { return identity_; }
  /// Written in this boot, from now on.
  void set_boot(std::string_view boot);

  // ---- After open(): the change that was being applied ----

  struct Doubt {
    Op op{};
    ChangeFacts facts;
    std::optional<ChangeOutcome> outcome;  ///< it was done, and came to this
  };
  /// None when nothing was begun, or nothing of it was done.
  [[nodiscard]] const std::optional<Doubt>& doubt() const { return doubt_; }
  /// It was done, and this is the reply; or with null it was not, and will be when it is sent
  /// again.
  void resolve(std::shared_ptr<const Reply> reply_or_null);

  // ---- ReplayRecord ----
  [[nodiscard]] std::uint64_t last_applied() const override { return memory_.last_applied(); }
  [[nodiscard]] std::uint64_t last_dropped() const override { return memory_.last_dropped(); }
  void begin(std::uint64_t seq, std::uint64_t fingerprint, Op op) override;
  void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) override;
  [[nodiscard]] Result<std::shared_ptr<const Reply>> find(
      std::uint64_t seq, std::uint64_t fingerprint) const override {
    return memory_.find(seq, fingerprint);
  }
  void drop_through(std::uint64_t seq) override;
  [[nodiscard]] ChangeJournal* journal() override { return this; }
  [[nodiscard]] WriteLog& writes() override { return writes_; }
  [[nodiscard]] WriteLog& syncs() override { return syncs_; }
  [[nodiscard]] ForeignChanges& foreign_changes() override { return foreign_changes_; }
  void remove() override { file_.remove(); }

  // ---- ChangeJournal ----
  void about_to(const ChangeFacts& facts) override;
  void came_to(const ChangeOutcome& outcome) override;
  void withdraw() override;

 private:
  struct Header;
  struct Intent;
  struct Slot;
  static constexpr std::size_t kSlots = kRequestsInFlightMax;

  SessionRecord(MappedFile file, SessionIdentity identity);
  [[nodiscard]] Header& header() const;
  [[nodiscard]] Intent& intent() const;
  [[nodiscard]] ForeignNotes& foreign_notes() const;
  [[nodiscard]] Slot& slot(std::size_t index) const;
  [[nodiscard]] std::size_t slots_there() const;
  Result<void> check_header(std::string_view boot);
  Result<void> load_replies();
  Result<void> load_intent();
  std::optional<std::size_t> free_slot();
  void put(std::uint64_t seq, std::uint64_t fingerprint, Op op, const Reply& reply);
  void become_void();

  MappedFile file_;
  SessionIdentity identity_;
  WriteLog writes_;  // in the header
  WriteLog syncs_;   // likewise
  ForeignChanges foreign_changes_;
  MemoryReplayRecord memory_;
  std::optional<Doubt> doubt_;
  std::bitset<kSlots> used_;  // slots with a seq over last_dropped()
  bool is_void_ = false;      // the disk was full: a kill ends the session
};

}  // namespace homefs
