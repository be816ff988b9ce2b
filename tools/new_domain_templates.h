#ifndef TOOLS_NEW_DOMAIN_TEMPLATES_H_
#define TOOLS_NEW_DOMAIN_TEMPLATES_H_

#include <string_view>
#include <utility>

namespace leftfold::tools {

// Path and text of each file of a new domain. @name@ is the domain, @Agg@ the aggregate, @agg@ the same in snake_case.
inline constexpr std::pair<std::string_view, std::string_view> kDomainTemplates[] = {
    {"proto/leftfold/@name@/v1/events.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

// Events of a @Agg@, in its stream `@agg@-<id>`. Never renamed, never renumbered.

// It came into being.
message @Agg@Created {
  // As given.
  string name = 1;
}

// It got another name.
message @Agg@Renamed {
  // The new name.
  string name = 1;
}
)text"},
    {"proto/leftfold/@name@/v1/commands.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

import "leftfold/core/v1/options.proto";
import "leftfold/core/v1/receipt.proto";

// Changes a @Agg@.
service @Agg@CommandService {
  // Makes one. Reasons: @AGG@_EXISTS, NAME_EMPTY.
  rpc Create@Agg@(Create@Agg@Request) returns (Create@Agg@Response);
  // Gives it another name; the name that it has already changes nothing. Reasons: @AGG@_NOT_FOUND, NAME_EMPTY.
  rpc Rename@Agg@(Rename@Agg@Request) returns (Rename@Agg@Response);
}

// Why a command or query was refused.
enum ErrorReason {
  ERROR_REASON_UNSPECIFIED = 0 [(leftfold.core.v1.grpc_code) = "UNKNOWN"];
  // There is one of this id.
  ERROR_REASON_@AGG@_EXISTS = 1 [(leftfold.core.v1.grpc_code) = "ALREADY_EXISTS"];
  // There is none of this id.
  ERROR_REASON_@AGG@_NOT_FOUND = 2 [(leftfold.core.v1.grpc_code) = "NOT_FOUND"];
  // It needs a name.
  ERROR_REASON_NAME_EMPTY = 3 [(leftfold.core.v1.grpc_code) = "INVALID_ARGUMENT"];
}

// See Create@Agg@.
message Create@Agg@Request {
  // Its id; empty: the server makes one.
  string @agg@_id = 1;
  // Not empty.
  string name = 2;
  // Makes the command safe to send again. A UUIDv7 is best.
  string command_id = 14;
  // Refuse with VERSION_CONFLICT unless the last event has this version.
  optional int64 expected_version = 15;
}

// See Create@Agg@.
message Create@Agg@Response {
  // Proof that it is stored.
  leftfold.core.v1.CommandReceipt receipt = 1;
}

// See Rename@Agg@.
message Rename@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // Not empty.
  string name = 2;
  // Makes the command safe to send again. A UUIDv7 is best.
  string command_id = 14;
  // Refuse with VERSION_CONFLICT unless the last event has this version.
  optional int64 expected_version = 15;
}

// See Rename@Agg@.
message Rename@Agg@Response {
  // Proof that it is stored.
  leftfold.core.v1.CommandReceipt receipt = 1;
}

// What decisions depend on.
message @Agg@State {
  // It has been created.
  bool exists = 1;
  // Its name.
  string name = 2;
}
)text"},
    {"proto/leftfold/@name@/v1/queries.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

// Reads @Agg@s.
service @Agg@QueryService {
  // One of them. Reasons: @AGG@_NOT_FOUND.
  rpc Get@Agg@(Get@Agg@Request) returns (Get@Agg@Response);
  // All, in the order of their ids.
  rpc List@Agg@s(List@Agg@sRequest) returns (List@Agg@sResponse);
  // One of them now, then after every change. Reasons: @AGG@_NOT_FOUND.
  rpc Watch@Agg@(Watch@Agg@Request) returns (stream Watch@Agg@Response);
}

// As it is shown.
message @Agg@ {
  // Its id.
  string @agg@_id = 1;
  // Version of its last event.
  int64 version = 2;
  // Its name.
  string name = 3;
}

// See Get@Agg@.
message Get@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // Wait until the view has applied this position (of a receipt).
  string min_position = 14;
}

// See Get@Agg@.
message Get@Agg@Response {
  // What was found.
  @Agg@ @agg@ = 1;
  // Position that the answer is of.
  string applied_position = 15;
}

// See List@Agg@s.
message List@Agg@sRequest {
  // Rows a page: 0 gives 50, more than 1000 gives 1000.
  int32 page_size = 10;
  // next_page_token of the page before.
  string page_token = 11;
  // Wait until the view has applied this position (of a receipt).
  string min_position = 14;
}

// See List@Agg@s.
message List@Agg@sResponse {
  // A page of them.
  repeated @Agg@ items = 1;
  // Empty on the last page.
  string next_page_token = 11;
  // Position that the answer is of.
  string applied_position = 15;
}

// See Watch@Agg@.
message Watch@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // Go on after this position of an earlier watch.
  string resume_position = 13;
}

