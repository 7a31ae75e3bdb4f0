#include "fusefs/link.h"

namespace homefs {

Completion<Result<InFrame>> Link::call(Call call) {
  return Completion<Result<InFrame>>([this, call = std::move(call)](Done done) mutable {
    (void)send(std::move(call), std::move(done));  // interrupts are the caller's, by send()
  });
}

}  // namespace homefs
