# Tests that are programs of their own: real mounts (e2e/), kills (fault/), and the checks of the
# sources (lint/ and scripts/check/).
#
# A script may say in a line of its own what it needs:
#   # ctest: TIMEOUT 600      seconds, instead of 300
#   # ctest: RUN_SERIAL       nothing else may run beside it
#   # ctest: NEEDS nothing    registered also where the programs are not built
#   # ctest: NOT sanitized     registered only where no sanitizer changes what it looks at

# homefs_script_test(NAME LABEL FILE)
function(homefs_script_test name label script)
  file(STRINGS "${script}" settings REGEX "^# ctest: ")
  set(timeout 300)
  set(serial FALSE)
  set(needs_programs TRUE)
  if(label STREQUAL "lint")
    set(needs_programs FALSE)
  endif()
  foreach(setting IN LISTS settings)
    if(setting MATCHES "TIMEOUT ([0-9]+)")
      set(timeout ${CMAKE_MATCH_1})
    elseif(setting MATCHES "RUN_SERIAL")
      set(serial TRUE)
    elseif(setting MATCHES "NOT sanitized")
      if(HOMEFS_SANITIZE)
        return()
      endif()
    elseif(setting MATCHES "NEEDS nothing")
      set(needs_programs FALSE)
    else()
      message(FATAL_ERROR "${script}: not understood: ${setting}")
    endif()
  endforeach()

  set(environment "HOMEFS_SOURCE_DIR=${CMAKE_SOURCE_DIR}" "HOMEFS_BUILD_DIR=${CMAKE_BINARY_DIR}"
    "HOMEFS_SANITIZE=${HOMEFS_SANITIZE}" "HOMEFS_FAULTS=$<BOOL:${HOMEFS_FAULTS}>")
  if(TARGET homefs AND TARGET homefsd)
    list(APPEND environment "HOMEFS_BIN=$<TARGET_FILE:homefs>" "HOMEFSD_BIN=$<TARGET_FILE:homefsd>")
  elseif(needs_programs)
    message(STATUS "No programs yet: ${name} is not registered")
    return()
  endif()
  if(HOMEFS_SANITIZE)
    math(EXPR timeout "${timeout} * 3")
  endif()

  list(APPEND environment "HOMEFS_TEST_TIMEOUT=${timeout}")

  add_test(NAME ${name} COMMAND "${script}" WORKING_DIRECTORY "${CMAKE_BINARY_DIR}")
  set_tests_properties(${name} PROPERTIES
    LABELS ${label} TIMEOUT ${timeout} RUN_SERIAL ${serial} ENVIRONMENT "${environment}"
    SKIP_RETURN_CODE 77)
  if(label STREQUAL "e2e")
    # Mounts beside each other are fine; measuring and waiting tests beside each other are not.
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK homefs_mounts)
  endif()
endfunction()

set(kinds e2e fault)
if(NOT HOMEFS_SANITIZE)
  list(APPEND kinds lint)  # The sources are the same in every build.
endif()
foreach(kind IN LISTS kinds)
  file(GLOB scripts CONFIGURE_DEPENDS
    "${CMAKE_CURRENT_SOURCE_DIR}/${kind}/*.sh" "${CMAKE_CURRENT_SOURCE_DIR}/${kind}/*.py")
  foreach(script IN LISTS scripts)
    get_filename_component(name "${script}" NAME_WE)
    homefs_script_test(${kind}.${name} ${kind} "${script}")
  endforeach()
endforeach()

# The checks that need no build; scripts/check/headers and tidy are run by .ci/run.
if("lint" IN_LIST kinds)
  foreach(check includes files functions format docs man shell)
    homefs_script_test(lint.${check} lint "${CMAKE_SOURCE_DIR}/scripts/check/${check}")
  endforeach()
endif()
