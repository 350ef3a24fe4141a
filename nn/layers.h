#pragma once

#include "cohort/nn/layers/convolutional.h"
#include "cohort/nn/layers/core.h"
#include "cohort/nn/layers/normalization.h"
