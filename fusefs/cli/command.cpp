#include "fusefs/cli/command.h"

#include "fusefs/cli/terminal.h"

namespace homefs {

void add_login_flags(CLI::App& command, LoginFlags& flags) {
  command.add_option("-s,--host", flags.host, "the server")->type_name("HOST");
  command.add_option("-P,--port", flags.port, "its port")->type_name("PORT");
  command.add_option("-u,--user", flags.user, "the user name there")->type_name("USER");
  const bool is_taken = command.get_option_no_throw("-p") != nullptr;
  command
      .add_option_function<std::string>(
          is_taken ? "--password" : "-p,--password",
          [&flags](const std::string& text) { flags.password = text; },
          "the password; \"ps\" shows it to everybody, so better use one of the other ways")
      ->type_name("PASSWORD");
  command.add_option("--password-file", flags.password_file, "a file with the password")
      ->type_name("FILE");
  command.add_option("--profile", flags.profile, "server, user and options by name")
      ->type_name("NAME");
  command.add_option("--pin", flags.pin, "the server's key, whatever is known of it so far")
      ->type_name("SHA256:...");
  command.add_flag("--accept-new-server", flags.accept_new_server,
                   "take the key of a server that was not known yet");
}

int report(ExitStatus status, const std::string& text) {
  print_error(text);
  return number_of(status);
}

int report(const Error& error) { return report(exit_status_of(error), text_for_person(error)); }

}  // namespace homefs
