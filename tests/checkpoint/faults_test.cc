#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>

#include "cohort/checkpoint/newest.h"
#include "tests/checkpoint/memory_storage.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

/// Whatever stops or fails during a save or a removal, the last whole checkpoint loads.
namespace cohort::checkpoint {
namespace {

using testing::expect_error;

/// Small, so that every operation's turn comes.
NamedTensors state_of(uint32_t seed) {
  return {{"a", random_tensor(DType::kF32, Shape{33}, seed)},
          {"b", random_tensor(DType::kF64, Shape{2, 5}, seed + 1)},
          {"c", Tensor::scalar<int64_t>(seed)}};
}

void save_by_two(Storage& storage, uint64_t step) {
  save(storage, "d", step, state_of(static_cast<uint32_t>(step)), 2);
}

/// The step that loads; its values are checked.
uint64_t loaded_step(const std::shared_ptr<MemoryStorage>& storage) {
  const auto state = open_newest(storage, "d");
  state->verify_headers();
  const uint64_t step = state->manifest().step;
  EXPECT_TRUE(equal(tensors_of(*state), state_of(static_cast<uint32_t>(step))));
  return step;
}

int operations_of(const std::function<void(MemoryStorage&)>& work) {
  MemoryStorage storage;
  save_by_two(storage, 1);
  save_by_two(storage, 2);
  storage.restart(Loss::kUnsynced);
  work(storage);
  return storage.operations();
}

TEST(CheckpointFaultsTest, AStopAtEveryOperationOfASaveLeavesTheLastWhole) {
  const auto work = [](MemoryStorage& storage) { save_by_two(storage, 3); };
  const int operations = operations_of(work);
  ASSERT_GT(operations, 20);
  bool old = false, done = false;
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced, Loss::kTorn})
    for (int stop = 0; stop <= operations; ++stop) {
      const auto storage = std::make_shared<MemoryStorage>();
      save_by_two(*storage, 1);
      save_by_two(*storage, 2);
      storage->restart(Loss::kUnsynced);
      storage->stop_at(stop);
      try {
        work(*storage);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::kCancelled) << error.what();
      }
      SCOPED_TRACE(storage->last_operation());
      storage->restart(loss);
      const uint64_t step = loaded_step(storage);
      (step == 2 ? old : done) = true;
      EXPECT_TRUE(step == 2 || step == 3);
      if (stop == operations) {
        EXPECT_EQ(step, 3u);
      }
      // And the next save is none the worse for what was left.
      save_by_two(*storage, 4);
      EXPECT_EQ(loaded_step(storage), 4u);
      for (const std::string& name : storage->list("d")) EXPECT_TRUE(parse_step_name(name)) << name;
    }
  EXPECT_TRUE(old && done);
}

TEST(CheckpointFaultsTest, AStopAtEveryOperationOfARemovalLeavesTheOthers) {
  const auto work = [](MemoryStorage& storage) { remove_step(storage, "d", 1); };
  const int operations = operations_of(work);
  for (const Loss loss : {Loss::kNothing, Loss::kUnsynced, Loss::kTorn})
    for (int stop = 0; stop <= operations; ++stop) {
      const auto storage = std::make_shared<MemoryStorage>();
      save_by_two(*storage, 1);
      save_by_two(*storage, 2);
      storage->restart(Loss::kUnsynced);
      storage->stop_at(stop);
      try {
        work(*storage);
      } catch (const Error&) {
      }
      storage->restart(loss);
      EXPECT_EQ(loaded_step(storage), 2u);
      // What still has its name is whole.
      for (const uint64_t step : steps_in(*storage, "d"))
        SavedState(storage, join_path("d", step_name(step))).verify();
      save_by_two(*storage, 3);
      EXPECT_EQ(loaded_step(storage), 3u);
    }
}

TEST(CheckpointFaultsTest, AFailureAtEveryOperationIsReportedAndTheLastStands) {
  const int operations = operations_of([](MemoryStorage& storage) { save_by_two(storage, 3); });
  for (const Error& error : {ResourceExhausted("disk: got \"No space left on device\""),
                             DataLoss("disk: got \"Input/output error\""),
                             Error(Code::kPermissionDenied, "disk: got \"Read-only file system\"")})
    for (int at = 0; at < operations; ++at) {
      const auto storage = std::make_shared<MemoryStorage>();
      save_by_two(*storage, 1);
      save_by_two(*storage, 2);
      storage->fail_at(at, error);
      expect_error(error.code(), {error.what()}, [&] { save_by_two(*storage, 3); });
      SCOPED_TRACE(storage->last_operation());
      storage->restart(Loss::kNothing);
      EXPECT_GE(loaded_step(storage), 2u);
      save_by_two(*storage, 4);
      EXPECT_EQ(loaded_step(storage), 4u);
    }
}

TEST(CheckpointFaultsTest, EveryBitOfAManifestAndEveryByteOfAFileIsWatched) {
  const auto storage = std::make_shared<MemoryStorage>();
  save_by_two(*storage, 1);
  const std::string path = "d/" + step_name(1);
  std::string& manifest = storage->bytes(path + "/manifest");
  for (size_t bit = 0; bit < manifest.size() * 8; ++bit) {
    const auto flip = [&] {
      manifest[bit / 8] = static_cast<char>(manifest[bit / 8] ^ (1 << bit % 8));
    };
    flip();
    EXPECT_THROW(SavedState(storage, path), Error) << "bit " << bit;
    flip();
  }
  for (const char* name : {"/data-0.safetensors", "/data-1.safetensors"}) {
    std::string& bytes = storage->bytes(path + name);
    for (size_t at = 0; at < bytes.size(); at += at < 5000 ? 7 : 1) {
      const auto flip = [&] { bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8)); };
      flip();
      expect_error(Code::kDataLoss, {name + 1, "checksum"},
                   [&] { SavedState(storage, path).verify(); });
      flip();
    }
  }
  EXPECT_EQ(loaded_step(storage), 1u);
}

