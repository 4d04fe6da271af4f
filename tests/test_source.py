"""The house rules that a machine can check: floors, generated C, forbidden words, docs in step with the code."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "zmqcore"
CYTHON_FILES = sorted([*PACKAGE.glob("*.pyx"), *PACKAGE.glob("*.pxd")])
LINES_MAX = 900
SLEEP_MAX_S = 0.05

# Who may cimport whom: module -> (floor, what it may see). A split module belongs to its first half: `_engine_ws`
# follows the rule of `_engine`, and the halves may see each other. docs/design.md explains the floors.
GROUND = {"_sys", "_sys_net", "_limits", "_protocol_error"}
BELOW_ENGINE = GROUND | {
    "_reactor", "_transport", "_zmtp", "_message", "_pipe", "_options", "_mechanism", "_handshake", "_v1", "_link",
    "_raw", "_monitor", "_z85", "_filter", "_lookup", "_socks", "_sodium", "_security", "_metadata", "_zap", "_curve",
    "_terms",
}  # fmt: skip
BELOW_SOCKET = BELOW_ENGINE | {"_engine", "_trie", "_pattern"}
FLOORS: dict[str, tuple[int, set[str]]] = {
    "_sys": (0, set()),
    "_sys_net": (0, set()),
    "_limits": (0, set()),
    "_protocol_error": (0, set()),
    "_reactor": (1, GROUND),
    "_transport": (1, GROUND),
    "_z85": (1, GROUND),
    "_sodium": (1, GROUND),
    "_lookup": (2, GROUND | {"_transport"}),
    "_zmtp": (2, GROUND),
    "_message": (2, GROUND),
    "_pipe": (3, GROUND | {"_zmtp", "_message"}),
    "_link": (4, GROUND | {"_reactor", "_message", "_pipe"}),
    "_monitor": (4, GROUND | {"_message"}),
    "_options": (4, GROUND | {"_transport", "_z85", "_zmtp"}),
    "_filter": (4, GROUND | {"_transport", "_options"}),
    "_socks": (4, GROUND | {"_options"}),
    "_security": (4, GROUND | {"_options"}),
    "_terms": (4, GROUND | {"_options"}),
    "_metadata": (4, GROUND | {"_zmtp", "_message"}),
    "_mechanism": (4, GROUND | {"_zmtp", "_options", "_security", "_sodium"}),
    "_zap": (4, GROUND | {"_zmtp", "_message", "_options", "_mechanism"}),
    "_handshake": (4, GROUND | {"_zmtp", "_options", "_mechanism"}),
    "_curve": (4, GROUND | {"_zmtp", "_sodium"}),
    "_v1": (4, GROUND | {"_zmtp", "_message", "_pipe"}),
    "_raw": (4, GROUND | {"_zmtp", "_message", "_pipe"}),
    "_engine": (5, BELOW_ENGINE),
    "_trie": (6, GROUND),
    "_pattern": (6, GROUND | {"_zmtp", "_message", "_pipe", "_link", "_options", "_engine", "_trie"}),
    "_context": (7, BELOW_SOCKET),
    "_endpoint": (7, BELOW_SOCKET | {"_context"}),
    "_socket": (7, BELOW_SOCKET | {"_context", "_endpoint"}),
    "_poll": (7, GROUND | {"_socket"}),
    "_stats": (7, GROUND | {"_engine", "_socket"}),
    "_proxy": (8, GROUND | {"_reactor", "_message", "_pipe", "_options", "_engine", "_pattern", "_socket", "_stats"}),
    "_errno": (9, GROUND),
    "_pin": (9, GROUND | {"_message"}),
    "_frame": (10, GROUND | {"_zmtp", "_message", "_metadata", "_errno", "_pin"}),
    "_core": (
        11,
        GROUND
        | {"_message", "_options", "_monitor", "_context", "_socket", "_poll", "_stats", "_proxy"}
        | {"_errno", "_pin", "_frame", "_sodium", "_z85"},
    ),
}
FACE = 9

# What the generated C contains when nogil code can meet the interpreter, and what it means.
NEEDS_GIL = {
    "__Pyx_PyGILState_Ensure()": "takes the GIL",
    "__Pyx_ErrOccurredWithGIL()": "calls a function without `noexcept`",
    '__Pyx_WriteUnraisable("': "swallows an exception",
}

# Below the face. A release build cannot stop a process; zc_check() of _sys.pxd is the one door to abort().
FORBIDDEN = {
    r"\bassert\b": "an assert takes the GIL and the function goes on: use zc_check()",
    r"\babort\(": "the engine never ends the process",
    r"\b_?exit\(": "the engine never ends the process",
    r"\bwith gil\b": "the engine never meets the interpreter",
    r'\binclude "': "one module, one file: cimport it",
    r"^\s*(?:import|from\s+\S+\s+import)\b": "the engine imports nothing from Python",
    r"^\s*(?:try|raise|except)\b": "errors are negative errno values",
}
ALLOWED = {("_sys.pxd", r"\babort\(")}


def family(module: str) -> str:
    """`_engine_ws` -> `_engine`; `_sys_net` has a row of its own."""
    candidates = [name for name in FLOORS if module == name or module.startswith(f"{name}_")]
    return max(candidates, key=len, default=module)


def floor(path: Path) -> int:
    return FLOORS[family(path.stem)][0] if family(path.stem) in FLOORS else FACE


def split_cython(text: str) -> tuple[str, str]:
    """Cython code and C blocks of a file, both without comments and with the line numbers kept."""
    code, blocks = [], []
    for index, part in enumerate(text.split('"""')):
        if index % 2:
            part = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), part, flags=re.DOTALL)
            blocks.append(re.sub(r"//.*", "", part))
            code.append("\n" * part.count("\n"))
        else:
            # A '#' inside a short string does not begin a comment.
            code.append(re.sub(r"""("[^"\n]*"|'[^'\n]*')|#.*""", lambda match: match.group(1) or "", part))
            blocks.append("\n" * part.count("\n"))
    return "".join(code), "".join(blocks)


