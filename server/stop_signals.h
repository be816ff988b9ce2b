#ifndef SERVER_STOP_SIGNALS_H_
#define SERVER_STOP_SIGNALS_H_

#include <signal.h>

namespace leftfold {

// What tells a serving process to stop: SIGTERM, SIGINT, and SIGHUP where it is not ignored (the
// terminal has gone, and under nohup that is no reason). Made before the process's first thread:
// they are blocked from then on, so that only Wait takes them; SIGPIPE is ignored.
class StopSignals {
 public:
  StopSignals();
  // Until one has come.
  void Wait() const;

 private:
  sigset_t signals_{};
};

}  // namespace leftfold
#endif  // SERVER_STOP_SIGNALS_H_
