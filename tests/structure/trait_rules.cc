#include "tests/structure/trait_rules.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>

namespace cohort::structure {
namespace {

namespace fs = std::filesystem;

// Of one statement, comments blanked; white space counts as any other.
const std::vector<std::regex>& forbidden() {
  // The name of an op; that or the name of a node; a literal that could be an op's.
  const std::string op = R"((op_name\(\)|\bop(\(\))?(\.|->)name\b))";
  const std::string name = R"((op_name\(\)|\bop(\(\))?(\.|->)name\b|->name\(\)))";
  const std::string literal = R"("[A-Z][A-Za-z0-9]*")";
  const std::string equals = R"((==|!=|<=>))", path = R"([\w.\->()\[\]*]*)";
  static const std::vector<std::regex> list = {
      std::regex(name + R"(\s*)" + equals),
      std::regex(equals + R"(\s*)" + path + name),
      std::regex(name + R"(\s*\.\s*(compare|r?find|starts_with|ends_with|contains|substr)\s*\()"),
      std::regex(literal + R"(s?v?\s*)" + equals),
      std::regex(equals + R"(\s*)" + literal),
      std::regex(R"((compare|starts_with|ends_with|contains|count)\s*\(\s*)" + literal),
      // Kept under another name, it would be compared later.
      std::regex(R"((auto|string|string_view)\s*&?\s*\w+\s*=\s*)" + path + op + R"(\s*;)"),
      // Looked up in a list of ops. (Kernels are registered for pairs of op and device type.)
      std::regex(R"(\b(count|find|contains|at)\s*\([^{};,]*)" + op),
  };
  return list;
}

std::string without_comments(std::string text) {
  for (size_t at = 0; (at = text.find("//", at)) != text.npos;)
    for (; at < text.size() && text[at] != '\n'; ++at) text[at] = ' ';
  for (size_t at = 0; (at = text.find("/*", at)) != text.npos;) {
    const size_t end = std::min(text.find("*/", at), text.size() - 2) + 2;
    for (; at < end; ++at)
      if (text[at] != '\n') text[at] = ' ';
  }
  return text;
}

std::string one_line(const std::string& text) {
  return std::regex_replace(text, std::regex(R"(\s+)"), " ");
}

// Statement by statement, about: from one ';' or brace to the next.
void check_file(const fs::path& path, const std::string& file, std::vector<std::string>& found) {
  std::ifstream in(path);
  const std::string text = without_comments(std::string(std::istreambuf_iterator<char>(in), {}));
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = std::min(text.find_first_of(";{}", begin), text.size() - 1) + 1;
    const std::string statement = text.substr(begin, end - begin);
    if (statement.find("name") == statement.npos && statement.find('"') == statement.npos) continue;
    std::smatch match;
    for (const std::regex& pattern : forbidden()) {
      if (!std::regex_search(statement, match, pattern)) continue;
      const auto at = static_cast<ptrdiff_t>(begin) + match.position();
      const auto line = 1 + std::count(text.begin(), text.begin() + at, '\n');
      found.push_back(file + ":" + std::to_string(line) + ": " + one_line(match.str()));
    }
  }
}

}  // namespace

std::vector<std::string> comparisons_of_names(const fs::path& root) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(root / "core/runtime")) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".h" || extension == ".cc")
      check_file(entry.path(), fs::relative(entry.path(), root).generic_string(), found);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace cohort::structure
