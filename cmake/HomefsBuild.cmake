# What every target of homefs shares: language level, warnings, libraries, and the two helpers
# homefs_library(NAME DEPS...) and homefs_test(NAME FILES... DEPS ...).

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)

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

option(HOMEFS_FAULTS "Compile in the fault injection points that the tests use" OFF)
option(HOMEFS_WERROR "Treat warnings as errors" ON)

add_library(homefs_options INTERFACE)
target_include_directories(homefs_options INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(homefs_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wno-psabi
  $<$<BOOL:${HOMEFS_WERROR}>:-Werror>)
target_compile_definitions(homefs_options INTERFACE
  _FILE_OFFSET_BITS=64 BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
  $<$<BOOL:${HOMEFS_FAULTS}>:HOMEFS_FAULTS>)
target_link_libraries(homefs_options INTERFACE Threads::Threads)

# homefs_library(NAME DEPS...): one static library of all .cpp files of this folder and below.
function(homefs_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC homefs_options ${ARGN})
endfunction()
