// The options of a sanitizer build, compiled in: they hold for the daemons that a test starts just
// as for the test. ASAN_OPTIONS and the like in the environment add to them.
//
// The sanitizers look these functions up by name, before main.

#if defined(__SANITIZE_THREAD__)
#define HOMEFS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOMEFS_TSAN 1
#endif
#endif

extern "C" {

#ifdef HOMEFS_TSAN

const char* __tsan_default_options() {
  return "halt_on_error=1:second_deadlock_stack=1:history_size=4:"
         "suppressions=" HOMEFS_SUPPRESSIONS_DIR "/tsan.supp";
}

#else

const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1:"
         "detect_leaks=1";
}

const char* __lsan_default_options() {
  return "print_suppressions=0:suppressions=" HOMEFS_SUPPRESSIONS_DIR "/lsan.supp";
}

const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

#endif

}  // extern "C"
