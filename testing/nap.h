#ifndef TESTING_NAP_H_
#define TESTING_NAP_H_

#include <chrono>
#include <thread>

namespace leftfold::testing {

// Between two looks whether a server has come so far: it has the core meanwhile.
inline void Nap() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

}  // namespace leftfold::testing
#endif  // TESTING_NAP_H_
