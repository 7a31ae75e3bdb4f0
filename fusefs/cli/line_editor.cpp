#include "fusefs/cli/line_editor.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <cwctype>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/cli/transfer_bars.h"

namespace homefs {
namespace {

constexpr int kHistoryMax = 1000;

// Of mbrtowc().
constexpr auto kInvalid = static_cast<std::size_t>(-1);
constexpr auto kIncomplete = static_cast<std::size_t>(-2);

void on_interrupt(int) {}  // el_gets() returns

class TerminalEditor final : public LineEditor {
 public:
  TerminalEditor(std::filesystem::path history_file, Complete complete)
      : history_file_(std::move(history_file)),
        complete_(std::move(complete)),
        editor_(::el_init("homefs", stdin, stdout, stderr)),
        history_(::history_init()) {
    HistEvent event{};
    ::history(history_, &event, H_SETSIZE, kHistoryMax);
    ::history(history_, &event, H_SETUNIQUE, 1);
    ::history(history_, &event, H_LOAD, history_file_.c_str());
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_set(editor_, EL_HIST, ::history, history_);
    ::el_set(editor_, EL_PROMPT, &TerminalEditor::prompt_of);
    // The wide one: the other copies both texts and keeps the copies for ever.
    ::el_wset(editor_, EL_ADDFN, L"homefs-complete", L"completes a name", &TerminalEditor::on_tab);
    ::el_set(editor_, EL_BIND, "^I", "homefs-complete", nullptr);
    ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    ::el_source(editor_, nullptr);  // ~/.editrc
    ::el_wset(editor_, EL_GETCFN, &TerminalEditor::read_character);
  }

  ~TerminalEditor() override {
    HistEvent event{};
    const mode_t mask = ::umask(0077);  // names of files are nobody else's business
    (void)::history(history_, &event, H_SAVE, history_file_.c_str());
    (void)::umask(mask);
    ::history_end(history_);
    ::el_end(editor_);
  }
  TerminalEditor(const TerminalEditor&) = delete;
  TerminalEditor& operator=(const TerminalEditor&) = delete;

  std::optional<std::string> read(const std::string& prompt) override {
    prompt_ = prompt;
    is_damaged_ = false;
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = on_interrupt;  // without SA_RESTART
    (void)::sigaction(SIGINT, &action, &before);
    int count = 0;
    errno = 0;
    const char* line = ::el_gets(editor_, &count);
    const bool is_interrupted = line == nullptr && errno == EINTR;
    (void)::sigaction(SIGINT, &before, nullptr);
    if (is_interrupted) {
      std::printf("\n");
      ::el_reset(editor_);
      return std::string();
    }
    if (line == nullptr || count <= 0) return std::nullopt;
    if (is_damaged_) {
      print_error("the line has characters that are not UTF-8, and is not carried out");
      return std::string();
    }
    std::string text(line, static_cast<std::size_t>(count));
    if (text.ends_with('\n')) text.pop_back();
    HistEvent event{};
    if (!text.empty()) ::history(history_, &event, H_ENTER, text.c_str());
    return text;
  }

 private:
  static TerminalEditor& self(EditLine* editor) {
    void* data = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<TerminalEditor*>(data);
  }

  // In place of libedit's own, which drops what is no character without a word: "rm x?*", with a
  // byte in place of the question mark, would be carried out as "rm x*".
  static int read_character(EditLine* editor, wchar_t* character) {
    std::mbstate_t sequence{};
    for (bool has_begun = false;;) {
      char byte = 0;
      const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
      if (count <= 0) return static_cast<int>(count);
      std::size_t length = std::mbrtowc(character, &byte, 1, &sequence);
      if (length == kInvalid) {
        self(editor).is_damaged_ = true;
        sequence = {};
        // What broke off the sequence may be the beginning of another one, or the end of the line.
        length = has_begun ? std::mbrtowc(character, &byte, 1, &sequence) : kInvalid;
        if (length == kInvalid) sequence = {};
      }
      has_begun = length == kIncomplete;
      if (length == kInvalid || length == kIncomplete) continue;
      if (!is_command(*character)) return 1;
      self(editor).is_damaged_ = true;
    }
  }

  // What libedit takes for a key with Meta: a control character above ASCII.
  static bool is_command(wchar_t character) {
    return character >= 0x80 && character <= 0xff &&
           std::iswprint(static_cast<std::wint_t>(character)) == 0;
  }

  static char* prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }

  static unsigned char on_tab(EditLine* editor, int) {
    const LineInfo* info = ::el_line(editor);
    const std::string line(info->buffer, info->cursor);
    const LineCompletion completion = self(editor).complete_(line);
    if (!completion.insert.empty()) {
      return ::el_insertstr(editor, completion.insert.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    if (completion.choices.empty()) return CC_REFRESH_BEEP;
    std::printf("\n");
    print_choices(completion.choices);
    return CC_REDISPLAY;
  }

  static void print_choices(const std::vector<std::string>& choices) {
    int widest = 1;
    for (const std::string& each : choices) widest = std::max(widest, columns_of(escaped(each)));
    const int per_line = std::max(1, terminal_columns(STDOUT_FILENO) / (widest + 2));
    int at = 0;
    for (const std::string& each : choices) {
      const std::string text = escaped(each);
      const bool is_last = ++at % per_line == 0;
      const int fill = is_last ? 0 : widest + 2 - columns_of(text);
      std::printf("%s%*s%s", text.c_str(), fill, "", is_last ? "\n" : "");
    }
    if (at % per_line != 0) std::printf("\n");
  }

  const std::filesystem::path history_file_;
  const Complete complete_;
  EditLine* editor_;
  History* history_;
  std::string prompt_;
  bool is_damaged_ = false;  // something that was typed is not in the line
};

class PipeReader final : public LineEditor {
 public:
  std::optional<std::string> read(const std::string&) override {
    std::string line;
    for (int c = std::getc(stdin); c != EOF; c = std::getc(stdin)) {
      if (c == '\n') return line;
      line += static_cast<char>(c);
    }
    if (line.empty()) return std::nullopt;
    return line;
  }
};

}  // namespace

std::unique_ptr<LineEditor> LineEditor::make(const std::filesystem::path& history,
                                             Complete complete) {
  if (::isatty(STDIN_FILENO) == 0) return std::make_unique<PipeReader>();
  return std::make_unique<TerminalEditor>(history, std::move(complete));
}

}  // namespace homefs
