# Fuzzers: tests/fuzz/NAME_fuzzer.cpp, corpus in tests/fuzz/corpus/NAME/, dictionary in
# tests/fuzz/NAME.dict. With the fuzz preset each is a libFuzzer program that its test lets search
# for HOMEFS_FUZZ_SECONDS; in every other build its corpus is replayed, so what was found once
# stays found.
add_custom_target(fuzzers)
file(GLOB fuzzers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzzer.cpp")
foreach(source IN LISTS fuzzers)
  get_filename_component(target "${source}" NAME_WE)
  string(REGEX REPLACE "_fuzzer$" "" name "${target}")
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name}")
  set(dictionary "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}.dict")

  # The library is the highest layer that the fuzzer includes from.
  file(STRINGS "${source}" includes REGEX "^#include \"(server|fusefs)/")
  set(library homefs_config)
  if(includes MATCHES "\"server/")
    set(library homefs_server)
  elseif(includes MATCHES "\"fusefs/")
    set(library homefs_client)
  endif()

  add_dependencies(fuzzers ${target})
  if(HOMEFS_FUZZ)
    homefs_executable(${target} "${source}")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${target} PRIVATE ${library})
    add_test(NAME fuzz.${name}
      COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/run_fuzzer.sh"
        $<TARGET_FILE:${target}> "${corpus}" "${dictionary}" "${CMAKE_BINARY_DIR}/fuzz/${name}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 1200)
  else()
    homefs_executable(${target} "${source}" fuzz/replay_main.cpp)
    target_link_libraries(${target} PRIVATE ${library})
    add_test(NAME fuzz_corpus.${name} COMMAND ${target} "${corpus}")
    set_tests_properties(fuzz_corpus.${name} PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endforeach()
