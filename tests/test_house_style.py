"""The sizes of modules, functions and signatures: the walls of our style, measured with `ast`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("durable_app", "demo_project", "benchmarks", "tests", "tools")

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
MOST_PARAMETERS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:  # generated
                yield path


def functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text(), str(path))
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters; `self` and `cls` are nobody's burden."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names += [one.arg for one in (given.vararg, given.kwarg) if one is not None]
    return [name for name in names if name not in ("self", "cls")]


def lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def at(path: Path, function: Function) -> str:
    return f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


def test_there_is_something_to_measure():
    """The walk finds the packages: an empty list would pass all that follows."""
    found = {path.relative_to(ROOT).parts[0] for path in modules()}
    assert found == set(PACKAGES)


def test_no_module_is_too_long():
    """Habit 1: one noun, one module; 400 lines are the alarm."""
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_no_function_is_too_long():
    """Habit 3: 50 lines are the wall."""
    long = [
        f"{at(path, function)}: {lines(function)} lines"
        for path in modules()
        for function in functions(path)
        if lines(function) > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_function_has_too_many_parameters():
    """More than eight parameters are a value that has no name yet."""
    wide = [
        f"{at(path, function)}: {len(parameters(function))} parameters"
        for path in modules()
        for function in functions(path)
        if len(parameters(function)) > MOST_PARAMETERS
    ]
    assert wide == []


def test_every_module_of_the_app_says_what_lives_in_it():
    """Habit 25: a docstring of one to eight lines of prose; the tree of errors alone is longer."""
    for path in modules():
        text = path.read_text()
        if path.relative_to(ROOT).parts[0] != "durable_app" or not text.strip():
            continue
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring, f"{path} has no docstring"
        assert len(docstring.splitlines()) <= 8 or path.parent.name == "errors", f"{path}: a long docstring"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(self, a, /, b, *c, d, **e): ...", ["a", "b", "d", "c", "e"]),
        ("async def f(cls): ...", []),
    ],
)
def test_parameters_of_every_kind_are_counted(source, expected):
    """The measure itself."""
    (function,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))
    assert parameters(function) == expected
