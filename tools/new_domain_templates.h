#ifndef TOOLS_NEW_DOMAIN_TEMPLATES_H_
#define TOOLS_NEW_DOMAIN_TEMPLATES_H_

#include <string_view>
#include <utility>

namespace leftfold::tools {

// Path and text of each file of a new domain. @name@ is the domain, @Agg@ the aggregate, @agg@ the
// same in snake_case, @words@ the same with spaces; @Aggs@, @aggs@ and @wordss@ are the plurals;
// @NAME@ and @AGG@ are capitals.
inline constexpr std::pair<std::string_view, std::string_view> kDomainTemplates[] = {
    {"proto/leftfold/@name@/v1/events.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

// Events of a @words@, in its stream `@agg@-<id>`. Fields are only added, never renamed, renumbered or reused.

// The @words@ came to be; the first event of its stream.
message @Agg@Created {
  // What people call it.
  string name = 1;
}

// The @words@ got another name.
message @Agg@Renamed {
  // The new name.
  string name = 1;
}
)text"},
    {"proto/leftfold/@name@/v1/commands.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

import "leftfold/core/v1/options.proto";
import "leftfold/core/v1/receipt.proto";

// Changes @wordss@. Every command may also be refused with the reasons of leftfold.core.v1: VERSION_CONFLICT,
// COMMAND_ID_REUSED, INVALID_FIELDS, QUEUE_FULL.
service @Agg@CommandService {
  // Makes a @words@. Reasons: @AGG@_EXISTS, NAME_EMPTY, NAME_TOO_LONG.
  rpc Create@Agg@(Create@Agg@Request) returns (Create@Agg@Response);
  // Gives it another name; the name that it has already changes nothing.
  // Reasons: @AGG@_NOT_FOUND, NAME_EMPTY, NAME_TOO_LONG.
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
  // The name has more than 200 bytes; metadata: maximum, actual.
  ERROR_REASON_NAME_TOO_LONG = 4 [(leftfold.core.v1.grpc_code) = "INVALID_ARGUMENT"];
}

// Makes a @words@. Refused with: @AGG@_EXISTS, NAME_EMPTY, NAME_TOO_LONG.
message Create@Agg@Request {
  // Its id: 1 to 128 letters, digits and . _ ~ -; empty: the server makes one.
  string @agg@_id = 1;
  // What people call it: 1 to 200 bytes.
  string name = 2;
  // Makes a retry safe: the same id is carried out once. Empty lets the server make one.
  string command_id = 14;
  // Version of the last event that the client saw; another one refuses with VERSION_CONFLICT.
  optional int64 expected_version = 15;
}

// Answers Create@Agg@.
message Create@Agg@Response {
  // What was committed.
  leftfold.core.v1.CommandReceipt receipt = 1;
}

// Gives a @words@ another name. Refused with: @AGG@_NOT_FOUND, NAME_EMPTY, NAME_TOO_LONG.
message Rename@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // What people call it: 1 to 200 bytes.
  string name = 2;
  // Makes a retry safe: the same id is carried out once. Empty lets the server make one.
  string command_id = 14;
  // Version of the last event that the client saw; another one refuses with VERSION_CONFLICT.
  optional int64 expected_version = 15;
}

// Answers Rename@Agg@.
message Rename@Agg@Response {
  // What was committed.
  leftfold.core.v1.CommandReceipt receipt = 1;
}

// What decisions about a @words@ depend on.
message @Agg@State {
  // It has been created.
  bool exists = 1;
  // Its name.
  string name = 2;
}
)text"},
    {"proto/leftfold/@name@/v1/queries.proto", R"text(syntax = "proto3";
package leftfold.@name@.v1;

// Reads @wordss@. Every query may also be refused with the reasons of leftfold.core.v1: INVALID_FIELDS, INVALID_PAGE_TOKEN,
// READ_MODEL_BEHIND, VIEW_REBUILDING, VIEW_STOPPED, QUEUE_FULL.
service @Agg@QueryService {
  // One @words@. Reasons: @AGG@_NOT_FOUND.
  rpc Get@Agg@(Get@Agg@Request) returns (Get@Agg@Response);
  // All @wordss@, in the order of their ids.
  rpc List@Aggs@(List@Aggs@Request) returns (List@Aggs@Response);
  // One @words@ now, then after every change. Reasons: @AGG@_NOT_FOUND.
  rpc Watch@Agg@(Watch@Agg@Request) returns (stream Watch@Agg@Response);
}

// A @words@ as it is shown.
message @Agg@ {
  // Its id.
  string @agg@_id = 1;
  // Version of its last event.
  int64 version = 2;
  // Its name.
  string name = 3;
}

// Asks for Get@Agg@.
message Get@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // Answer as the view did at this earlier position; not with min_position.
  string as_of_position = 12;
  // Wait until the view has applied this position (of a receipt).
  string min_position = 14;
}

// Answers Get@Agg@.
message Get@Agg@Response {
  // The @words@.
  @Agg@ @agg@ = 1;
  // Position that the answer is of.
  string applied_position = 15;
}

// Asks for List@Aggs@.
message List@Aggs@Request {
  // Rows a page: 0 gives 50, more than 1000 gives 1000.
  int32 page_size = 10;
  // next_page_token of the page before.
  string page_token = 11;
  // Wait until the view has applied this position (of a receipt).
  string min_position = 14;
}

// Answers List@Aggs@.
message List@Aggs@Response {
  // A page of them.
  repeated @Agg@ @aggs@ = 1;
  // Empty on the last page.
  string next_page_token = 11;
  // Position that the answer is of.
  string applied_position = 15;
}

// Asks for Watch@Agg@.
message Watch@Agg@Request {
  // Its id.
  string @agg@_id = 1;
  // Go on after this position of an earlier watch.
  string resume_position = 13;
  // Begin no earlier than this position (of a receipt): wait until the view has applied it.
  string min_position = 14;
}

// Answers Watch@Agg@.
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

#include <cstddef>
#include <string_view>

#include "core/aggregate.h"
#include "leftfold/@name@/v1/commands.pb.h"
#include "leftfold/@name@/v1/events.pb.h"

namespace leftfold::@name@ {

inline constexpr std::size_t kNameBytesMax = 200;

// The @words@: its rules. Its past is @agg@_test.cc.
struct @Agg@ {
  static constexpr std::string_view kCategory = "@agg@";
  using Commands = Types<v1::Create@Agg@Request, v1::Rename@Agg@Request>;
  using Creates = Types<v1::Create@Agg@Request>;
  using Events = Types<v1::@Agg@Created, v1::@Agg@Renamed>;
  using State = v1::@Agg@State;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.

