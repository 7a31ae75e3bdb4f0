// Stands in for libFuzzer in builds without it: runs the fuzzer once on every file of the folders
// and files named on the command line, in order of their names.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

std::vector<std::filesystem::path> inputs_below(const std::filesystem::path& root) {
  if (!std::filesystem::is_directory(root)) return {root};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  if (LLVMFuzzerInitialize != nullptr) (void)LLVMFuzzerInitialize(&argc, &argv);
  std::size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::exists(argv[i])) continue;  // A fuzzer may have no corpus yet.
    for (const auto& path : inputs_below(argv[i])) {
      std::ifstream file(path, std::ios::binary);
      std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
      std::vector<std::uint8_t> data(bytes.begin(), bytes.end());
      std::printf("%s: %zu bytes\n", path.c_str(), data.size());
      std::fflush(stdout);  // So that a crash is below the name of its input.
      (void)LLVMFuzzerTestOneInput(data.data(), data.size());
      ++inputs;
    }
  }
  // The empty input is part of every corpus.
  (void)LLVMFuzzerTestOneInput(nullptr, 0);
  std::printf("%zu inputs replayed\n", inputs);
  return 0;
}
