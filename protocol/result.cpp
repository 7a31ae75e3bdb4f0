#include "protocol/result.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace homefs {

std::string Error::message() const {
  if (context.empty()) return std::string(text_of(status));
  return context + ": " + std::string(text_of(status));
}

std::unexpected<Error> fail_errno(int error, std::string what) {
  const Status status = status_of_errno(error);
  // The status' own text follows in message(); add the errno's only where the table lost it.
  if (status == Status::kIoError) {
    what += (what.empty() ? "" : ": ") + std::generic_category().message(error);
  }
  return std::unexpected(Error{status, std::move(what)});
}

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "homefs: internal error: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace homefs
