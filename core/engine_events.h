#ifndef CORE_ENGINE_EVENTS_H_
#define CORE_ENGINE_EVENTS_H_

#include <string_view>

// What the engines themselves write into the log, and nobody else without the token.
namespace leftfold {

// Category of the streams in which a reactor's troubles are recorded. Never change: it is stored.
inline constexpr std::string_view kReactionCategory = "reaction";
// Events of these types are the engines'.
inline constexpr std::string_view kEnginePackage = "leftfold.core.v1.";

}  // namespace leftfold
#endif  // CORE_ENGINE_EVENTS_H_
