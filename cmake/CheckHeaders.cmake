# The target check_headers: one source file for each header, that includes only it.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}"
  "${CMAKE_SOURCE_DIR}/protocol/*.h" "${CMAKE_SOURCE_DIR}/config/*.h"
  "${CMAKE_SOURCE_DIR}/fusefs/*.h" "${CMAKE_SOURCE_DIR}/server/*.h")
set(sources "")
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER "${header}" name)
  set(source "${CMAKE_BINARY_DIR}/check_headers/${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${header}\"\n")
  list(APPEND sources "${source}")
endforeach()
if(sources)
  add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(check_headers PRIVATE homefs_client homefs_server)
  target_compile_options(check_headers PRIVATE -O0 -g0 -U_FORTIFY_SOURCE)
  set_target_properties(check_headers PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
endif()
