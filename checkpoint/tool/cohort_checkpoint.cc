// cohort-checkpoint: looks at checkpoints. The command line; commands.h does the rest.
#include <charconv>
#include <cstdio>
#include <span>
#include <string_view>

#include "cohort/checkpoint/tool/commands.h"
#include "cohort/core/error.h"
#include "cohort/core/system.h"
#include "cohort/core/terminal.h"
#include "cohort/core/version.h"

namespace {

using namespace cohort::checkpoint;
using cohort::InvalidArgument;

constexpr int kUsageError = 2;
constexpr std::string_view kUsage =
    "usage: cohort-checkpoint show [--tensors] PATH\n"
    "       cohort-checkpoint verify PATH\n"
    "       cohort-checkpoint diff PATH PATH\n"
    "       cohort-checkpoint convert [--prefix NAME] [--max-shard-bytes N] PATH DIRECTORY\n"
    "       cohort-checkpoint --version | --help\n"
    "A PATH is a directory of checkpoints, of which the newest whole one counts, or of a step\n"
    "(verify: all of them). convert writes safetensors as Hugging Face's tools read them, only "
    "the\n"
    "tensors whose names begin with NAME and without it. Exit status: 0: whole, equal; 1: "
    "damaged,\n"
    "different; 2: anything else.\n";

struct Arguments {
  std::vector<std::string> paths;
  bool tensors = false;
  tool::ConvertOptions convert;
};

Arguments parse(std::span<char*> words, std::string_view command) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto value = [&]() -> std::string_view {
      if (++i == words.size()) throw InvalidArgument("{}: got no value; want one", word);
      return words[i];
    };
    if (word == "--tensors" && command == "show") {
      arguments.tensors = true;
    } else if (word == "--prefix" && command == "convert") {
      arguments.convert.prefix = value();
    } else if (word == "--max-shard-bytes" && command == "convert") {
      const std::string_view number = value();
      const auto [end, error] =
          std::from_chars(number.begin(), number.end(), arguments.convert.max_shard_bytes);
      if (error != std::errc() || end != number.end() || arguments.convert.max_shard_bytes == 0)
        throw InvalidArgument("--max-shard-bytes: got \"{}\"; want a number above 0", number);
    } else if (word.starts_with("-")) {
      throw InvalidArgument("got {}; want an option of {}", word, command);
    } else {
      arguments.paths.emplace_back(word);
    }
  }
  const size_t wanted = command == "diff" || command == "convert" ? 2 : 1;
  if (arguments.paths.size() != wanted)
    throw InvalidArgument("{}: got {} paths; want {}", command, arguments.paths.size(), wanted);
  return arguments;
}

tool::Outcome run(std::string_view command, const Arguments& arguments) {
  const auto storage = posix_storage();
  const auto& paths = arguments.paths;
  if (command == "show") return tool::show(storage, paths[0], arguments.tensors);
  if (command == "verify") return tool::verify(storage, paths[0]);
  if (command == "diff") return tool::diff(storage, paths[0], paths[1]);
  return tool::convert(storage, paths[0], paths[1], arguments.convert);
}

int print(std::string_view text) {
  cohort::say(stdout, text);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "--help" || command == "-h") return print(kUsage);
  if (command == "--version")
    return print(std::string("cohort-checkpoint ").append(cohort::version()) + "\n");
  if (command != "show" && command != "verify" && command != "diff" && command != "convert") {
    cohort::say(stderr, kUsage);
    return kUsageError;
  }
  const int failed = cohort::run_program("cohort-checkpoint", [&] {
    const std::span words(argv + 2, static_cast<size_t>(argc - 2));
    const tool::Outcome outcome = run(command, parse(words, command));
    print(outcome.text);
    return outcome.status == 0 ? 0 : -1;
  });
  return failed == -1 ? 1 : failed == 0 ? 0 : kUsageError;
}