def cimports(text: str) -> Iterator[str]:
    """Every module that a Cython file cimports, by its full name."""
    code, _ = split_cython(text)
    code = re.sub(r"\\\n", " ", code)
    code = re.sub(r"\(([^()]*)\)", lambda match: "(" + match.group(1).replace("\n", " ") + ")", code)
    for line in code.splitlines():
        if found := re.match(r"\s*from\s+(\S+)\s+cimport\s+(.+)", line):
            source, names = found.groups()
            if source in (".", "zmqcore"):
                for name in names.strip("() ").split(","):
                    if name.strip():
                        yield "zmqcore." + name.split()[0]
            else:
                yield "zmqcore" + source if source.startswith(".") else source
        elif found := re.match(r"\s*cimport\s+(.+)", line):
            yield from (name.split()[0] for name in found.group(1).split(","))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def source_files(*suffixes: str) -> list[Path]:
    folders = (PACKAGE, ROOT / "tests", ROOT / "bench", ROOT / "demo")
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts and path.is_file()
    )


def numbered(text: str, pattern: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(pattern, line):
            yield number, line.strip()


def test_the_reader_of_cimports_sees_every_form() -> None:
    text = """
from zmqcore._pipe cimport (pipe_t,
    pipe_append)
from zmqcore cimport _trie, _zmtp as z
from . cimport (_sys,
                _limits)
from ._engine cimport engine_t
cimport zmqcore._reactor as reactor, libc.math
# from zmqcore._proxy cimport proxy
"""
    assert list(cimports(text)) == [
        "zmqcore._pipe",
        "zmqcore._trie",
        "zmqcore._zmtp",
        "zmqcore._sys",
        "zmqcore._limits",
        "zmqcore._engine",
        "zmqcore._reactor",
        "libc.math",
    ]


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: path.name)
def test_cimports_go_downwards_only(path: Path) -> None:
    module = family(path.stem)
    assert module in FLOORS, f"{path.name}: give it a floor in FLOORS and in docs/design.md"
    level, allowed = FLOORS[module]
    for target in cimports(path.read_text()):
        package, _, name = target.partition(".")
        if package == "zmqcore":
            name = family(name)
            assert name == module or name in allowed, f"{path.name} (floor {level}) may not cimport {target}"
        else:
            assert package in ("libc", "cython") or level >= FACE, f"{path.name} may not cimport {target}"


