#pragma once

#include "cohort/core/error.h"

namespace cohort {

/// The exception that is being handled, as an Error: an Error as it is, another std::exception as
/// Unknown with its text, anything else as Unknown with its type and, where that is a number or a
/// string, its value. To be called in a handler.
Error current_error();

}  // namespace cohort
