// What a server gives out, or shares, to be shown to it again: page tokens of every list, chain
// values that subscriptions go on from, the token of the data folder, signatures of webhooks. They
// are those that the server gave, such with a changed byte, those of another request, forged ones,
// or any text. What was not given for what it is shown with is refused with a reason.
#include <absl/strings/escaping.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/page.h"
#include "core/serialize.h"
#include "core/webhook_signature.h"
#include "event_store/readers.h"
#include "server/command_service.h"
#include "server/store_service.h"
#include "tests/fuzz/read_world.h"

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;
namespace v1 = store::v1;

// In place of the token that the record has, which then says what is changed or forged:
constexpr std::uint8_t kGiven = 0x01;   // That which was given for this very request.
constexpr std::uint8_t kOfLast = 0x02;  // That which was given last.
// One with the record's text as its key, sealed as the server seals; a webhook's, by who has the
// record's text for the secret.
constexpr std::uint8_t kForged = 0x04;
constexpr std::uint8_t kBent = 0x08;       // Of that a byte is another.
constexpr std::uint8_t kSignature = 0x10;  // Text: a webhook's signature; else who sends a command.
constexpr std::uint8_t kLate = 0x20;       // A signature of some minutes ago, or to come.
constexpr std::uint8_t kTwice = 0x20;      // The header, first as the record has it.

constexpr std::size_t kSteps = 6;  // Of an input.
constexpr char kSecret[] = "whsec_fuzz";
constexpr char kBody[] = R"({"type": "charge.succeeded", "charge": {"idempotency_key": "p1",
                             "id": "c1", "status": "succeeded"}})";
// Needs the token.
constexpr char kSystemCommand[] =
    "leftfold.payments.v1.InitiatePaymentRequest {payment_id: 'p1' payer_id: 'ann' purpose {kind: "
    "'order' ref_id: 'o1'} amount_minor: 2050 currency: 'EUR' method_type: 'card' token: 'tok' "
    "card_last4: '4242'}";

std::string Bearer() { return std::string("Bearer ") + Wire::kToken; }

std::size_t Number(std::string_view text, std::size_t at) {
  return at < text.size() ? static_cast<std::uint8_t>(text[at]) : 0;
}

std::string Bent(std::string token, std::string_view how) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (token.empty()) return token;
  char& byte = token[Number(how, 0) % token.size()];
  const std::size_t other = Number(how, 1);
  byte = kLetters[(other + (byte == kLetters[other % kLetters.size()] ? 1 : 0)) % kLetters.size()];
  return token;
}

// As the server takes it: some letters at its end mean nothing.
std::string Meaning(const std::string& token) {
  std::string bytes;
  return absl::WebSafeBase64Unescape(token, &bytes) ? bytes : token;
}

class Server {
 public:
  static Server& Get() {
    static Server made;
    return made;
  }

  const Surface& surface() const { return surface_; }

  void Run(const std::vector<Record>& records) {
    last_.clear();
    given_ = given_before_;
    for (const Record& record : records) {
      const pb::Descriptor* type = surface_.requests[record.choice % surface_.requests.size()];
      if (type == v1::SubscribeRequest::descriptor()) {
        Subscribe(record);
      } else if (type != nullptr) {
        List(*type, record);
      } else if ((record.flags & kSignature) != 0) {
        TakeMessage(record);
      } else {
        SendCommandAs(record);
      }
    }
    if (feeds_.open() != 0) Die("feeds are left");
  }

 private:
  Server() {
    const auto serve = [](const absl::Status& served) {
      if (!served.ok()) Die(served.ToString());
    };
    serve(ServeStore({.store = *world_.log.store,
                      .appender = appender_,
                      .feeds = feeds_,
                      .work = world_.log.scheduler.Pool()},
                     Wire::kToken, world_.log.services));
    serve(ServeCommands(AllDomains(), handler_, write_.writer, Wire::kToken, write_.services));
    const auto events = world_.log.store->ReadAll({});
    if (!events.ok()) Die(events.status().ToString());
    for (const RecordedEvent& event : events->events) chains_.emplace_back(AsBytes(event.chain));
    surface_.requests = {nullptr, v1::SubscribeRequest::descriptor(),
                         v1::ListStreamsRequest::descriptor()};
    for (const ViewEntry& view : AllDomains().views()) {
      for (const QueryEntry& query : view.queries) {
        if (query.request->FindFieldByName("page_token") != nullptr)
          surface_.requests.push_back(query.request);
      }
    }
    surface_.records_max = kSteps;
    surface_.words = StepWords();
    surface_.words.push_back(Bearer());
    surface_.words.push_back(WebhookSignature(kSecret, world_.log.clock.Now(), kBody));
    HasRpc(RpcTaking(*FromText(kSystemCommand)->GetDescriptor()));
    for (const pb::Descriptor* type : surface_.requests) {
      if (type == nullptr) continue;
      HasRpc(RpcTaking(*type));
      std::vector<std::string> steps;
      AddStepsOf(*type, steps);
      for (const std::string& step : steps) AddWord(*FromText(step));
    }
    given_before_ = given_;
  }

