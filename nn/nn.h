#pragma once

#include "cohort/nn/activations.h"
#include "cohort/nn/callbacks/callbacks.h"
#include "cohort/nn/initializers.h"
#include "cohort/nn/layers.h"
#include "cohort/nn/learning_rate_schedules.h"
#include "cohort/nn/loss_scaling.h"
#include "cohort/nn/losses.h"
#include "cohort/nn/metrics.h"
#include "cohort/nn/model.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/optimizers.h"
#include "cohort/nn/regularizers.h"
