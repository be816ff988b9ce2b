#ifndef TESTING_SCRAPE_H_
#define TESTING_SCRAPE_H_

#include <map>
#include <string>

namespace leftfold::testing {

// A TCP connection to "127.0.0.1:50054"; the caller closes it.
int Connect(const std::string& address);
// The whole answer to a plain HTTP GET at "127.0.0.1:50054".
std::string HttpGet(const std::string& address, const std::string& path);
// Our metrics by name with labels: `leftfold_view_position{view="room_facts"}`.
std::map<std::string, double> Scrape(const std::string& address);

}  // namespace leftfold::testing
#endif  // TESTING_SCRAPE_H_
