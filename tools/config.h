#ifndef TOOLS_CONFIG_H_
#define TOOLS_CONFIG_H_

#include <absl/status/status.h>

#include <cstddef>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace leftfold::tools {

// Bytes of a configuration file; more are refused.
inline constexpr std::size_t kConfigBytesMax = 1 << 20;

// The configuration file: TOML, keys are the long names of flags (`-` and `_` are the same).
//   data = "/srv/leftfold"              # for every subcommand that has --data
//   [serve]
//   write-listen = "127.0.0.1:0"        # for `leftfold serve` alone; wins over the same key
//   without a section
// What it says becomes the default of the option, so that the environment and flags, which are read
// afterwards, win over it.

// The file that the command line (`--config FILE`, `--config=FILE`), else LEFTFOLD_CONFIG names; ""
// when neither does.
std::string ConfigFileOf(const std::vector<std::string>& arguments);

// Call it before `app.parse`. INVALID_ARGUMENT, naming the key: unknown ones, malformed values,
// arrays; also a line that is none, and a file that cannot be read or is too large. Options that
// were set before the fault keep their new defaults.
absl::Status ReadConfigFile(const std::string& path, CLI::App& app);

}  // namespace leftfold::tools
#endif  // TOOLS_CONFIG_H_
