// SPDX-License-Identifier: Apache-2.0
//
// Shell completion, generated from the commands themselves: what --help knows, completion knows.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "node/cli/command.h"

namespace colophon::cli {
namespace {

// What completion needs to know of an option or a positional argument.
struct Word {
  std::vector<std::string> names;  // "--key", "-k"; empty: positional
  std::string description;
  bool takes_value = false;
  bool is_file = false;
  std::vector<std::string> choices;
};

struct Command {
  std::string path;  // "", "node", "node start"
  std::string description;
  std::vector<std::string> subcommands;
  std::vector<Word> options;
  std::vector<Word> positionals;
};

// CLI11 keeps validators as text in the type name: "TEXT:{raw,der}", "TEXT:FILE".
Word describe(const CLI::Option& option) {
  Word word;
  for (const std::string& name : option.get_lnames()) word.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) word.names.push_back("-" + name);
  word.description = option.get_description();
  word.takes_value = option.get_type_size() != 0 && option.get_expected_max() != 0;
  const std::string type = option.get_type_name();
  for (const char* mark : {"FILE", "PATH", "DIR"}) {
    word.is_file = word.is_file || type.find(mark) != std::string::npos;
  }
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open == std::string::npos ? 0 : open);
  if (open != std::string::npos && close != std::string::npos) {
    std::string choice;
    for (std::size_t i = open + 1; i <= close; ++i) {
      if (type[i] == ',' || type[i] == '}') {
        if (!choice.empty()) word.choices.push_back(choice);
        choice.clear();
      } else {
        choice += type[i];
      }
    }
  }
  return word;
}

void collect(const CLI::App& app, const std::string& path, std::vector<Command>& commands) {
  Command command{path, app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    Word word = describe(*option);
    (word.names.empty() ? command.positionals : command.options).push_back(std::move(word));
  }
  const auto subcommands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* subcommand : subcommands) {
    if (!subcommand->get_name().empty() && !subcommand->get_group().empty()) {
      command.subcommands.push_back(subcommand->get_name());
    }
  }
  commands.push_back(command);
  const std::string prefix = path.empty() ? path : path + " ";
  for (const std::string& name : command.subcommands) {
    collect(*app.get_subcommand(name), prefix + name, commands);
  }
}

std::string join(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

// All names of a command's options; of those with a value only, those with a file, …
template <class Predicate>
std::vector<std::string> names_where(const Command& command, Predicate predicate) {
  std::vector<std::string> names;
  for (const Word& word : command.options) {
    if (!predicate(word)) continue;
    names.insert(names.end(), word.names.begin(), word.names.end());
  }
  return names;
}

bool positional_files(const Command& command) {
  for (const Word& word : command.positionals) {
    if (word.is_file) return true;
  }
  return false;
}

std::vector<std::string> positional_choices(const Command& command) {
  std::vector<std::string> choices;
  for (const Word& word : command.positionals) {
    choices.insert(choices.end(), word.choices.begin(), word.choices.end());
  }
  return choices;
}

// Single quotes, as POSIX shells and fish read them. Names and descriptions are our own text.
std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// The part that bash and zsh share: `command_path` is found by walking over the words before the
// cursor; an option's value is stepped over.
void print_walk(const std::vector<Command>& commands) {
  std::cout << "    case \"$command_path/$word\" in\n";
  for (const Command& command : commands) {
    for (const std::string& name : command.subcommands) {
      const std::string path = command.path.empty() ? name : command.path + " " + name;
      std::cout << "      " << shell_quoted(command.path + "/" + name)
                << ") command_path=" << shell_quoted(path) << " ;;\n";
    }
    const auto with_value = names_where(command, [](const Word& word) { return word.takes_value; });
    for (const std::string& name : with_value) {
      std::cout << "      " << shell_quoted(command.path + "/" + name) << ") skip=1 ;;\n";
    }
  }
  std::cout << "    esac\n";
}

void print_bash(const std::vector<Command>& commands) {
  std::cout << R"(# bash completion for colophon. Load it with: source <(colophon completion bash)
_colophon() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command_path="" word skip=0 i
  COMPREPLY=()
  # bash splits --option=value in three.
  [[ "$previous" == "=" ]] && previous="${COMP_WORDS[COMP_CWORD-2]}"
  [[ "$current" == "=" ]] && current=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if ((skip)); then [[ "$word" == "=" ]] || skip=0; continue; fi
)";
  print_walk(commands);
  std::cout << R"(  done
  local words="" files=0
  if ((skip)); then
    case "$command_path/$previous" in
)";
  for (const Command& command : commands) {
    for (const Word& word : command.options) {
      if (!word.takes_value || (!word.is_file && word.choices.empty())) continue;
      for (const std::string& name : word.names) {
        std::cout << "      " << shell_quoted(command.path + "/" + name) << ") ";
        if (!word.choices.empty())
          std::cout << "words=" << shell_quoted(join(word.choices, " ")) << " ";
        std::cout << (word.is_file ? "files=1 ;;\n" : ";;\n");
      }
    }
  }
  std::cout << R"(    esac
  elif [[ "$current" == -* ]]; then
    case "$command_path" in
)";
  for (const Command& command : commands) {
    const auto all = names_where(command, [](const Word&) { return true; });
    std::cout << "      " << shell_quoted(command.path)
              << ") words=" << shell_quoted(join(all, " ")) << " ;;\n";
  }
  std::cout << R"(    esac
  else
    case "$command_path" in
)";
  for (const Command& command : commands) {
    std::vector<std::string> words = command.subcommands;
    const auto choices = positional_choices(command);
    words.insert(words.end(), choices.begin(), choices.end());
    if (words.empty() && !positional_files(command)) continue;
    std::cout << "      " << shell_quoted(command.path)
              << ") words=" << shell_quoted(join(words, " "))
              << (positional_files(command) ? " files=1 ;;\n" : " ;;\n");
  }
  std::cout << R"(    esac
  fi
  local reply
  while IFS= read -r reply; do
    [[ -n "$reply" ]] && COMPREPLY+=("$reply")
  done < <(compgen -W "$words" -- "$current")
  if ((files)); then
    compopt -o filenames 2>/dev/null
    while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -f -- "$current")
  fi
}
complete -F _colophon colophon
)";
}

