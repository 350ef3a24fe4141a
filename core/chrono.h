#pragma once

// std::chrono's durations, time points and clocks for headers. The standard header costs every
// program that includes us a tenth of its compile time for calendars and streams.
#if __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif
