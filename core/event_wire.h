#ifndef CORE_EVENT_WIRE_H_
#define CORE_EVENT_WIRE_H_

#include <string>
#include <string_view>

#include "core/event.h"

namespace leftfold {

// Appends the event's public form: the bytes of a leftfold.core.v1.RecordedEvent, written field by
// field (https://protobuf.dev/programming-guides/encoding), which is several times as fast as to
// make a message object and to serialise it. Metadata that cannot be read as EventMetadata, which
// only engines can write, is left out. With `raw_metadata` its bytes are in the field of that name
// too.
void AppendEvent(const EventView& event, bool raw_metadata, std::string& out);
// The same, as the field `field` of a message.
void AppendEventField(int field, const EventView& event, bool raw_metadata, std::string& out);

// Appends `bytes` as the length-delimited field `field` of a message.
void AppendField(int field, std::string_view bytes, std::string& out);

// The public form as a message.
core::v1::RecordedEvent ToProto(const RecordedEvent& event);

}  // namespace leftfold
#endif  // CORE_EVENT_WIRE_H_
