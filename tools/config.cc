#include "tools/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
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
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {  // CLI11 takes it for an empty file.
    return Error(absl::StatusCode::kInvalidArgument,
                 "cannot read the configuration file: {} is a folder", path);
  }
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_file(path);
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
