#pragma once

#include <cohort/made/layers.h>
