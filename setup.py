"""Builds the Cython modules of zmqcore; everything else is declared in pyproject.toml.

Environment switches:
    ZMQCORE_DEBUG=1     -O0 -g, fatal zc_check(), annotated HTML beside the sources
    ZMQCORE_SANITIZE=…  the value of -fsanitize= (for example address,undefined)
    ZMQCORE_COVERAGE=1  line tracing for coverage.py
    ZMQCORE_PROBES=1    also compiles tests/native/_probe_*.pyx, which the unit tests use

No build knows the switches of the one before: run `make clean` between two different builds of one tree.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
DEBUG = bool(os.environ.get("ZMQCORE_DEBUG"))
SANITIZE = os.environ.get("ZMQCORE_SANITIZE", "")
COVERAGE = bool(os.environ.get("ZMQCORE_COVERAGE"))
PROBES = bool(os.environ.get("ZMQCORE_PROBES"))
JOBS = os.cpu_count() or 1

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
    "binding": True,
    "autotestdict": False,
    "linetrace": COVERAGE,
}


def extension(module: str, source: Path) -> Extension:
    compile_args = ["-std=gnu11", "-pthread", "-fvisibility=hidden"]
    link_args = ["-pthread"]
    macros = [("_GNU_SOURCE", "1")]
    if DEBUG:
        compile_args += ["-O0", "-g", "-UNDEBUG"]
        macros += [("ZMQCORE_DEBUG", "1")]
    else:
        compile_args += ["-O2", "-g0"]
    if SANITIZE:
        compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g"]
        link_args += [f"-fsanitize={SANITIZE}"]
        # No sanitizer sees an object's second life out of a free list, nor TSan the GIL, which guards cached look-ups.
        macros += [("CYTHON_USE_FREELISTS", "0"), ("CYTHON_USE_DICT_VERSIONS", "0")]
    if COVERAGE:
        macros += [("CYTHON_TRACE_NOGIL", "1")]
    return Extension(
        module,
        [str(source.relative_to(ROOT))],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


def extensions() -> list[Extension]:
    found = [extension(f"zmqcore.{source.stem}", source) for source in sorted((ROOT / "zmqcore").glob("*.pyx"))]
    if PROBES:
        found += [
            extension(f"tests.native.{source.stem}", source)
            for source in sorted((ROOT / "tests" / "native").glob("*.pyx"))
        ]
    return found


class BuildCython(build_ext):
    """Runs Cython only when something is compiled: an sdist or a question for metadata needs no C."""

    def run(self) -> None:
        from Cython.Build import cythonize

        generated = cythonize(
            list(self.extensions),
            compiler_directives=DIRECTIVES,
            annotate=DEBUG,
            nthreads=JOBS,
            build_dir="build/cython",
        )
        sources = {one.name: one.sources for one in generated}
        for one in self.extensions:
            one.sources = sources[one.name]
        super().run()


# The guard matters: Cython's worker processes import this file again where processes are spawned (macOS).
if __name__ == "__main__":
    if sys.platform == "win32":
        raise SystemExit("zmqcore does not run on Windows")
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildCython},
        options={"build_ext": {"parallel": JOBS}},
    )
