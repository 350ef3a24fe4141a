#pragma once

#include "nn/layers/convolutional.h"
#include "nn/layers/core.h"
#include "nn/layers/normalization.h"
