// The sending half of ServerLink: from the window to the channel.
#include <algorithm>
#include <shared_mutex>
#include <utility>

#include "fusefs/server_link.h"
#include "protocol/codec.h"

namespace homefs {
namespace {

// Larger ones are encrypted by an io thread, not by the one that FUSE reads with: 16 KiB cost about
// 10 us, as much as handing them over.
constexpr std::size_t kInlineBytesMax = 16 * 1024;

// What an Introduction takes on the wire: four numbers, a length and the name.
std::size_t encoded_bytes(const Introduction& introduction) {
  return 3 * sizeof(std::uint64_t) + sizeof(std::uint32_t) + sizeof(std::uint16_t) +
         introduction.name.size();
}

// How many introductions from `first` on fit into `room` bytes.
std::size_t count_that_fits(const std::vector<Introduction>& list, std::size_t room) {
  std::size_t count = 0;
  for (std::size_t bytes = 0; count < std::min(list.size(), kIntroductionsMax); ++count) {
    bytes += encoded_bytes(list[count]);
    if (bytes > room) break;
  }
  return count;
}

std::size_t room_for_introductions(const Call& call) {
  std::size_t taken = sizeof(std::uint32_t) + call.fields.size();
  for (const Slice& slice : call.payload) taken += slice.bytes.size();
  const OpTraits* traits = find_op(static_cast<std::uint16_t>(call.op));
  const std::size_t room = traits->has_payload ? kBodyBytesMax : kFieldBytesMax;
  return room > taken ? room - taken : 0;
}

// Requests of the session itself (tokens) are JSON and name no nodes.
bool takes_introductions(Op op) { return op > Op::kPing; }

std::vector<std::byte> fields_of(const Call& call, std::vector<Introduction>& introductions) {
  if (!takes_introductions(call.op)) return call.fields;
  Introductions message{std::move(introductions)};
  std::vector<std::byte> fields;
  fields.reserve(sizeof(std::uint32_t) + call.fields.size());
  encode(message, fields);
  fields.insert(fields.end(), call.fields.begin(), call.fields.end());
  introductions = std::move(message.list);
  return fields;
}

}  // namespace

std::uint64_t ServerLink::send(Call call, Done done) {
  auto pending = std::make_shared<PendingCall>();
  pending->number = last_number_.fetch_add(1, std::memory_order_relaxed) + 1;
  pending->call = std::move(call);
  pending->done = std::move(done);
  pending->since = std::chrono::steady_clock::now();
  counters_.count_call(pending->call.op);
  const std::uint64_t number = pending->number;  // the call may be gone when pump() returns
  const Lane lane = lane_of(pending->call);
  Result<> taken;
  {
    auto state = state_.lock();
    if (state->is_closed) {
      taken = fail(Status::kDisconnected, "the link is closed");
    } else if (pending->call.session != 0 &&
               pending->call.session != state->window.session_number()) {
      taken = fail(Status::kIoError, "the server has lost the session");
    } else if (!state->window.add(pending)) {
      taken = fail(Status::kNoMemory, "too many requests wait for the server");
    }
  }
  if (!taken) {
    pending->done(std::unexpected(taken.error()));
  } else {
    pump(lane);
  }
  return number;
}

void ServerLink::interrupt(std::uint64_t call_number) {
  Done done = state_.lock()->window.abandon(call_number);
  if (done) done(fail(Status::kInterrupted));
}

void ServerLink::pump_all() {
  pump(Lane::kControl);
  pump(Lane::kBulk);
}

// One thread at a time pumps a lane. One that finds another at it leaves: the flag and the queue
// are under one lock, so the other sees the call before it stops.
void ServerLink::pump(Lane lane) {
  {
    auto state = state_.lock();
    bool& is_pumping = state->is_pumping[static_cast<std::size_t>(lane)];
    if (is_pumping) return;
    is_pumping = true;
  }
  while (const auto departure = next_departure(lane)) transmit(*departure);
}

// Nothing to send: the pumping of `lane` ends with it.
std::optional<ServerLink::Departure> ServerLink::next_departure(Lane lane) {
  const auto index = static_cast<std::size_t>(lane);
  auto state = state_.lock();
  Departure departure;
  departure.connection = connection_for(*state, lane);
  if (departure.connection != nullptr && !departure.connection->room.is_full) {
    departure.call = state->window.take_next(lane, departure.connection->id());
  }
  if (departure.call == nullptr) {
    state->is_pumping[index] = false;
    return std::nullopt;
  }
  departure.lane = lane;
  departure.header.op = departure.call->call.op;
  departure.header.tag = departure.call->tag;
  departure.header.seq = departure.call->seq;
  departure.header.seq_done = state->window.seq_done();
  departure.incarnation = state->session->incarnation;
  departure.space_count = departure.connection->room.space_count;
  return departure;
}

ServerLink::ConnectionPtr ServerLink::connection_for(const State& state, Lane lane) {
  if (lane == Lane::kControl || state.is_bulk_over_control) return state.control;
  if (state.bulk.empty() || state.control == nullptr) return nullptr;
  const PendingCall* next = state.window.front(lane);
  // Calls for one file take one connection, in their order.
  const std::uint64_t key =
      next == nullptr || next->call.nodes.empty() ? 0 : number_of(next->call.nodes.front());
  return state.bulk[key % state.bulk.size()];
}

std::vector<Introduction> ServerLink::introductions_for(const Departure& departure) {
  std::vector<Introduction> list;
  const std::shared_lock lock(attachment_mutex_);
  if (introductions_ != nullptr && !departure.call->call.nodes.empty()) {
    introductions_->introduce(departure.call->call.nodes, departure.incarnation, list);
  }
  return list;
}

void ServerLink::transmit(const Departure& departure) {
  const Call& call = departure.call->call;
  std::vector<Introduction> introductions = introductions_for(departure);
  if (const Result<> sent = send_ahead(departure, introductions); !sent) {
    return on_refused(departure, sent.error());
  }
  OutFrame frame;
  frame.header = departure.header;
  frame.fields = fields_of(call, introductions);
  frame.payload = call.payload;
  if (!introductions.empty()) {
    const auto state = state_.lock();  // the reply is taken under it
    departure.call->introductions = std::move(introductions);
    departure.call->incarnation = departure.incarnation;
  }
  const bool is_large = frame.body_bytes() > kInlineBytesMax;
  const Result<> sent =
      departure.connection->send(std::move(frame), departure.lane == Lane::kBulk || is_large);
  if (!sent) on_refused(departure, sent.error());
}

// Sends the introductions that do not fit into the call, in requests of their own. They need no
// answer before the call leaves: the server takes them in order.
Result<> ServerLink::send_ahead(const Departure& departure,
                                std::vector<Introduction>& introductions) {
  const std::size_t room = room_for_introductions(departure.call->call);
  while (count_that_fits(introductions, room) < introductions.size()) {
    const auto count = static_cast<std::ptrdiff_t>(
        count_that_fits(introductions, kFieldBytesMax - sizeof(std::uint32_t) - sizeof(NodeId)));
    auto step = std::make_shared<PendingCall>();
    step->introductions.assign(introductions.begin(), introductions.begin() + count);
    step->incarnation = departure.incarnation;
    step->lane = departure.lane;
    step->call = make_call(Op::kGetattr, {}, NodeRequest{step->introductions.back().node});
    introductions.erase(introductions.begin(), introductions.begin() + count);
    OutFrame frame;
    frame.header.op = step->call.op;
    {
      auto state = state_.lock();
      state->window.put_under_way(step, departure.connection->id());
      frame.header.tag = step->tag;
      frame.header.seq_done = state->window.seq_done();
    }
    frame.fields = fields_of(step->call, step->introductions);
    // In the same queue as the call, or it would be overtaken by it.
    const Result<> sent =
        departure.connection->send(std::move(frame), departure.lane == Lane::kBulk);
    if (sent) continue;
    auto state = state_.lock();
    (void)state->window.take_answered(step->tag, departure.connection->id());  // it never left
    return sent;
  }
  return {};
}

void ServerLink::on_refused(const Departure& departure, const Error& why) {
  auto state = state_.lock();
  state->window.put_back(departure.call);
  if (why.status == Status::kWouldBlock) {
    // Unless the space has come since: then the next round sends it.
    LinkConnection::Room& room = departure.connection->room;
    if (room.space_count == departure.space_count) room.is_full = true;
    return;
  }
  // Closed, and its on_closed is still to come: nothing more is offered to it.
  if (state->control == departure.connection) state->control = nullptr;
  std::ranges::replace(state->bulk, departure.connection, ConnectionPtr());
}

void ServerLink::on_connection_space(LinkConnection& connection) {
  {
    const auto state = state_.lock();
    ++connection.room.space_count;
    connection.room.is_full = false;
  }
  pump_all();
}

}  // namespace homefs