  void AddWord(pb::Message& request) {
    const std::string token = GivenFor(request);
    if (!token.empty()) surface_.words.push_back(token);
  }

  // The answer; nullptr when it is refused.
  std::unique_ptr<pb::Message> Ask(const pb::Message& request) {
    auto answers = world_.log.wire.Call(RpcTaking(*request.GetDescriptor()),
                                        {.bytes = request.SerializeAsString()});
    if (answers.empty()) return nullptr;
    Remember(request, TextIn(*answers[0], "next_page_token"));
    return std::move(answers[0]);
  }
  // Whether the request's token may be answered.
  void Remember(const pb::Message& request, const std::string& token) {
    if (token.empty()) return;
    last_ = token;
    given_.emplace(Meaning(token), ArgumentsOf(request));
  }
  bool IsGiven(const pb::Message& request) const {
    return given_.contains({Meaning(TextIn(request, "page_token")), ArgumentsOf(request)});
  }
  // What a token is bound to.
  static std::string ArgumentsOf(const pb::Message& request) {
    const std::unique_ptr<pb::Message> copy(request.New());
    copy->CopyFrom(request);
    for (const char* field : {"page_size", "page_token", "min_position"}) {
      if (const auto* found = copy->GetDescriptor()->FindFieldByName(field))
        copy->GetReflection()->ClearField(copy.get(), found);
    }
    return copy->GetDescriptor()->full_name() + "\n" + DeterministicBytes(*copy);
  }

  // Leaves the request with pages of one.
  std::string GivenFor(pb::Message& request) {
    const auto* size = request.GetDescriptor()->FindFieldByName("page_size");
    if (size == nullptr) return "";
    request.GetReflection()->SetInt32(&request, size, 1);
    SetText(request, "page_token", "");
    const auto first = Ask(request);
    return first == nullptr ? "" : TextIn(*first, "next_page_token");
  }
  std::string ForgedFor(pb::Message& request, const std::string& key) {
    SetText(request, "page_token", "");
    const auto page = Page::Of(request);
    if (!page.ok()) return "";
    Remember(request, page->TokenAfter(key));
    return last_;
  }

  void List(const pb::Descriptor& type, const Record& record) {
    const auto request = ParseRecord(type, record);
    if (request == nullptr) return;
    const std::string own = TextIn(*request, "page_token");
    const bool given = (record.flags & kGiven) != 0;
    std::string token = own;
    if (given) {
      token = GivenFor(*request);
    } else if ((record.flags & kOfLast) != 0) {
      token = last_;
    } else if ((record.flags & kForged) != 0) {
      token = ForgedFor(*request, own);
    }
    const bool bent = (record.flags & kBent) != 0;
    if (bent) token = Bent(token, own);
    SetText(*request, "page_token", token);
    const bool may = token.empty() || IsGiven(*request);
    const auto answer = Ask(*request);
    if (answer != nullptr && !may)
      Die("answered with another's token: " + type.full_name() + " " + request->DebugString());
    if (answer == nullptr && given && !bent && !token.empty())
      Die("its own token is refused: " + type.full_name() + " " + request->DebugString());
  }

  void Subscribe(const Record& record) {
    const auto parsed = ParseRecord(*v1::SubscribeRequest::descriptor(), record);
    if (parsed == nullptr) return;
    auto& request = static_cast<v1::SubscribeRequest&>(*parsed);
    const std::string own = request.after_chain();
    const bool given = (record.flags & kGiven) != 0;
    const bool bent = (record.flags & kBent) != 0;
    if (given) {
      const auto place = static_cast<std::uint64_t>(request.after_position()) % chains_.size();
      request.set_after_position(static_cast<std::int64_t>(place) + 1);
      request.set_after_chain(chains_[place]);
    }
    if (bent) request.set_after_chain(Bent(request.after_chain(), own));
    const auto told = world_.log.wire.Open(RpcTaking(*request.GetDescriptor()),
                                           {.bytes = request.SerializeAsString()});
    world_.log.wire.CloseAll();
    if (!told.empty() && request.after_position() > 0 && !request.after_chain().empty() &&
        !IsOfTheLog(request)) {
      Die("went on from another log: " + request.DebugString());
    }
    if (told.empty() && given && !bent && request.partition() == 0 && !request.has_filter())
      Die("its own chain value is refused: " + request.DebugString());
  }
  bool IsOfTheLog(const v1::SubscribeRequest& request) const {
    const auto place = static_cast<std::size_t>(request.after_position() - 1);
    return place < chains_.size() && request.after_chain() == chains_[place];
  }