void print_zsh(const std::vector<Command>& commands) {
  std::cout << R"(#compdef colophon
# zsh completion for colophon. Load it with: source <(colophon completion zsh)
_colophon() {
  local command_path="" word skip=0 i
  for ((i = 2; i < CURRENT; i++)); do
    word="${words[i]}"
    if ((skip)); then skip=0; continue; fi
)";
  print_walk(commands);
  std::cout << R"(  done
  local -a replies
  local files=0
  if ((skip)); then
    case "$command_path/${words[CURRENT-1]}" in
)";
  for (const Command& command : commands) {
    for (const Word& word : command.options) {
      if (!word.takes_value || (!word.is_file && word.choices.empty())) continue;
      for (const std::string& name : word.names) {
        std::cout << "      " << shell_quoted(command.path + "/" + name) << ") ";
        if (!word.choices.empty()) {
          std::cout << "replies=(" << join(word.choices, " ") << ") ";
        }
        std::cout << (word.is_file ? "files=1 ;;\n" : ";;\n");
      }
    }
  }
  std::cout << R"(    esac
  elif [[ "${words[CURRENT]}" == -* ]]; then
    case "$command_path" in
)";
  for (const Command& command : commands) {
    const auto all = names_where(command, [](const Word&) { return true; });
    std::cout << "      " << shell_quoted(command.path) << ") replies=(" << join(all, " ")
              << ") ;;\n";
  }
  std::cout << R"(    esac
  else
    case "$command_path" in
)";
  for (const Command& command : commands) {
    std::vector<std::string> words = command.subcommands;
    const auto choices = positional_choices(command);
    words.insert(words.end(), choices.begin(), choices.end());
    if (words.empty() && !positional_files(command)) continue;
    std::cout << "      " << shell_quoted(command.path) << ") replies=(" << join(words, " ") << ")"
              << (positional_files(command) ? " files=1 ;;\n" : " ;;\n");
  }
  std::cout << R"(    esac
  fi
  (($#replies)) && compadd -- "${replies[@]}"
  ((files)) && _files
  return 0
}
if [ "${funcstack[1]}" = _colophon ]; then _colophon "$@"; else compdef _colophon colophon; fi
)";
}

void print_fish(const std::vector<Command>& commands) {
  std::cout << R"(# fish completion for colophon. Load it with: colophon completion fish | source
function __colophon_path_is
    set -l words (commandline -opc)
    set -e words[1]
    set -l command_path ""
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command_path/$word"
)";
  for (const Command& command : commands) {
    for (const std::string& name : command.subcommands) {
      const std::string path = command.path.empty() ? name : command.path + " " + name;
      std::cout << "            case " << shell_quoted(command.path + "/" + name)
                << "\n                set command_path " << shell_quoted(path) << "\n";
    }
    const auto with_value = names_where(command, [](const Word& word) { return word.takes_value; });
    for (const std::string& name : with_value) {
      std::cout << "            case " << shell_quoted(command.path + "/" + name)
                << "\n                set skip 1\n";
    }
  }
  std::cout << R"(        end
    end
    test "$command_path" = "$argv[1]"
end
complete -c colophon -f
)";
  for (const Command& command : commands) {
    const std::string condition =
        "complete -c colophon -n \"__colophon_path_is " + shell_quoted(command.path) + "\"";
    for (const Command& other : commands) {
      const std::size_t space = other.path.rfind(' ');
      const std::string parent =
          space == std::string::npos ? std::string() : other.path.substr(0, space);
      if (other.path.empty() || parent != command.path) continue;
      std::cout << condition << " -a "
                << shell_quoted(space == std::string::npos ? other.path
                                                           : other.path.substr(space + 1))
                << " -d " << shell_quoted(other.description) << "\n";
    }
    if (positional_files(command)) std::cout << condition << " -F\n";
    const auto choices = positional_choices(command);
    if (!choices.empty())
      std::cout << condition << " -a " << shell_quoted(join(choices, " ")) << "\n";
    for (const Word& word : command.options) {
      std::cout << condition;
      for (const std::string& name : word.names) {
        std::cout << (name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1));
      }
      // -x: a value, and no file names for it.
      if (word.takes_value) std::cout << (word.is_file ? " -r -F" : " -x");
      if (!word.choices.empty()) std::cout << " -a " << shell_quoted(join(word.choices, " "));
      std::cout << " -d " << shell_quoted(word.description) << "\n";
    }
  }
}

}  // namespace

void add_completion_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "Which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &exit_code, shell] {
    std::vector<Command> commands;
    collect(app, "", commands);
    if (*shell == "bash") print_bash(commands);
    if (*shell == "zsh") print_zsh(commands);
    if (*shell == "fish") print_fish(commands);
    exit_code = kExitOk;
  });
}

}  // namespace colophon::cli
