#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

/// What people see of a program: its lines, and one line that is drawn again and again.
namespace cohort {

/// Whether a line can be drawn over on standard output: it is a terminal, and a person's own. A
/// rank of a launcher (cohort-launch, mpirun, srun, whatever sets PMI_RANK or PMIX_RANK) has none:
/// the launcher may give each rank a pseudo-terminal and write what comes out of it to a file, or
/// mix the lines of many. `srun --pty` hands over the person's terminal, which counts.
/// COHORT_TERMINAL says otherwise: with 1 a launcher's pseudo-terminal counts too, with 0 no
/// terminal does. Throws InvalidArgument for another value.
bool stdout_is_terminal();

/// Columns of the terminal that is standard output, asked anew at each call, for people resize it;
/// where it does not tell, what COLUMNS says, else 80.
size_t stdout_columns();

/// Appends the beginning of `text`, one line of UTF-8, that fits into `columns` columns. Escape
/// sequences for colours take none and are all kept. Other control characters become '?'.
void append_columns(std::string& out, std::string_view text, size_t columns);

/// Appends what draws `text` over the line that the cursor of a terminal of `columns` columns is
/// in. The last column stays free, so that the cursor does, too.
void append_redrawn(std::string& out, std::string_view text, size_t columns);

/// Draws `text` over standard output's last line, which stays open: cut to the terminal's columns
/// as they are now. Thread-safe, as all below; it allocates only for a text longer than those
/// before.
void draw_line(std::string_view text);
/// Draws `text` whole over that line and ends it.
void end_line(std::string_view text);
/// Ends the line as it is, if one is open.
void leave_line();

/// Writes `lines`, which end with '\n', to `to`: standard output or standard error. They begin at
/// the beginning of a line: one that draw_line() keeps open on the same terminal makes room and is
/// drawn again below them. All of Cohort prints with this.
void say(std::FILE* to, std::string_view lines);

}  // namespace cohort