  void SendCommandAs(const Record& record) {
    std::string shown = (record.flags & kGiven) != 0 ? Bearer() : record.bytes;
    if ((record.flags & kBent) != 0) shown = Bent(shown, record.bytes);
    auto command = FromText(kSystemCommand);
    SetText(*command, "payment_id", fmt::format("p{}", ++commands_));  // Not there yet.
    Wire::Asks asks{.bytes = command->SerializeAsString(), .headers = {{"authorization", shown}}};
    if ((record.flags & kTwice) != 0)
      asks.headers.insert(asks.headers.begin(), {"authorization", record.bytes});
    const bool trusted = std::any_of(asks.headers.begin(), asks.headers.end(),
                                     [](const auto& header) { return header.second == Bearer(); });
    if (write_.wire.Call(RpcTaking(*command->GetDescriptor()), asks).empty() == trusted)
      Die((trusted ? "refused: " : "carried out: ") + absl::CHexEscape(shown));
  }

  void TakeMessage(const Record& record) {
    const absl::Time now = world_.log.clock.Now();
    absl::Time at = now;
    if ((record.flags & kLate) != 0 && (record.flags & (kGiven | kForged)) != 0)
      at += absl::Seconds(10) * (static_cast<int>(Number(record.bytes, 2)) - 128);
    std::string shown = record.bytes;
    if ((record.flags & kGiven) != 0) shown = WebhookSignature(kSecret, at, kBody);
    if ((record.flags & kForged) != 0) shown = WebhookSignature(record.bytes, at, kBody);
    if ((record.flags & kBent) != 0) shown = Bent(shown, record.bytes);
    const bool sound = shown == WebhookSignature(kSecret, at, kBody) &&
                       absl::AbsDuration(now - at) <= kWebhookSignatureAgeMax;
    for (const InboundEntry& inbound : AllDomains().inbounds()) {
      const auto taken =
          inbound.take({.secret = kSecret, .signature = shown, .body = kBody, .now = now});
      ExpectReason(taken.status());
      if (taken.ok() != sound) Die((sound ? "refused: " : "taken: ") + absl::CHexEscape(shown));
    }
  }

  ReadWorld world_;
  RawAppender appender_{AllDomains(), *world_.log.store, world_.log.scheduler.Pool()};
  Feeds feeds_{*world_.log.store, world_.log.scheduler.Pool()};
  LogWorld write_;  // What commands come to.
  CommandHandler handler_{AllDomains(), *write_.store, write_.clock, write_.scheduler.Pool()};
  int commands_ = 0;
  std::vector<std::string> chains_;  // From position 1 on.
  std::string last_;                 // Page token.
  // Page tokens that the server gave or sealed, with what for; of the words, and of this input too.
  std::set<std::pair<std::string, std::string>> given_;
  std::set<std::pair<std::string, std::string>> given_before_;
  Surface surface_;
};

}  // namespace

const Surface& TheSurface() { return Server::Get().surface(); }

std::vector<Seed> Seeds() {
  std::vector<std::string> steps;
  std::vector<std::string> keys;
  for (const pb::Descriptor* type : TheSurface().requests) {
    if (type == nullptr) continue;
    AddStepsOf(*type, steps);
    if (type->FindFieldByName("page_token") == nullptr) continue;
    for (const char* key : {"3", "oak", "luigi\\nEUR"})
      keys.push_back(type->full_name() + " {page_token: '" + key + "'}");
  }
  std::vector<Seed> seeds;
  AddSeeds("given", kGiven, steps, kSteps, seeds);
  AddSeeds("of_last", kOfLast, steps, kSteps, seeds);
  AddSeeds("bent", kGiven | kBent, steps, kSteps, seeds);
  AddSeeds("forged", kForged, keys, kSteps, seeds);
  const std::vector<std::string> texts = {"", "ab", Bearer(), "Bearer x", kSecret};
  seeds.push_back({"bearer", kGiven, texts});
  seeds.push_back({"no_bearer", 0, texts});
  seeds.push_back({"bent_bearer", kGiven | kBent, texts});
  seeds.push_back({"bearers", kGiven | kTwice, texts});
  seeds.push_back({"signature", kSignature | kGiven, texts});
  seeds.push_back({"bent_signature", kSignature | kGiven | kBent, texts});
  seeds.push_back({"forged_signature", kSignature | kForged, texts});
  seeds.push_back({"late_signature", kSignature | kGiven | kLate, texts});
  return seeds;
}

void Run(const std::vector<Record>& records) { Server::Get().Run(records); }

}  // namespace leftfold::fuzz
