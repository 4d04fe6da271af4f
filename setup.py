"""Builds the Cython modules of zmqcore; everything else is declared in pyproject.toml.

Environment switches:
    ZMQCORE_DEBUG=1     -O0 -g, fatal zc_check(), annotated HTML beside the sources
    ZMQCORE_SANITIZE=…  the value of -fsanitize= (for example address,undefined)
    ZMQCORE_COVERAGE=1  line tracing for coverage.py
    ZMQCORE_PROBES=1    also compiles tests/native/_probe_*.pyx, which the unit tests use
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
DEBUG = bool(os.environ.get("ZMQCORE_DEBUG"))
SANITIZE = os.environ.get("ZMQCORE_SANITIZE", "")
COVERAGE = bool(os.environ.get("ZMQCORE_COVERAGE"))
PROBES = bool(os.environ.get("ZMQCORE_PROBES"))

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
    "binding": True,
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
    if COVERAGE:
        macros += [("CYTHON_TRACE_NOGIL", "1")]
    return Extension(
        module,
        [str(source.relative_to(ROOT))],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        depends=[str(p.relative_to(ROOT)) for p in sorted((ROOT / "zmqcore").glob("*.pxd"))],
    )


def extensions() -> list[Extension]:
    found = [
        extension(f"zmqcore.{source.stem}", source)
        for source in sorted((ROOT / "zmqcore").glob("*.pyx"))
    ]
    if PROBES:
        found += [
            extension(f"tests.native.{source.stem}", source)
            for source in sorted((ROOT / "tests" / "native").glob("*.pyx"))
        ]
    return found


setup(
    ext_modules=cythonize(
        extensions(),
        compiler_directives=DIRECTIVES,
        annotate=DEBUG,
        nthreads=os.cpu_count() or 1,
        build_dir="build/cython",
    )
)
