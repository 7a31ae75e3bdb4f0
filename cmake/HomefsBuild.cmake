# What every target of homefs shares: language level, warnings, libraries, and the helpers
#   homefs_library(NAME DEPS...)      one static library of all .cpp files of this folder and below
#   homefs_executable(NAME FILE...)   a program with everything a sanitizer build needs
# Options that the presets set: HOMEFS_WERROR, HOMEFS_HARDEN, HOMEFS_SANITIZE, HOMEFS_FUZZ,
# HOMEFS_COVERAGE, HOMEFS_FAULTS.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, RelWithDebInfo, ..." FORCE)
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)

option(HOMEFS_FAULTS "Compile in the fault injection points that the tests use" OFF)
option(HOMEFS_WERROR "Treat warnings as errors" ON)
option(HOMEFS_HARDEN "Compile and link with the hardening flags of a release" OFF)
option(HOMEFS_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(HOMEFS_COVERAGE "Count which lines the tests run" OFF)
set(HOMEFS_SANITIZE "" CACHE STRING "What to pass to -fsanitize=, for example address,undefined")

# --- ccache, where it is installed -----------------------------------------------------------
# The sloppiness is what ccache needs to store anything that uses a precompiled header; with the
# base folder two clones of the repository share what they compiled.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER OR CMAKE_CXX_COMPILER_LAUNCHER STREQUAL "ccache")
  find_program(HOMEFS_CCACHE ccache)
  if(HOMEFS_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND}" -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
      "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
      "${HOMEFS_CCACHE}")
  endif()
endif()

# --- flags of every target --------------------------------------------------------------------
add_library(homefs_options INTERFACE)
target_include_directories(homefs_options INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(homefs_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wnon-virtual-dtor -Wno-psabi
  $<$<BOOL:${HOMEFS_WERROR}>:-Werror>)
target_compile_definitions(homefs_options INTERFACE
  _FILE_OFFSET_BITS=64 "HOMEFS_VERSION=\"${PROJECT_VERSION}\"" BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
  $<$<BOOL:${HOMEFS_FAULTS}>:HOMEFS_FAULTS>)
target_link_libraries(homefs_options INTERFACE Threads::Threads)

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # The mutexes carry capability annotations; only clang checks them.
  target_compile_options(homefs_options INTERFACE -Wthread-safety)
else()
  # ccache reads which precompiled header a preprocessed file used from this flag's output.
  # The two warnings are g++'s business: clang gives them for the macros of system headers as well.
  target_compile_options(homefs_options INTERFACE -fpch-preprocess -Wold-style-cast -Wcast-qual)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # With the optimizer on, g++ 12 sees these in std::string's operator+ and in coroutines, where they
  # are not (its PR 105651, 105329). The sanitizers and clang look for the same mistakes.
  target_compile_options(homefs_options INTERFACE
    -Wno-array-bounds -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread)
endif()

if(HOMEFS_HARDEN)
  target_compile_definitions(homefs_options INTERFACE _FORTIFY_SOURCE=3 _GLIBCXX_ASSERTIONS)
  target_compile_options(homefs_options INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  target_link_options(homefs_options INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()

if(HOMEFS_SANITIZE)
  target_compile_options(homefs_options INTERFACE
    "-fsanitize=${HOMEFS_SANITIZE}" -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(homefs_options INTERFACE "-fsanitize=${HOMEFS_SANITIZE}")
  if(HOMEFS_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's fences are beside mutexes that TSan does understand.
    target_compile_options(homefs_options INTERFACE -Wno-tsan)
  endif()
endif()

if(HOMEFS_FUZZ)
  target_compile_options(homefs_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(HOMEFS_COVERAGE)
  target_compile_options(homefs_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(homefs_options INTERFACE --coverage)
endif()

# --- precompiled headers ----------------------------------------------------------------------
# One for all libraries and programs. -Winvalid-pch (added by CMake) with -Werror tells when a
# target's flags differ so much that it could not use it.
add_library(homefs_pch OBJECT "${CMAKE_SOURCE_DIR}/cmake/empty.cpp")
target_link_libraries(homefs_pch PRIVATE homefs_options)
target_precompile_headers(homefs_pch PRIVATE "${CMAKE_SOURCE_DIR}/cmake/pch.h")

# --- sanitizer defaults -----------------------------------------------------------------------
# The options (where the suppressions are, stop at the first finding) are compiled in, so that a
# daemon started by a script has them as well.
if(HOMEFS_SANITIZE)
  add_library(homefs_sanitizer_options OBJECT "${CMAKE_SOURCE_DIR}/cmake/sanitizer_options.cpp")
  target_link_libraries(homefs_sanitizer_options PRIVATE homefs_options)
  target_compile_definitions(homefs_sanitizer_options PRIVATE
    "HOMEFS_SUPPRESSIONS_DIR=\"${CMAKE_SOURCE_DIR}/tests\"")
endif()

function(homefs_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)
    set(sources "${CMAKE_SOURCE_DIR}/cmake/empty.cpp")  # A layer that has headers only, so far.
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC homefs_options ${ARGN})
  target_precompile_headers(${name} REUSE_FROM homefs_pch)
endfunction()

function(homefs_executable name)
  add_executable(${name} ${ARGN})
  if(TARGET homefs_sanitizer_options)
    target_link_libraries(${name} PRIVATE homefs_sanitizer_options)
  endif()
endfunction()