def test_the_table_itself_points_downwards() -> None:
    neighbours = {
        ("_filter", "_options"),
        ("_socks", "_options"),
        ("_mechanism", "_options"),
        ("_mechanism", "_security"),
        ("_security", "_options"),
        ("_terms", "_options"),
        ("_zap", "_options"),
        ("_zap", "_mechanism"),
        ("_handshake", "_options"),
        ("_handshake", "_mechanism"),
        ("_pattern", "_trie"),
        ("_endpoint", "_context"),
        ("_socket", "_context"),
        ("_socket", "_endpoint"),
        ("_poll", "_socket"), ("_stats", "_socket"),
    }
    for module, (level, allowed) in FLOORS.items():
        for target in allowed:
            assert FLOORS[target][0] < level or (module, target) in neighbours, f"{module} -> {target}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.pxd")), ids=lambda path: path.name)
def test_a_door_says_what_it_is(path: Path) -> None:
    with path.open() as lines:
        assert lines.readline().startswith(f"# zmqcore/{path.name} -- ")


@pytest.mark.parametrize("path", [path for path in CYTHON_FILES if floor(path) < FACE], ids=lambda path: path.name)
def test_no_forbidden_word_below_the_face(path: Path) -> None:
    code, blocks = split_cython(path.read_text())
    for pattern, reason in FORBIDDEN.items():
        if (path.name, pattern) in ALLOWED:
            continue
        text = code + blocks if pattern.endswith(r"\(") else code
        assert not list(numbered(text, pattern)), f"{path.name}: {reason}"


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: path.name)
def test_the_platform_shows_on_the_lowest_floors_only(path: Path) -> None:
    if family(path.stem) in GROUND | {"_reactor", "_transport"}:
        return
    code, blocks = split_cython(path.read_text())
    assert not list(numbered(blocks, r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b"))
    assert not list(numbered(code, r"^\s*IF\b")), "compile-time IF"


# --- the generated C -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the C of every module, made with the directives of setup.py, and what Cython printed."""
    pytest.importorskip("Cython", reason="the generated C needs Cython")
    spec = importlib.util.spec_from_file_location("zmqcore_setup", ROOT / "setup.py")
    assert spec and spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    tree = tmp_path_factory.mktemp("cython")
    package = tree / "zmqcore"
    package.mkdir()
    (package / "__init__.py").touch()
    for path in CYTHON_FILES:
        shutil.copy(path, package)
    command = [sys.executable, "-m", "cython"]
    for name, value in build.DIRECTIVES.items():
        command += ["-X", f"{name}={value}"]
    sources = [f"zmqcore/{path.name}" for path in CYTHON_FILES if path.suffix == ".pyx"]
    done = subprocess.run(
        [*command, *sources], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return package, done.stdout


@pytest.mark.xdist_group("generated")
@pytest.mark.timeout(240)
def test_nothing_below_the_face_can_meet_the_interpreter(generated: tuple[Path, str]) -> None:
    package, _ = generated
    found = [
        f"{path.name}:{number}: {meaning}: {line}"
        for path in sorted(package.glob("*.c"))
        if floor(path) < FACE
        for word, meaning in NEEDS_GIL.items()
        for number, line in numbered(path.read_text(), re.escape(word))
    ]
    assert not found, "\n".join(found)


@pytest.mark.xdist_group("generated")
@pytest.mark.timeout(240)
def test_cython_has_nothing_to_say(generated: tuple[Path, str]) -> None:
    _, printed = generated
    assert "performance hint" not in printed, printed
    assert "warning" not in printed, printed


# --- every file ----------------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_one_person_can_hold() -> None:
    long = {
        relative(path): count
        for path in source_files(".py", ".pyi", ".pyx", ".pxd")
        if (count := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long


def test_no_generated_file_is_in_git() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return  # a source distribution: MANIFEST.in keeps generated files out of it
    names = listed.stdout.splitlines()
    generated = [name for name in names if re.search(r"\.(c|so|html)$", name) and not re.match(r"bench/.*\.c$", name)]
    assert not generated


def test_tests_wait_for_conditions_not_for_time() -> None:
    long = [
        f"{relative(path)}:{number}: {line}"
        for path in source_files(".py")
        if path.is_relative_to(ROOT / "tests") and path != Path(__file__)
        for number, line in numbered(path.read_text(), r"\bsleep\(")
        for seconds in re.findall(r"\bsleep\(\s*([0-9.]+)", line)
        if float(seconds) > SLEEP_MAX_S
    ]
    assert not long, "\n".join(long)


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is a tool of `make lint`, not of the tests")
def test_ruff_is_content() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- the public names and the documents ----------------------------------------------------------------------------

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FOLDERS = ("zmqcore", "tests", "bench", "demo", "docs", ".ci", ".github")
MODULES = [path.stem for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__main__"]


@pytest.mark.parametrize("name", MODULES)
def test_each_module_declares_what_it_exports(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    assert any(
        isinstance(target, ast.Name) and target.id == "__all__"
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ), f"zmqcore/{name}.py has no __all__"
    module = importlib.import_module("zmqcore" if name == "__init__" else f"zmqcore.{name}")
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing
    assert len(set(module.__all__)) == len(module.__all__), "a name stands twice in __all__"


def public_code() -> dict[str, object]:
    """The classes and functions of the package; constants are documented by ZeroMQ itself."""
    import zmqcore

    return {
        name: value
        for name in zmqcore.__all__
        if callable(value := getattr(zmqcore, name)) and not isinstance(value, (int, str))
    }


def test_public_names_have_docstrings() -> None:
    bare = [name for name, value in public_code().items() if not (getattr(value, "__doc__", None) or "").strip()]
    assert not bare


def test_public_names_are_in_the_docs() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    unknown = [name for name in public_code() if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert not unknown, "name them in docs/pyzmq.md, section 'Names'"


def test_the_docs_name_nothing_that_is_not_there() -> None:
    import zmqcore
    import zmqcore.asyncio  # a name of zmqcore only once it is imported

    unknown = {
        f"{path.name}: zmq.{name}"
        for path in DOCUMENTS
        for name in re.findall(r"\bzmq\.([A-Za-z]\w*)", "\n".join(python_blocks(path)))
        if not hasattr(zmqcore, name)
    }
    assert not unknown


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\b[^\n]*\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def mentioned_files(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            yield target
    for word in re.findall(r"`([^`\s]+)`", text):
        if "/" in word and word.split("/")[0] in FOLDERS:
            yield word
        elif re.fullmatch(r"[\w.*-]+\.(py|pyx|pxd|pyi|md|toml|yml)", word):
            yield word


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_mention_only_files_that_exist(path: Path) -> None:
    places = (path.parent, ROOT, PACKAGE, ROOT / "docs")
    missing = [
        name
        for name in mentioned_files(path.read_text())
        if not any((place / name).exists() or any(place.glob(name)) for place in places)
    ]
    assert not missing


def test_documents_mention_only_verbs_that_make_knows() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    used = {
        (path.name, verb)
        for path in DOCUMENTS
        for verb in re.findall(r"(?:`|^\s*|\$ )make ([a-z-]+)", path.read_text(), flags=re.MULTILINE)
    }
    assert used
    assert not [(name, verb) for name, verb in used if verb not in verbs]


def test_the_version_is_the_same_everywhere() -> None:
    import zmqcore

    declared = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert declared
    assert zmqcore.__version__ == declared.group(1)
