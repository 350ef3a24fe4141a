#pragma once

#include <cstdio>
#include <string>

#include "cohort/cohort.h"

inline void say(const char* name, const std::string& value) {
  std::printf("%s: %s\n", name, value.c_str());
  std::fflush(stdout);
}

inline void say(const char* name, const cohort::Tensor& tensor) {
  std::string text;
  for (const float x : tensor.values<float>()) text += fmt::format("{:.9g} ", x);
  say(name, text);
}
