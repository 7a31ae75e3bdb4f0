// The person at the terminal: questions, passwords, one-line errors.
//
// Executor: the main thread. Blocks: the questions, until they are answered.
#pragma once

#include <string>
#include <string_view>

#include "protocol/result.h"

namespace homefs {

/// What a command ends with when it fails: one line for the person, and the exit status.
struct Failure {
  int exit_status = 1;
  std::string text;
};

/// "homefs: TEXT" on stderr; control bytes in `text` are escaped.
void print_error(std::string_view text);

/// What an error says, without the status where its own text is a whole sentence.
[[nodiscard]] std::string text_for_person(const Error& error);

/// True when there is a terminal to ask on.
[[nodiscard]] bool has_terminal();

/// Asks on /dev/tty and reads a line without echo. kNotSupported when there is no terminal;
/// kInterrupted when the person has ended the input.
Result<std::string> ask_password(const std::string& prompt);

/// Asks on /dev/tty until the answer is yes or no. Errors as above.
Result<bool> ask_yes_no(const std::string& question);

/// Columns of the terminal that `fd` is; 80 where it is none or does not know.
[[nodiscard]] int terminal_columns(int fd);

/// Its lines; 24 where it is none or does not know.
[[nodiscard]] std::size_t terminal_rows(int fd);

}  // namespace homefs