// See Watch@Agg@.
message Watch@Agg@Response {
  // Its state; not set in heartbeats.
  @Agg@ @agg@ = 1;
  // It is gone; the watch ends.
  bool deleted = 13;
  // Nothing has changed; the connection is alive.
  bool heartbeat = 14;
  // What the message amounts to; resume from it.
  string position = 15;
}
)text"},
    {"domains/@name@/CMakeLists.txt", R"text(leftfold_add_domain(@name@)
)text"},
    {"domains/@name@/domain.cc", R"text(#include "core/registry.h"
#include "domains/@name@/@agg@.h"
#include "domains/@name@/@agg@_directory.h"

namespace leftfold::@name@ {

void Register(Registry& registry);  // Called by the generated list of domains.

void Register(Registry& registry) {
  registry.Add<@Agg@>();
  registry.Add<@Agg@Directory>();
}

}  // namespace leftfold::@name@
)text"},
    {"domains/@name@/@agg@.h", R"text(#ifndef DOMAINS_@NAME@_@AGG@_H_
#define DOMAINS_@NAME@_@AGG@_H_

#include "core/aggregate.h"
#include "leftfold/@name@/v1/commands.pb.h"
#include "leftfold/@name@/v1/events.pb.h"

namespace leftfold::@name@ {

struct @Agg@ {
  static constexpr std::string_view kCategory = "@agg@";
  using Commands = Types<v1::Create@Agg@Request, v1::Rename@Agg@Request>;
  using Creates = Types<v1::Create@Agg@Request>;
  using Events = Types<v1::@Agg@Created, v1::@Agg@Renamed>;
  using State = v1::@Agg@State;
  static constexpr int kStateVersion = 1;

  static void Validate(const v1::Create@Agg@Request&, Violations&);
  static void Validate(const v1::Rename@Agg@Request&, Violations&);

  static Decision<Events> Decide(const v1::Create@Agg@Request&, const State&, const CommandContext&);
  static Decision<Events> Decide(const v1::Rename@Agg@Request&, const State&, const CommandContext&);

  static void Evolve(State&, const v1::@Agg@Created&);
  static void Evolve(State&, const v1::@Agg@Renamed&);
};

}  // namespace leftfold::@name@
#endif  // DOMAINS_@NAME@_@AGG@_H_
)text"},
    {"domains/@name@/@agg@.cc", R"text(#include "domains/@name@/@agg@.h"

#include <utility>

namespace leftfold::@name@ {
namespace {

template <class Command>
void ValidateName(const Command& command, Violations& violations) {
  if (command.name().empty()) violations.Add(v1::ERROR_REASON_NAME_EMPTY, "name", "must not be empty");
}

}  // namespace

void @Agg@::Validate(const v1::Create@Agg@Request& command, Violations& violations) {
  ValidateName(command, violations);
}
void @Agg@::Validate(const v1::Rename@Agg@Request& command, Violations& violations) {
  ValidateName(command, violations);
}

Decision<@Agg@::Events> @Agg@::Decide(const v1::Create@Agg@Request& command, const State& state,
                                      const CommandContext& context) {
  if (state.exists()) {
    return Reject(v1::ERROR_REASON_@AGG@_EXISTS, "there is one of this id; choose another",
                  {{"@agg@_id", context.aggregate_id}});
  }
  v1::@Agg@Created created;
  created.set_name(command.name());
  return Accept(std::move(created));
}

Decision<@Agg@::Events> @Agg@::Decide(const v1::Rename@Agg@Request& command, const State& state,
                                      const CommandContext& context) {
  if (!state.exists()) {
    return Reject(v1::ERROR_REASON_@AGG@_NOT_FOUND, "there is none of this id; create it first",
                  {{"@agg@_id", context.aggregate_id}});
  }
  if (command.name() == state.name()) return Accept();
  v1::@Agg@Renamed renamed;
  renamed.set_name(command.name());
  return Accept(std::move(renamed));
}

void @Agg@::Evolve(State& state, const v1::@Agg@Created& event) {
  state.set_exists(true);
  state.set_name(event.name());
}
void @Agg@::Evolve(State& state, const v1::@Agg@Renamed& event) { state.set_name(event.name()); }

}  // namespace leftfold::@name@
)text"},
    {"domains/@name@/@agg@_directory.h", R"text(#ifndef DOMAINS_@NAME@_@AGG@_DIRECTORY_H_
#define DOMAINS_@NAME@_@AGG@_DIRECTORY_H_

#include <string>

#include "core/view.h"
#include "leftfold/@name@/v1/events.pb.h"
#include "leftfold/@name@/v1/queries.pb.h"

namespace leftfold::@name@ {

// One row for each @Agg@.
struct @Agg@Directory {
  static constexpr std::string_view kName = "@agg@_directory";
  static constexpr int kVersion = 1;  // Bump it when the schema or a fold changes: the view is built anew.
  static constexpr std::string_view kSchema =
      "CREATE TABLE items(id TEXT PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL) STRICT, WITHOUT ROWID";
  using Handles = Types<v1::@Agg@Created, v1::@Agg@Renamed>;
  using Queries = Types<v1::Get@Agg@Request, v1::List@Agg@sRequest>;
  using Watches = Types<v1::Watch@Agg@Request>;

  static void On(const v1::@Agg@Created&, const EventMeta&, WriteTx&);
  static void On(const v1::@Agg@Renamed&, const EventMeta&, WriteTx&);

  static absl::StatusOr<v1::Get@Agg@Response> Answer(const v1::Get@Agg@Request&, ReadTx&);
  static absl::StatusOr<v1::List@Agg@sResponse> Answer(const v1::List@Agg@sRequest&, ReadTx&);
  static absl::StatusOr<v1::Watch@Agg@Response> Answer(const v1::Watch@Agg@Request&, ReadTx&);
  static std::string Key(const v1::Watch@Agg@Request& request) { return request.@agg@_id(); }
};

}  // namespace leftfold::@name@
#endif  // DOMAINS_@NAME@_@AGG@_DIRECTORY_H_
)text"},
    {"domains/@name@/@agg@_directory.cc", R"text(#include "domains/@name@/@agg@_directory.h"

#include "core/page.h"
#include "leftfold/@name@/v1/commands.pb.h"

namespace leftfold::@name@ {
namespace {

absl::StatusOr<v1::@Agg@> Find(const std::string& id, ReadTx& tx) {
  Rows rows = tx.Query("SELECT version, name FROM items WHERE id = ?", id);
  if (!rows.Next()) {
    return Reject(v1::ERROR_REASON_@AGG@_NOT_FOUND, "there is none of this id", {{"@agg@_id", id}});
  }
  v1::@Agg@ found;
  found.set_@agg@_id(id);
  found.set_version(rows.Int(0));
  found.set_name(rows.Text(1));
  return found;
}

}  // namespace

void @Agg@Directory::On(const v1::@Agg@Created& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("INSERT INTO items(id, version, name) VALUES (?, ?, ?)", meta.aggregate_id(), meta.version(), event.name());
  tx.Touch(meta.aggregate_id());
}
void @Agg@Directory::On(const v1::@Agg@Renamed& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE items SET version = ?, name = ? WHERE id = ?", meta.version(), event.name(), meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

absl::StatusOr<v1::Get@Agg@Response> @Agg@Directory::Answer(const v1::Get@Agg@Request& request, ReadTx& tx) {
  absl::StatusOr<v1::@Agg@> found = Find(request.@agg@_id(), tx);
  if (!found.ok()) return found.status();
  v1::Get@Agg@Response response;
  *response.mutable_@agg@() = *found;
  return response;
}

absl::StatusOr<v1::List@Agg@sResponse> @Agg@Directory::Answer(const v1::List@Agg@sRequest& request, ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(request);
  if (!page.ok()) return page.status();
  v1::List@Agg@sResponse response;
  Rows rows = tx.Query("SELECT id, version, name FROM items WHERE id > ? ORDER BY id LIMIT ?", page->after(),
                       page->size() + 1);
  while (rows.Next()) {
    if (response.items_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.items(response.items_size() - 1).@agg@_id()));
      break;
    }
    auto* item = response.add_items();
    item->set_@agg@_id(rows.Text(0));
    item->set_version(rows.Int(1));
    item->set_name(rows.Text(2));
  }
  return response;
}

absl::StatusOr<v1::Watch@Agg@Response> @Agg@Directory::Answer(const v1::Watch@Agg@Request& request, ReadTx& tx) {
  absl::StatusOr<v1::@Agg@> found = Find(request.@agg@_id(), tx);
  if (!found.ok()) return found.status();
  v1::Watch@Agg@Response response;
  *response.mutable_@agg@() = *found;
  return response;
}

}  // namespace leftfold::@name@
)text"},
    {"domains/@name@/@agg@_test.cc", R"text(#include "domains/@name@/@agg@.h"

#include <gtest/gtest.h>

#include "testing/given.h"

namespace leftfold::@name@ {
namespace {

using testing::Given;

v1::@Agg@Created Created(const std::string& name) {
  v1::@Agg@Created event;
  event.set_name(name);
  return event;
}
v1::@Agg@Renamed Renamed(const std::string& name) {
  v1::@Agg@Renamed event;
  event.set_name(name);
  return event;
}
v1::Create@Agg@Request Create(const std::string& name) {
  v1::Create@Agg@Request command;
  command.set_name(name);
  return command;
}
v1::Rename@Agg@Request Rename(const std::string& name) {
  v1::Rename@Agg@Request command;
  command.set_name(name);
  return command;
}

TEST(@Agg@Test, ItIsCreatedOnce) {
  Given<@Agg@>().When(Create("first")).Then(Created("first"));
  Given<@Agg@>(Created("first")).When(Create("second")).ThenRejected("@AGG@_EXISTS");
}
TEST(@Agg@Test, ItNeedsAName) { Given<@Agg@>().When(Create("")).ThenInvalid("NAME_EMPTY"); }
TEST(@Agg@Test, ARenameChangesTheNameOnly) {
  Given<@Agg@>(Created("first")).When(Rename("second")).Then(Renamed("second"));
  Given<@Agg@>(Created("first")).When(Rename("first")).ThenNothing();
  Given<@Agg@>().When(Rename("second")).ThenRejected("@AGG@_NOT_FOUND");
}

}  // namespace
}  // namespace leftfold::@name@
)text"},
};

}  // namespace leftfold::tools
#endif  // TOOLS_NEW_DOMAIN_TEMPLATES_H_
