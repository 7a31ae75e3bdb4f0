# A sanitizer that silently checks nothing looks just like clean code. Each sanitizer build has
# programs with one known error each, which must be caught.
function(homefs_must_be_caught name report)
  homefs_executable(sanitizer_${name} sanitizer/${name}.cpp)
  add_dependencies(fuzzers sanitizer_${name})
  # The errors are ones that the compiler sees as well.
  target_compile_options(sanitizer_${name} PRIVATE -w)
  target_link_libraries(sanitizer_${name} PRIVATE homefs_options)
  add_test(NAME sanitizer.${name}
    COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/sanitizer/must_be_caught.sh"
      $<TARGET_FILE:sanitizer_${name}> "${report}")
  set_tests_properties(sanitizer.${name} PROPERTIES LABELS sanitizer-works TIMEOUT 60)
endfunction()

if(HOMEFS_SANITIZE MATCHES "address")
  homefs_must_be_caught(use_after_free "AddressSanitizer: heap-use-after-free")
  homefs_must_be_caught(leak "LeakSanitizer: detected memory leaks")
endif()
if(HOMEFS_SANITIZE MATCHES "undefined")
  homefs_must_be_caught(signed_overflow "runtime error: signed integer overflow")
endif()
if(HOMEFS_SANITIZE MATCHES "thread")
  homefs_must_be_caught(data_race "ThreadSanitizer: data race")
endif()
