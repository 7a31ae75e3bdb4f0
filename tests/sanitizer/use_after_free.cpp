// Reads memory that was freed. Must be caught by AddressSanitizer.
int main(int argc, char**) {
  volatile int* value = new int(argc);
  delete value;
  return *value;
}