  static void Validate(const v1::Create@Agg@Request& command, Violations& violations);
  static void Validate(const v1::Rename@Agg@Request& command, Violations& violations);

  static Decision<Events> Decide(const v1::Create@Agg@Request& command, const State& state,
                                 const CommandContext& context);
  static Decision<Events> Decide(const v1::Rename@Agg@Request& command, const State& state,
                                 const CommandContext& context);

  static void Evolve(State& state, const v1::@Agg@Created& event);
  static void Evolve(State& state, const v1::@Agg@Renamed& event);
};

}  // namespace leftfold::@name@
#endif  // DOMAINS_@NAME@_@AGG@_H_
)text"},
    {"domains/@name@/@agg@.cc", R"text(#include "domains/@name@/@agg@.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace leftfold::@name@ {
namespace {

void ValidateName(const std::string& name, Violations& violations) {
  if (name.empty()) violations.Add(v1::ERROR_REASON_NAME_EMPTY, "name", "must not be empty");
  if (name.size() > kNameBytesMax) {
    violations.Add(
        v1::ERROR_REASON_NAME_TOO_LONG, "name",
        fmt::format("must have at most {} bytes", kNameBytesMax),
        {{"maximum", fmt::to_string(kNameBytesMax)}, {"actual", fmt::to_string(name.size())}});
  }
}

}  // namespace

void @Agg@::Validate(const v1::Create@Agg@Request& command, Violations& violations) {
  ValidateName(command.name(), violations);
}

void @Agg@::Validate(const v1::Rename@Agg@Request& command, Violations& violations) {
  ValidateName(command.name(), violations);
}

Decision<@Agg@::Events> @Agg@::Decide(const v1::Create@Agg@Request& command, const State& state,
                                      const CommandContext& context) {
  if (state.exists()) {
    return Reject(v1::ERROR_REASON_@AGG@_EXISTS,
                  fmt::format("there is a @words@ {} already; take another id", context.aggregate_id),
                  {{"@agg@_id", context.aggregate_id}});
  }
  v1::@Agg@Created created;
  created.set_name(command.name());
  return Accept(std::move(created));
}

Decision<@Agg@::Events> @Agg@::Decide(const v1::Rename@Agg@Request& command, const State& state,
                                      const CommandContext& context) {
  if (!state.exists()) {
    return Reject(v1::ERROR_REASON_@AGG@_NOT_FOUND,
                  fmt::format("there is no @words@ {}; create it first", context.aggregate_id),
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

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/view.h"
#include "domains/@name@/@agg@.h"
#include "leftfold/@name@/v1/events.pb.h"
#include "leftfold/@name@/v1/queries.pb.h"

namespace leftfold::@name@ {

// The @wordss@ by their ids: one row each.
struct @Agg@Directory {
  static constexpr std::string_view kName = "@agg@_directory";
  static constexpr int kVersion = 1;  // Bump it when the schema or a fold changes.
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE @agg@_row (
      id TEXT PRIMARY KEY NOT NULL,
      version INTEGER NOT NULL,
      name TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles = Types<v1::@Agg@Created, v1::@Agg@Renamed>;
  using Queries = Types<v1::Get@Agg@Request, v1::List@Aggs@Request>;
  using Watches = Types<v1::Watch@Agg@Request>;

  static void On(const v1::@Agg@Created& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::@Agg@Renamed& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::Get@Agg@Response> Answer(const v1::Get@Agg@Request& query, ReadTx& tx);
  static std::string Stream(const v1::Get@Agg@Request& query) {
    return StreamName(@Agg@::kCategory, query.@agg@_id());
  }
  static absl::StatusOr<v1::List@Aggs@Response> Answer(const v1::List@Aggs@Request& query,
                                                       ReadTx& tx);

  static std::string Key(const v1::Watch@Agg@Request& watch) { return watch.@agg@_id(); }
  static absl::StatusOr<v1::Watch@Agg@Response> Answer(const v1::Watch@Agg@Request& watch,
                                                       ReadTx& tx);
};

}  // namespace leftfold::@name@
#endif  // DOMAINS_@NAME@_@AGG@_DIRECTORY_H_
)text"},
    {"domains/@name@/@agg@_directory.cc", R"text(#include "domains/@name@/@agg@_directory.h"

#include <fmt/format.h>

#include <utility>

#include "core/page.h"
#include "leftfold/@name@/v1/commands.pb.h"

namespace leftfold::@name@ {
namespace {

absl::StatusOr<v1::@Agg@> FindRow(const std::string& id, ReadTx& tx) {
  Rows rows = tx.Query("SELECT version, name FROM @agg@_row WHERE id = ?", id);
  if (!rows.Next()) {
    return Reject(v1::ERROR_REASON_@AGG@_NOT_FOUND, fmt::format("there is no @words@ {}", id),
                  {{"@agg@_id", id}});
  }
  v1::@Agg@ found;
  found.set_@agg@_id(id);
  found.set_version(rows.Int(0));
  found.set_name(rows.Text(1));
  return found;
}

}  // namespace

void @Agg@Directory::On(const v1::@Agg@Created& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("INSERT OR REPLACE INTO @agg@_row (id, version, name) VALUES (?, ?, ?)",
          meta.aggregate_id(), meta.version(), event.name());
  tx.Touch(meta.aggregate_id());
}

void @Agg@Directory::On(const v1::@Agg@Renamed& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE @agg@_row SET version = ?, name = ? WHERE id = ?", meta.version(), event.name(),
          meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

absl::StatusOr<v1::Get@Agg@Response> @Agg@Directory::Answer(const v1::Get@Agg@Request& query,
                                                            ReadTx& tx) {
  absl::StatusOr<v1::@Agg@> found = FindRow(query.@agg@_id(), tx);
  if (!found.ok()) return found.status();
  v1::Get@Agg@Response response;
  *response.mutable_@agg@() = *std::move(found);
  return response;
}

absl::StatusOr<v1::List@Aggs@Response> @Agg@Directory::Answer(const v1::List@Aggs@Request& query,
                                                              ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::List@Aggs@Response response;
  Rows rows =
      tx.Query("SELECT id, version, name FROM @agg@_row WHERE id > ? ORDER BY id LIMIT ?",
               page->after(), page->size() + 1);
  while (rows.Next()) {
    if (response.@aggs@_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.@aggs@().rbegin()->@agg@_id()));
      break;
    }
    v1::@Agg@& row = *response.add_@aggs@();
    row.set_@agg@_id(rows.Text(0));
    row.set_version(rows.Int(1));
    row.set_name(rows.Text(2));
  }
  return response;
}

absl::StatusOr<v1::Watch@Agg@Response> @Agg@Directory::Answer(const v1::Watch@Agg@Request& watch,
                                                              ReadTx& tx) {
  absl::StatusOr<v1::@Agg@> found = FindRow(watch.@agg@_id(), tx);
  if (!found.ok()) return found.status();
  v1::Watch@Agg@Response response;
  *response.mutable_@agg@() = *std::move(found);
  return response;
}

}  // namespace leftfold::@name@
)text"},
    {"domains/@name@/@agg@_test.cc", R"text(#include "domains/@name@/@agg@.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "domains/@name@/@agg@_directory.h"
#include "testing/given.h"

namespace leftfold::@name@ {
namespace {

using testing::Given;
using testing::GoldenFold;
using testing::ViewFixture;

// `message` with a name.
template <class Message>
Message Named(const std::string& name) {
  Message message;
  message.set_name(name);
  return message;
}

v1::@Agg@Created Created(const std::string& name) { return Named<v1::@Agg@Created>(name); }
v1::@Agg@Renamed Renamed(const std::string& name) { return Named<v1::@Agg@Renamed>(name); }
v1::Create@Agg@Request Create(const std::string& name) {
  return Named<v1::Create@Agg@Request>(name);
}
v1::Rename@Agg@Request Rename(const std::string& name) {
  return Named<v1::Rename@Agg@Request>(name);
}

TEST(@Agg@Test, IsCreatedOnce) {
  Given<@Agg@>().When(Create("North")).Then(Created("North"));
  const auto refusal =
      Given<@Agg@>(Created("North")).When(Create("South")).ThenRejected("@AGG@_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("@agg@_id"), "id-1");
}

TEST(@Agg@Test, NeedsANameOfBoundedLength) {
  Given<@Agg@>().When(Create("")).ThenInvalid("NAME_EMPTY");
  const std::string longest(kNameBytesMax, 'n');
  Given<@Agg@>().When(Create(longest)).Then(Created(longest));
  const auto refusal = Given<@Agg@>().When(Create(longest + "n")).ThenInvalid("NAME_TOO_LONG");
  EXPECT_EQ(refusal.metadata("maximum"), std::to_string(kNameBytesMax));
  EXPECT_EQ(refusal.metadata("actual"), std::to_string(kNameBytesMax + 1));
}

TEST(@Agg@Test, IsRenamedUnlessItHasThatNameAlready) {
  Given<@Agg@>(Created("North")).When(Rename("South")).Then(Renamed("South"));
  Given<@Agg@>(Created("North")).When(Rename("North")).ThenNothing();
  const auto refusal = Given<@Agg@>().When(Rename("South")).ThenRejected("@AGG@_NOT_FOUND");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kNotFound);
}

TEST(@Agg@Test, ItsStatesMeanWhatTheyMeantInSnapshots) {
  GoldenFold<@Agg@> fold;
  fold.Add(Created("North")).Add(Renamed("South"));
  EXPECT_EQ(fold.Value(), "e55d0bc914dab0d0")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(@Agg@::kStateVersion, 1) << "bumped: put the number and the new value here";
}

TEST(@Agg@DirectoryTest, ShowsTheLastNameAndVersion) {
  ViewFixture<@Agg@Directory> view("@agg@");
  view.Fold("a", Created("North")).Fold("b", Created("East")).Fold("a", Renamed("South"));
  EXPECT_THAT(view.TakeTouched(), ::testing::UnorderedElementsAre("a", "b"));
  v1::Get@Agg@Request query;
  query.set_@agg@_id("a");
  const auto found = view.Ask(query);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->@agg@().name(), "South");
  EXPECT_EQ(found->@agg@().version(), 1);
  query.set_@agg@_id("nobody");
  EXPECT_EQ(ReasonOf(view.Ask(query).status()), "@AGG@_NOT_FOUND");
}

TEST(@Agg@DirectoryTest, IsReadPageByPageWithoutScanningTheTable) {
  ViewFixture<@Agg@Directory> view("@agg@");
  view.Fold("a", Created("North")).Fold("b", Created("East"));
  v1::List@Aggs@Request query;
  query.set_page_size(1);
  const auto first = view.Ask(query);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->@aggs@_size(), 1);
  EXPECT_EQ(first->@aggs@(0).@agg@_id(), "a");
  query.set_page_token(first->next_page_token());
  const auto second = view.Ask(query);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_EQ(second->@aggs@_size(), 1);
  EXPECT_EQ(second->@aggs@(0).@agg@_id(), "b");
  EXPECT_EQ(second->next_page_token(), "");
  EXPECT_THAT(view.Scans(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::@name@
)text"},
    {"domains/@name@/golden/leftfold.@name@.v1.@Agg@Created.1.txt", R"text(0a054e6f727468
{"name":"North"}
)text"},
    {"domains/@name@/golden/leftfold.@name@.v1.@Agg@Renamed.1.txt", R"text(0a05536f757468
{"name":"South"}
)text"},
};

}  // namespace leftfold::tools
#endif  // TOOLS_NEW_DOMAIN_TEMPLATES_H_
