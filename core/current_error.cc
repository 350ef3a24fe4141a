#include "cohort/core/current_error.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <typeinfo>

#include "cohort/core/system.h"

namespace cohort {
namespace {

std::string current_type_name() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type->name();
}

}  // namespace

Error current_error() {
  const auto odd = [](auto... value) {
    std::string text = "got an exception that is no std::exception: " + current_type_name();
    ((text += fmt::format(" {}", value)), ...);
    return Error(Code::kUnknown, text);
  };
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc& error) {
    return Error(Code::kResourceExhausted, describe(error));
  } catch (const std::exception& error) {
    return Error(Code::kUnknown, describe(error));
  } catch (int value) {
    return odd(value);
  } catch (const char* value) {
    return odd(value == nullptr ? "null" : value);
  } catch (const std::string& value) {
    return odd(value);
  } catch (...) {
    return odd();
  }
}

}  // namespace cohort
