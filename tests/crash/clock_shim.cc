// Preloaded into a process: its wall clock is that of the machine and as much more as the first
// eight bytes of the file LEFTFOLD_CLOCK_FILE say, in nanoseconds, at every moment. Whoever sleeps
// until a time of this clock notices when it jumps, as with a kernel whose clock is set.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include "tests/crash/shim_memory.h"

namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::int64_t kLookEvery = 20'000'000;

using Syscall = long (*)(long, ...);
Syscall RealSyscall() {
  static const auto real = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
  return real;
}

std::int64_t Offset() {
  static const auto* const offset = leftfold::testing::MapShared<std::atomic<std::int64_t>>(
      std::getenv("LEFTFOLD_CLOCK_FILE"), O_RDWR);
  return offset->load();
}

int RealGettime(clockid_t clock, timespec* time) {
  return static_cast<int>(RealSyscall()(SYS_clock_gettime, clock, time));
}

std::int64_t Now() {
  timespec now{};
  RealGettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kNanoseconds + now.tv_nsec + Offset();
}

timespec ToTimespec(std::int64_t nanoseconds) {
  return {nanoseconds / kNanoseconds, nanoseconds % kNanoseconds};
}

// FUTEX_WAIT_BITSET until a time of the wall clock, in short waits.
long WaitUntil(long* a, const timespec& until) {
  const std::int64_t end = until.tv_sec * kNanoseconds + until.tv_nsec;
  while (true) {
    const std::int64_t left = end - Now();
    if (left <= 0) {
      errno = ETIMEDOUT;
      return -1;
    }
    timespec monotonic{};
    RealGettime(CLOCK_MONOTONIC, &monotonic);
    const timespec look = ToTimespec(monotonic.tv_sec * kNanoseconds + monotonic.tv_nsec +
                                     (left < kLookEvery ? left : kLookEvery));
    const long waited =
        RealSyscall()(SYS_futex, a[0], a[1] & ~FUTEX_CLOCK_REALTIME, a[2], &look, a[4], a[5]);
    if (waited == 0 || errno != ETIMEDOUT) return waited;
  }
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return RealGettime(clock, time);
  *time = ToTimespec(Now());
  return 0;
}

int gettimeofday(timeval* __restrict time, void* __restrict) {
  const std::int64_t now = Now();
  time->tv_sec = now / kNanoseconds;
  time->tv_usec = now % kNanoseconds / 1'000;
  return 0;
}

time_t time(time_t* out) {
  const time_t now = Now() / kNanoseconds;
  if (out != nullptr) *out = now;
  return now;
}

// Abseil's locks wait by it.
long syscall(long number, ...) {
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  const bool until = number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
                     (a[1] & FUTEX_CLOCK_REALTIME) != 0 && a[3] != 0;
  if (until) return WaitUntil(a, *reinterpret_cast<const timespec*>(a[3]));
  return RealSyscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
}
