#ifndef DOMAINS_ROOMS_TEST_EVENTS_H_
#define DOMAINS_ROOMS_TEST_EVENTS_H_

#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <string>

#include "core/timestamp.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "testing/parse.h"

// For the tests of this domain.
namespace leftfold::rooms {

using testing::Parse;

// "2026-01-01T00:00Z"
inline absl::Time Time(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%dT%H:%MZ", text, &time, &error)) << error;
  return time;
}

inline v1::RoomCreated Created(const std::string& name = "Oak") {
  v1::RoomCreated event;
  event.set_name(name);
  event.set_description("By the river");
  return event;
}

inline v1::RoomRenamed Renamed(const std::string& name) {
  v1::RoomRenamed event;
  event.set_name(name);
  return event;
}

inline v1::SessionScheduled Scheduled(const std::string& id, const std::string& cron,
                                      int minutes = 60) {
  v1::SessionScheduled event;
  event.set_schedule_id(id);
  event.set_cron(cron);
  event.set_duration_minutes(minutes);
  return event;
}

inline v1::EntityInvited Invited(const std::string& type, const std::string& id) {
  v1::EntityInvited event;
  v1::Invitee& invitee = *event.add_invitees();
  invitee.set_type(type);
  invitee.set_id(id);
  return event;
}

// An event or command about one invitee.
template <class Message>
Message Of(const std::string& type, const std::string& id) {
  Message message;
  message.set_type(type);
  message.set_id(id);
  return message;
}

// An event or command about one session.
template <class Message>
Message Session(const std::string& schedule_id, const std::string& at) {
  Message message;
  message.set_schedule_id(schedule_id);
  *message.mutable_occurrence_at() = ToProto(Time(at));
  return message;
}

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_TEST_EVENTS_H_
