#include "tools/config.h"

#include <absl/status/statusor.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_split.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <system_error>

#include "core/status.h"

namespace leftfold::tools {
namespace {

constexpr std::string_view kFlag = "--config";

bool IsSectionMark(const CLI::ConfigItem& item) { return item.name == "++" || item.name == "--"; }

// The option that a key names in one subcommand; nullptr when it has none.
CLI::Option* FindOption(CLI::App& command, std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  CLI::Option* option = command.get_option_no_throw("--" + key);
  return option != nullptr && option->get_configurable() ? option : nullptr;
}

CLI::App* FindCommand(CLI::App& app, const std::string& name) {
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

absl::Status SetDefault(const CLI::ConfigItem& item, const std::string& path, CLI::Option& option) {
  const auto fault = [&](const std::string& what) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {}: {}", path, item.fullname(), what);
  };
  if (item.inputs.size() != 1) return fault("must have one value");
  const std::string& value = item.inputs.front();
  if (value.starts_with('"') || value.starts_with('\'')) return fault("the quotes do not match");
  try {
    option.default_val(value);
  } catch (const CLI::Error& e) {
    return fault(e.what());
  }
  return absl::OkStatus();
}

absl::Status SetDefaults(const CLI::ConfigItem& item, const std::string& path, CLI::App& app) {
  const auto unknown = [&] {
    const std::string what = IsSectionMark(item)
                                 ? fmt::format("section [{}]", fmt::join(item.parents, "."))
                                 : "key " + item.fullname();
    return Error(absl::StatusCode::kInvalidArgument, "{}: unknown {}", path, what);
  };
  if (item.parents.empty()) {
    bool known = false;
    for (CLI::App* command : app.get_subcommands({})) {
      CLI::Option* option = FindOption(*command, item.name);
      if (option == nullptr) continue;
      known = true;
      LEFTFOLD_RETURN_IF_ERROR(SetDefault(item, path, *option));
    }
    return known ? absl::OkStatus() : unknown();
  }
  CLI::App* command = item.parents.size() == 1 ? FindCommand(app, item.parents.front()) : nullptr;
  if (command == nullptr) return unknown();
  if (IsSectionMark(item)) return absl::OkStatus();
  CLI::Option* option = FindOption(*command, item.name);
  return option == nullptr ? unknown() : SetDefault(item, path, *option);
}

absl::StatusOr<std::string> TextOf(const std::string& path) {
  const auto fault = [](const std::string& what) {
    return Error(absl::StatusCode::kInvalidArgument, "cannot read the configuration file: {}",
                 what);
  };
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return fault(path + " is a folder");
  std::ifstream file(path, std::ios::binary);
  std::string text(kConfigBytesMax + 1, '\0');
  if (!file.is_open() || file.read(text.data(), std::ssize(text)).bad())
    return fault(path + " is not there, or not readable");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() <= kConfigBytesMax) return text;
  return fault(fmt::format("{} has more than {} bytes", path, kConfigBytesMax));
}

// CLI11 passes over what it cannot make sense of.
absl::Status CheckLines(const std::string& text, const std::string& path) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    const bool nothing = line.empty() || line.front() == '#';
    const bool section = line.size() > 2 && line.front() == '[' && line.back() == ']';
    const std::size_t equals = line.find('=');
    if (nothing || section || (equals != 0 && equals != absl::string_view::npos)) continue;
    return Error(absl::StatusCode::kInvalidArgument,
                 "{}: line {} is no `key = value`, no [section] and no # comment", path, number);
  }
  return absl::OkStatus();
}

}  // namespace

std::string ConfigFileOf(const std::vector<std::string>& arguments) {
  const std::string with_value = std::string(kFlag) + "=";
  for (auto word = arguments.begin(); word != arguments.end(); ++word) {
    if (word->starts_with(with_value)) return word->substr(with_value.size());
    if (*word == kFlag && word + 1 != arguments.end()) return *(word + 1);
  }
  const char* from_environment = std::getenv("LEFTFOLD_CONFIG");
  return from_environment == nullptr ? "" : from_environment;
}

absl::Status ReadConfigFile(const std::string& path, CLI::App& app) {
  const auto text = TextOf(path);
  if (!text.ok()) return text.status();
  LEFTFOLD_RETURN_IF_ERROR(CheckLines(*text, path));
  std::vector<CLI::ConfigItem> items;
  try {
    std::istringstream lines(*text);
    items = CLI::ConfigTOML().from_config(lines);
  } catch (const CLI::Error& e) {
    return Error(absl::StatusCode::kInvalidArgument, "cannot read the configuration file: {}",
                 e.what());
  }
  // Keys in sections come last: they win.
  std::stable_partition(items.begin(), items.end(),
                        [](const CLI::ConfigItem& item) { return item.parents.empty(); });
  for (const CLI::ConfigItem& item : items) {
    LEFTFOLD_RETURN_IF_ERROR(SetDefaults(item, path, app));
  }
  return absl::OkStatus();
}

}  // namespace leftfold::tools
