#include "cohort/cluster/key_value_store.h"

namespace cohort::cluster {

std::string normalize_key(const std::string& key) {
  std::string normal;
  for (const char c : key) {
    if (c == '/' && (normal.empty() || normal.back() == '/')) continue;
    normal += c;
  }
  if (!normal.empty() && normal.back() == '/') normal.pop_back();
  if (normal.empty()) throw InvalidArgument("key-value store: got key '{}'; want a name", key);
  return normal;
}

void LocalKeyValueStore::insert(const std::string& key, const std::string& value) {
  const std::lock_guard lock(mutex_);
  if (error_) throw Error(*error_);
  const auto [at, inserted] = values_.emplace(normalize_key(key), value);
  if (!inserted) throw AlreadyExists("key-value store: {} is there already", at->first);
  changed_.notify_all();
}

std::string LocalKeyValueStore::get(const std::string& key, std::chrono::milliseconds timeout) {
  const std::string name = normalize_key(key);
  std::unique_lock lock(mutex_);
  const auto there = [&] { return error_ || values_.contains(name); };
  if (!changed_.wait_for(lock, timeout, there))
    throw DeadlineExceeded("key-value store: nobody inserted {} in {} ms", name, timeout.count());
  if (error_) throw Error(*error_);
  return values_.at(name);
}

std::optional<std::string> LocalKeyValueStore::try_get(const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (error_) throw Error(*error_);
  const auto found = values_.find(normalize_key(key));
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::optional<Error> LocalKeyValueStore::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

int LocalKeyValueStore::watch(std::function<void(const Error&)> handler) {
  const std::lock_guard lock(mutex_);
  const int id = ++last_watch_;
  if (error_)
    handler(*error_);
  else
    watches_.emplace(id, std::move(handler));
  return id;
}

void LocalKeyValueStore::unwatch(int watch) {
  const std::lock_guard lock(mutex_);
  watches_.erase(watch);
}

void LocalKeyValueStore::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (error_) return;
  error_ = error;
  changed_.notify_all();
  for (const auto& [id, handler] : watches_) handler(error);
  watches_.clear();
}

}  // namespace cohort::cluster
