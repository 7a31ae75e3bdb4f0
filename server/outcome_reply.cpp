#include "server/outcome_reply.h"

#include "protocol/codec.h"

namespace homefs {
namespace {

void age(Attributes& attributes) { attributes.order = 0; }

// The quota is what it was; stamps of this run begin at 1.
void age(GrantState& grant) { grant.stamp = grant.granted = 0; }

void age(EntryReply& reply) {
  age(reply.attributes);
  age(reply.parent);
}
void age(RemoveReply& reply) {
  age(reply.attributes);
  age(reply.parent);
}
void age(RenameReply& reply) {
  age(reply.attributes);
  age(reply.parent);
  age(reply.new_parent);
  if (reply.other) age(*reply.other);
}
void age(ChangeReply& reply) { age(reply.attributes); }
void age(AppendReply& reply) { age(reply.attributes); }
void age(CopyReply& reply) { age(reply.attributes); }

template <class Message>
void age_as(Reply& reply) {
  auto message = decode_all<Message>(reply.fields);
  if (!message) return;
  age(*message);
  age(message->grant);
  reply.fields = encode_fields(*message);
}

}  // namespace

Reply outcome_reply(Op op, const ChangeOutcome& outcome, const GrantState& grant) {
  const auto with = [](Status status, const auto& message) {
    return Reply{.status = status, .fields = encode_fields(message)};
  };
  switch (op) {
    case Op::kCreate:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
    case Op::kLink:
      return with(Status::kOk, EntryReply{outcome.attributes, outcome.parent, grant});
    case Op::kUnlink:
    case Op::kRmdir:
      return with(Status::kOk, RemoveReply{outcome.attributes, outcome.parent, grant});
    case Op::kRename: {
      RenameReply reply{.attributes = outcome.attributes,
                        .parent = outcome.parent,
                        .new_parent = outcome.new_parent,
                        .grant = grant};
      if (outcome.has_other) reply.other = outcome.other;
      return with(Status::kRenamed, reply);
    }
    case Op::kAppend:
      return with(Status::kOk, AppendReply{outcome.number, outcome.attributes, grant});
    case Op::kCopy:
      return with(Status::kCopied, CopyReply{outcome.number, outcome.attributes, grant});
    default:
      return with(Status::kOk, ChangeReply{outcome.attributes, grant});
  }
}

void age_reply(Op op, Reply& reply) {
  if (!is_success(reply.status)) return;
  switch (op) {
    case Op::kCreate:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
    case Op::kLink:
      return age_as<EntryReply>(reply);
    case Op::kUnlink:
    case Op::kRmdir:
      return age_as<RemoveReply>(reply);
    case Op::kRename:
      return age_as<RenameReply>(reply);
    case Op::kSetattr:
    case Op::kSetxattr:
    case Op::kRemovexattr:
    case Op::kFallocate:
      return age_as<ChangeReply>(reply);
    case Op::kAppend:
      return age_as<AppendReply>(reply);
    case Op::kCopy:
      return age_as<CopyReply>(reply);
    default:
      return;  // a lock says nothing of a file
  }
}

}  // namespace homefs
