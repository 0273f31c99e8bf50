"""Says what is wrong with a command line in words for whoever typed it.

What typer says of a value is partly its parser's, and partly that of pydantic, which tells of
strings and of inputs.
"""

from __future__ import annotations

from typing import Any

_WORDS = {
    "int_parsing": "{input!r} is no whole number",
    "int_parsing_size": "{input!r} has too many digits",
    "int_from_float": "{input!r} is no whole number",
    "float_parsing": "{input!r} is no number",
    "greater_than_equal": "{input} is too small: give at least {ge:g}",
    "less_than_equal": "{input} is too large: give at most {le:g}",
    "value_error": "{error}",
}


def reword(error: Any) -> None:
    """Give a usage error of typer the message that it should have; others stay as they are."""
    problems = getattr(error.__cause__, "errors", None)
    if callable(problems):
        first = problems()[0]
        words = _WORDS.get(first["type"])
        if words is not None:
            error.message = words.format(input=first["input"], **first.get("ctx", {}))
    elif error.message.startswith("Got unexpected extra argument") and _takes_arguments(error):
        error.message += '; words that belong together stand in quotes, as in "red car"'


def _takes_arguments(error: Any) -> bool:
    return error.ctx is not None and any(
        parameter.param_type_name == "argument" for parameter in error.ctx.command.params
    )
