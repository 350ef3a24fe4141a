#include "launch/pseudo_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace cohort::launch {

std::optional<PseudoTerminal> open_pseudo_terminal() {
  PseudoTerminal terminal{Descriptor(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), Descriptor()};
  if (!terminal.reader.open() || ::unlockpt(terminal.reader.get()) != 0) return std::nullopt;
  terminal.writer =
      Descriptor(::ioctl(terminal.reader.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings{};
  if (!terminal.writer.open() || ::tcgetattr(terminal.writer.get(), &settings) != 0)
    return std::nullopt;
  ::cfmakeraw(&settings);
  if (::tcsetattr(terminal.writer.get(), TCSANOW, &settings) != 0) return std::nullopt;
  return terminal;
}

}  // namespace cohort::launch
