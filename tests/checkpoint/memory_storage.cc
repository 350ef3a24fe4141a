#include "tests/checkpoint/memory_storage.h"

#include <cstring>

namespace cohort::checkpoint {
namespace {

class MemoryOutput final : public OutputFile {
 public:
  MemoryOutput(MemoryStorage& storage, std::string path, std::shared_ptr<MemoryStorage::Node> node)
      : storage_(storage), path_(std::move(path)), node_(std::move(node)) {}
  void append(std::string_view bytes) override {
    storage_.operate("write " + path_);
    node_->bytes += bytes;
  }
  void sync() override {
    storage_.operate("sync " + path_);
    node_->synced = node_->bytes.size();
  }
  void close() override { storage_.operate("close " + path_); }

 private:
  MemoryStorage& storage_;
  std::string path_;
  std::shared_ptr<MemoryStorage::Node> node_;
};

class MemoryInput final : public InputFile {
 public:
  MemoryInput(std::string path, std::shared_ptr<MemoryStorage::Node> node)
      : path_(std::move(path)), node_(std::move(node)) {}
  uint64_t size() const override { return node_->bytes.size(); }
  void read(uint64_t offset, void* to, size_t size) const override {
    if (offset > node_->bytes.size() || size > node_->bytes.size() - offset)
      throw DataLoss("{}: got the file's end", path_);
    std::memcpy(to, node_->bytes.data() + offset, size);
  }
  std::shared_ptr<char> map() const override {
    std::shared_ptr<char> copy(new char[node_->bytes.size() + 1], std::default_delete<char[]>());
    std::memcpy(copy.get(), node_->bytes.data(), node_->bytes.size());
    return copy;
  }

 private:
  std::string path_;
  std::shared_ptr<MemoryStorage::Node> node_;
};

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void lose(MemoryStorage::Node& node, Loss loss) {
  if (loss == Loss::kUnsynced) node.names = node.synced_names;
  if (loss == Loss::kUnsynced) node.bytes.resize(node.synced);
  if (loss == Loss::kTorn) node.bytes.resize(node.synced + (node.bytes.size() - node.synced) / 2);
  node.synced = node.bytes.size();
  node.synced_names = node.names;
  for (const auto& [name, child] : node.names) lose(*child, loss);
}

}  // namespace

void MemoryStorage::fail_at(int operation, const Error& error) {
  count_ = 0;
  special_ = operation;
  error_ = error;
}
void MemoryStorage::stop_at(int operation) {
  count_ = 0;
  special_ = operation;
  error_.reset();
}
void MemoryStorage::restart(Loss loss) {
  lose(*root_, loss);
  stopped_ = false;
  special_ = -1;
  count_ = 0;
}

void MemoryStorage::check_running() const {
  if (stopped_) throw Cancelled("the machine has stopped");
}

void MemoryStorage::operate(std::string what) {
  check_running();
  last_ = std::move(what);
  if (count_++ != special_) return;
  if (error_) throw *error_;
  stopped_ = true;
  check_running();
}

std::shared_ptr<MemoryStorage::Node> MemoryStorage::find(const std::string& path) {
  check_running();
  std::shared_ptr<Node> node = root_;
  for (size_t at = 0; node && at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (const std::string name = path.substr(at, end - at); !name.empty() && name != ".") {
      const auto child = node->names.find(name);
      node = child == node->names.end() ? nullptr : child->second;
    }
    at = end + 1;
  }
  return node;
}

std::shared_ptr<MemoryStorage::Node> MemoryStorage::require(const std::string& path) {
  auto node = find(path);
  if (!node) throw NotFound("{}: got nothing of that name", path);
  return node;
}

std::shared_ptr<MemoryStorage::Node> MemoryStorage::parent_of(const std::string& path) {
  return require(parent_path(path));
}

std::string& MemoryStorage::bytes(const std::string& path) { return require(path)->bytes; }

std::unique_ptr<OutputFile> MemoryStorage::create(const std::string& path) {
  operate("create " + path);
  if (find(path)) throw AlreadyExists("{}: got something of that name", path);
  auto node = std::make_shared<Node>();
  parent_of(path)->names[last_name(path)] = node;
  return std::make_unique<MemoryOutput>(*this, path, node);
}

std::unique_ptr<InputFile> MemoryStorage::open(const std::string& path) {
  return std::make_unique<MemoryInput>(path, require(path));
}

void MemoryStorage::make_directory(const std::string& path) {
  operate("make directory " + path);
  if (find(path)) throw AlreadyExists("{}: got something of that name", path);
  parent_of(path)->names[last_name(path)] = std::make_shared<Node>(Node{.is_directory = true});
}

std::vector<std::string> MemoryStorage::list(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& [name, node] : require(path)->names) names.push_back(name);
  return names;
}

bool MemoryStorage::exists(const std::string& path) { return find(path) != nullptr; }

void MemoryStorage::rename(const std::string& from, const std::string& to) {
  operate("rename " + from);
  const auto node = require(from);
  if (const auto other = find(to); other && other->is_directory)
    throw AlreadyExists("{}: got something of that name", to);
  parent_of(from)->names.erase(last_name(from));
  parent_of(to)->names[last_name(to)] = node;
}

void MemoryStorage::remove_file(const std::string& path) {
  operate("remove " + path);
  require(path);
  parent_of(path)->names.erase(last_name(path));
}

void MemoryStorage::remove_directory(const std::string& path) {
  operate("remove directory " + path);
  if (!require(path)->names.empty()) throw AlreadyExists("{}: got files in it", path);
  parent_of(path)->names.erase(last_name(path));
}

void MemoryStorage::sync_directory(const std::string& path) {
  operate("sync directory " + path);
  const auto node = require(path);
  node->synced_names = node->names;
}

}  // namespace cohort::checkpoint
