// How a message names its fields, once for the encoder and for the decoder (codec.h).
#pragma once

#include <tuple>

// Lists the fields of a message, in their order on the wire.
#define HOMEFS_FIELDS(...)                                                                  \
  template <class Self, class Archive>                                                      \
  static void visit(Self& self, Archive& archive) {                                         \
    std::apply([&](auto... field) { archive((self.*field)...); }, std::tuple(__VA_ARGS__)); \
  }
