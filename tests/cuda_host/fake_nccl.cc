#include "tests/cuda_host/fake_nccl.h"

#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace cohort::testing {
namespace {

std::unique_ptr<FakeNccl>& nccl_instance() {
  static std::unique_ptr<FakeNccl> fake = std::make_unique<FakeNccl>();
  return fake;
}

}  // namespace

FakeNccl& fake_nccl() { return *nccl_instance(); }
void reset_fake_nccl() { nccl_instance() = std::make_unique<FakeNccl>(); }

}  // namespace cohort::testing

using cohort::testing::fake_nccl;

namespace {

/// What ranks of one group have sent each other.
struct World {
  using Message = std::vector<char>;

  void send(int from, int to, const void* data, size_t bytes) {
    const auto* begin = static_cast<const char*>(data);
    const std::lock_guard lock(mutex);
    messages[{from, to}].emplace_back(begin, begin + bytes);
    changed.notify_all();
  }
  /// False when nothing comes, or something else than asked for.
  bool receive(int from, int to, void* data, size_t bytes) {
    std::unique_lock lock(mutex);
    std::deque<Message>& waiting = messages[{from, to}];
    if (!changed.wait_for(lock, std::chrono::seconds(60), [&] { return !waiting.empty(); }))
      return false;
    const Message message = std::move(waiting.front());
    waiting.pop_front();
    if (message.size() != bytes) return false;
    if (bytes > 0) std::memcpy(data, message.data(), bytes);
    return true;
  }

  int size = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<Message>> messages;  // guarded by mutex
};

struct Comm {
  std::shared_ptr<World> world;
  int rank;
};

struct Receive {
  Comm* comm;
  int from;
  void* data;
  size_t bytes;
};
/// Of this thread: they wait for the end of its group of calls.
thread_local std::vector<Receive> pending;

ncclComm_t new_comm(std::shared_ptr<World> world, int rank) {
  ++fake_nccl().live;
  return reinterpret_cast<ncclComm_t>(new Comm{std::move(world), rank});
}

Comm* comm_of(ncclComm_t comm) { return reinterpret_cast<Comm*>(comm); }

ncclResult_t end_comm(ncclComm_t comm) {
  --fake_nccl().live;
  delete comm_of(comm);
  return ncclSuccess;
}

size_t size_of(ncclDataType_t type) {
  return type == ncclUint8 ? 1 : type == ncclFloat32 || type == ncclInt32 ? 4 : 8;
}

template <class T>
void combine(std::vector<char>& to, const std::vector<char>& from, ncclRedOp_t op) {
  T* a = reinterpret_cast<T*>(to.data());
  const T* b = reinterpret_cast<const T*>(from.data());
  for (size_t i = 0; i < to.size() / sizeof(T); ++i)
    a[i] = op == ncclMax   ? std::max(a[i], b[i])
           : op == ncclMin ? std::min(a[i], b[i])
                           : a[i] + b[i];
}

/// Everybody's elements, reduced in the order of ranks.
ncclResult_t reduce(const void* data, size_t count, ncclDataType_t type, ncclRedOp_t op, Comm& self,
                    std::vector<char>& sum) {
  const size_t bytes = count * size_of(type);
  for (int peer = 0; peer < self.world->size; ++peer)
    self.world->send(self.rank, peer, data, bytes);
  std::vector<char> part(bytes);
  for (int peer = 0; peer < self.world->size; ++peer) {
    if (!self.world->receive(peer, self.rank, part.data(), bytes)) return ncclInternalError;
    if (peer == 0)
      sum = part;
    else if (type == ncclInt32)
      combine<int>(sum, part, op);
    else if (type == ncclFloat32)
      combine<float>(sum, part, op);
    else
      return ncclInvalidArgument;
  }
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  return ncclSuccess;
}
ncclResult_t ncclCommInitAll(ncclComm_t* comms, int count, const int*) {
  if (fake_nccl().init_fails) return ncclUnhandledCudaError;
  ++fake_nccl().inits;
  const auto world = std::make_shared<World>();
  world->size = count;
  for (int i = 0; i < count; ++i) comms[i] = new_comm(world, i);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int, ncclUniqueId, int, ncclConfig_t*) {
  ++fake_nccl().inits;
  *comm = new_comm(nullptr, 0);
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  ++fake_nccl().aborts;
  if (fake_nccl().during_abort) fake_nccl().during_abort();
  return end_comm(comm);
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ++fake_nccl().destroys;
  return end_comm(comm);
}
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  *state = ncclSuccess;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t) { return "a fake result"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }
ncclResult_t ncclGroupStart() {
  ++fake_nccl().open_groups;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  --fake_nccl().open_groups;
  std::vector<Receive> receives;
  receives.swap(pending);
  for (const Receive& receive : receives)
    if (!receive.comm->world->receive(receive.from, receive.comm->rank, receive.data,
                                      receive.bytes))
      return ncclInternalError;
  return ncclSuccess;
}
ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  std::vector<char> sum;
  const ncclResult_t result = reduce(from, count, type, op, *comm_of(comm), sum);
  if (result == ncclSuccess) std::memcpy(to, sum.data(), sum.size());
  return result;
}
ncclResult_t ncclReduceScatter(const void* from, void* to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  std::vector<char> sum;
  Comm& self = *comm_of(comm);
  const size_t ranks = static_cast<size_t>(self.world->size);
  const ncclResult_t result = reduce(from, count * ranks, type, op, self, sum);
  if (result != ncclSuccess) return result;
  const size_t bytes = sum.size() / ranks;
  std::memcpy(to, sum.data() + static_cast<size_t>(self.rank) * bytes, bytes);
  return ncclSuccess;
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t) {
  Comm& self = *comm_of(comm);
  const size_t bytes = count * size_of(type);
  if (self.rank == root)
    for (int peer = 0; peer < self.world->size; ++peer) self.world->send(root, peer, from, bytes);
  return self.world->receive(root, self.rank, to, bytes) ? ncclSuccess : ncclInternalError;
}
ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t) {
  Comm& self = *comm_of(comm);
  self.world->send(self.rank, peer, data, count * size_of(type));
  return ncclSuccess;
}
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t) {
  pending.push_back({comm_of(comm), peer, data, count * size_of(type)});
  return ncclSuccess;
}

}  // extern "C"