TEST(CheckpointFaultsTest, ABitInEveryBlockOfALargeFileIsFound) {
  const auto storage = std::make_shared<MemoryStorage>();
  const std::string path = save(*storage, "d", 1, some_tensors(1));
  std::string& bytes = storage->bytes(path + "/data-0.safetensors");
  const SavedState state(storage, path);
  const size_t blocks = state.manifest().files[0].crcs.size();
  ASSERT_GE(blocks, 3u);
  for (size_t block = 0; block < blocks; ++block) {
    const size_t at = std::min(block * kBlockBytes + 17 * block, bytes.size() - 1);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    expect_error(Code::kDataLoss, {"bytes " + std::to_string(block * kBlockBytes) + " to"},
                 [&] { state.verify(); });
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  }
  state.verify();
}

TEST(CheckpointFaultsTest, FilesThatAreCutOffLongerOrSwappedAreNamed) {
  const auto storage = std::make_shared<MemoryStorage>();
  save_by_two(*storage, 1);
  const std::string path = "d/" + step_name(1);
  std::string& first = storage->bytes(path + "/data-0.safetensors");
  const std::string whole = first;
  for (const size_t size : {size_t{0}, size_t{7}, size_t{4096}, whole.size() - 1}) {
    first.resize(size);
    expect_error(Code::kDataLoss, {"data-0.safetensors", "as the manifest says"},
                 [&] { SavedState(storage, path); });
    first = whole;
  }
  first += 'x';
  expect_error(Code::kDataLoss, {"data-0.safetensors"}, [&] { SavedState(storage, path); });
  first = std::string(whole.size(), 'x');  // of the right size, of another program
  expect_error(Code::kDataLoss, {"data-0.safetensors", "checksum"},
               [&] { SavedState(storage, path).verify(); });
}

/// What a process does until it is killed: it saves, and keeps two.
[[noreturn]] void save_without_end(Storage& storage, const std::string& directory, uint64_t step) {
  try {
    for (;; ++step) {
      save(storage, directory, step, state_of(static_cast<uint32_t>(step)), 2);
      for (const uint64_t old : steps_in(storage, directory))
        if (old + 2 <= step) remove_step(storage, directory, old);
    }
  } catch (const Error&) {
    _exit(1);
  }
}

TEST(CheckpointFaultsTest, AProcessThatIsKilledAnywhereLeavesTheLastWhole) {
  const TemporaryDirectory directory;
  const auto storage = posix_storage();
  const std::string d = directory.path("d");
  uint64_t last = 0;
  for (int round = 0; round < 30; ++round) {
    const pid_t child = fork();
    if (child == 0) save_without_end(*storage, d, last + 1);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (std::vector<uint64_t> steps; steps.empty() || steps.back() < last + 3;) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      steps = steps_in(*storage, d);
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto state = open_newest(storage, d);
    EXPECT_GE(state->manifest().step, last + 3);
    last = state->manifest().step;
    EXPECT_TRUE(equal(tensors_of(*state), state_of(static_cast<uint32_t>(last))));
  }
}

/// Runs `body` in a process of its own with a small file system at `path`; its exit status, or
/// nothing where this is not allowed.
std::optional<int> on_tmpfs(const std::string& path, const char* options,
                            const std::function<int()>& body) {
  constexpr int kNotAllowed = 77;
  const pid_t child = fork();
  if (child == 0) {
    const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                         mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0;
    _exit(mounted ? body() : kNotAllowed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) return {};
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

Code code_of_save(Storage& storage, const std::string& directory, uint64_t step,
                  const NamedTensors& tensors) {
  try {
    save(storage, directory, step, tensors);
  } catch (const Error& error) {
    return error.code();
  }
  return Code::kUnknown;
}

TEST(CheckpointFaultsTest, AFullDiskIsSaidAndTheLastCheckpointStands) {
  const TemporaryDirectory directory;
  const auto result = on_tmpfs(directory.path(), "size=2m", [&] {
    const auto storage = posix_storage();
    const std::string d = directory.path("d");
    save(*storage, d, 1, state_of(1));
    if (code_of_save(*storage, d, 2, some_tensors(1)) != Code::kResourceExhausted) return 1;
    if (open_newest(storage, d)->manifest().step != 1) return 2;
    save(*storage, d, 2, state_of(2));  // removes what was left
    return equal(tensors_of(*open_newest(storage, d)), state_of(2)) ? 0 : 3;
  });
  if (!result) GTEST_SKIP() << "this user may not mount a file system";
  EXPECT_EQ(*result, 0);
}

TEST(CheckpointFaultsTest, AReadOnlyFileSystemIsReadAndSaid) {
  const TemporaryDirectory directory;
  const auto result = on_tmpfs(directory.path(), "", [&] {
    const auto storage = posix_storage();
    const std::string d = directory.path("d");
    save(*storage, d, 1, state_of(1));
    if (mount("none", directory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
      return 1;
    if (code_of_save(*storage, d, 2, state_of(2)) != Code::kPermissionDenied) return 2;
    return equal(tensors_of(*open_newest(storage, d)), state_of(1)) ? 0 : 3;
  });
  if (!result) GTEST_SKIP() << "this user may not mount a file system";
  EXPECT_EQ(*result, 0);
}

}  // namespace
}  // namespace cohort::checkpoint
