#pragma once

#include <string>

#include "cohort/core/tensor.h"
#include "cohort/data/dataset.h"

namespace cohort::data {

/// The array in an IDX file, plain or compressed by gzip (told apart by content):
///   file   = 0x00 0x00 type rank dimension{rank} value*      all numbers big-endian
///   type   = 0x08 u8 | 0x09 i8 | 0x0c i32 | 0x0d f32 | 0x0e f64       (0x0b, i16, is refused)
///   rank   = one byte;  dimension = u32;  as many values as the dimensions' product, then the end
/// Throws NotFound when the file cannot be opened, DataLoss when it is cut off, damaged, too long
/// or not IDX; the message names the file, what was got and what is wanted.
Tensor read_idx(const std::string& path);

struct TrainAndTest {
  Dataset train;
  Dataset test;
};

/// The four files of MNIST and of the sets made like it, as datasets of (image u8 [H, W], label
/// u8): {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz] in `directory`.
TrainAndTest load_mnist_files(const std::string& directory);

}  // namespace cohort::data
