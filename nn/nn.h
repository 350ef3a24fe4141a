#pragma once

#include "nn/activations.h"
#include "nn/callbacks/callbacks.h"
#include "nn/initializers.h"
#include "nn/layers.h"
#include "nn/learning_rate_schedules.h"
#include "nn/loss_scaling.h"
#include "nn/losses.h"
#include "nn/metrics.h"
#include "nn/model.h"
#include "nn/model_impl.h"
#include "nn/optimizers.h"
#include "nn/regularizers.h"
