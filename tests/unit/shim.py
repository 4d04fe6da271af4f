"""Tests without memory: a process of its own, in which the C library's allocator counts and, when told, refuses."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native._probe_fail import set_fail_function

SHIM = """
#include <errno.h>
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
static long left = -1;
static long live;
void fail_after(long calls) { left = calls; }
long live_blocks(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }
static void *taken(void *p) { if (p) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED); return p; }
void free(void *p) { if (p) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED); __libc_free(p); }
static int fails(void) { return left >= 0 && (left == 0 || left-- == 0); }
void *malloc(size_t n) { if (fails()) { errno = ENOMEM; return NULL; } return taken(__libc_malloc(n)); }
void *calloc(size_t n, size_t m) { if (fails()) { errno = ENOMEM; return NULL; } return taken(__libc_calloc(n, m)); }
void *realloc(void *p, size_t n) {
    if (fails()) { errno = ENOMEM; return NULL; }
    return p ? __libc_realloc(p, n) : taken(__libc_realloc(p, n));
}
"""


def let_probes_fail(shim: ctypes.CDLL) -> None:
    """From now on the probes can let allocations fail, by the shim's fail_after."""
    address = ctypes.cast(shim.fail_after, ctypes.c_void_p).value
    assert address is not None
    set_fail_function(address)


def run_with_shim(tmp_path: Path, module: str, function: str) -> dict[str, int]:
    """Runs function(shim) of that module in a process of its own, with the shim in front of the C library."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux" or "LD_PRELOAD" in os.environ:
        pytest.skip("needs a C compiler and a C library that nothing else shadows (a sanitizer does)")
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    built = subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source], capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"the C library cannot be shadowed: {built.stderr}")
    root = Path(__file__).parents[2]
    code = (
        f"import ctypes, json; import {module} as m;"
        f"print(json.dumps(m.{function}(ctypes.CDLL({str(shim)!r}))))"
    )
    env = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    seen: dict[str, int] = json.loads(done.stdout)
    return seen
