#pragma once

/// This project's own file, whose name the library uses too.
namespace outside {
inline constexpr const char* kErrorHeader = "outside";
}
