"""Writes the completions of bash and zsh from the help texts.

The name of an argument in the help decides its completions: a|b|c are words, DIR is a folder, FILE
and TRACE are files. Any other name has none.

SPDX-License-Identifier: Apache-2.0
"""
import re

HEADER = "# Made from the help of the udm command by tools/man. SPDX-License-Identifier: Apache-2.0"


def words_of(argument):
    return argument.split("|") if argument and re.fullmatch(r"[a-z][a-z-]*(\|[a-z-]+)+", argument) \
        else []


def bash_reply(argument):
    words = words_of(argument)
    if words:
        return f"_udm_words '{' '.join(words)}'"
    if argument == "DIR":
        return "_udm_paths -d"
    if argument in ("FILE", "TRACE"):
        return "_udm_paths -f"
    return ":"


BASH = """{header}
# shellcheck shell=bash

_udm_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "${{COMP_WORDS[COMP_CWORD]}}"); }}

_udm_paths() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}

_udm() {{
  local command=${{COMP_WORDS[1]}} current=${{COMP_WORDS[COMP_CWORD]}}
  local previous=${{COMP_WORDS[COMP_CWORD - 1]}} options=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _udm_words '{commands} --help --version'
    return
  fi
  case $command:$previous in
{values}
  esac
  case $command in
{options}
    *) return ;;
  esac
  if [[ $current == -* ]]; then
    _udm_words "$options"
    return
  fi
  case $command:$COMP_CWORD:$previous in
{positionals}
  esac
}}

complete -F _udm udm
"""


def bash(commands):
    values, options, positionals = [], [], []
    for command in commands:
        names = []
        for name, argument, _ in command.options():
            names.append(name)
            if argument:
                values.append(f"    {command.name}:{name}) {bash_reply(argument)}; return ;;")
        options.append(f"    {command.name}) options='{' '.join([*names, '--help'])}' ;;")
        for index, argument in enumerate(command.positionals()):
            positionals.append(f"    {command.name}:{index + 2}:*) {bash_reply(argument)} ;;")
        actions = command.actions()
        if actions:
            positionals.append(f"    {command.name}:2:*) _udm_words '{' '.join(actions)}' ;;")
        for action, argument in actions.items():
            if argument:
                positionals.append(f"    {command.name}:3:{action}) {bash_reply(argument)} ;;")
    return BASH.format(header=HEADER, commands=" ".join(c.name for c in commands),
                       values="\n".join(values), options="\n".join(options),
                       positionals="\n".join(positionals))


def zsh_quote(text):
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def zsh_action(argument):
    words = words_of(argument)
    if words:
        return f"({' '.join(words)})"
    return {"DIR": "_files -/", "FILE": "_files", "TRACE": "_files"}.get(argument, " ")


ZSH = """#compdef udm
{header}

_udm() {{
  local -a commands
  commands=(
{commands}
  )
  if ((CURRENT == 2)); then
    _describe 'command' commands
    _arguments '--help[explain the commands]' '--version[print the version]'
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{cases}
  esac
}}

_udm "$@"
"""


def zsh(commands):
    listed, cases = [], []
    for command in commands:
        listed.append(f"    '{command.name}:{zsh_quote(command.summary)}'")
        specs = ["'--help[explain the command]'"]
        for name, argument, text in command.options():
            value = f":{argument}:{zsh_action(argument)}" if argument else ""
            specs.append(f"'{name}[{zsh_quote(text)}]{zsh_quote_value(value)}'")
        for index, argument in enumerate(command.positionals()):
            specs.append(f"'{index + 1}:{argument}:{zsh_action(argument)}'")
        actions = command.actions()
        if actions:
            specs.append(f"'1:action:({' '.join(actions)})'")
        if any(actions.values()):
            specs.append("'2:file:_files'")
        arguments = " \\\n        ".join(specs)
        cases.append(f"    {command.name})\n      _arguments \\\n        {arguments}\n      ;;")
    return ZSH.format(header=HEADER, commands="\n".join(listed), cases="\n".join(cases))


def zsh_quote_value(value):
    """':a|b:(a b)': the label may not contain '|'."""
    return value.replace("|", " or ", value.count("|")) if value else value
