#pragma once

#include <cstddef>
#include <cstdint>

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of record files and checkpoints.
namespace cohort::wire {

/// The checksum of `size` bytes. To continue over more bytes, pass what it gave for those before.
/// Uses the processor's instruction where there is one.
uint32_t crc32c(const void* data, size_t size, uint32_t before = 0);

/// The form that TFRecord and event files store: checksums of data that holds checksums are weak.
uint32_t mask_crc32c(uint32_t crc);
uint32_t unmask_crc32c(uint32_t masked);

namespace internal {
/// Eight bytes at a time by table, on any processor.
uint32_t crc32c_portable(const void* data, size_t size, uint32_t before);
using Crc32cFunction = uint32_t (*)(const void*, size_t, uint32_t);
/// Null where this processor has no instruction for it.
Crc32cFunction crc32c_hardware();
}  // namespace internal

}  // namespace cohort::wire
