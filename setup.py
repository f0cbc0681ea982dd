"""Build the extension modules, the trading page and the README that PyPI shows.

All else is declared in pyproject.toml.

Plain ``Extension``s on the ``.pyx``: setuptools calls Cython itself and keeps the sources in the
sdist, which ``cythonize()`` here would not.
"""

import os
import signal
import sys
import threading
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).parent / "tools"))
sys.path.insert(0, str(Path(__file__).parent / "tools/web"))
import assets
import pypi_readme

SHARED = sorted(glob("src/fastbook/*.pxd"))
HEADERS = sorted(glob("server/fastbook_server/**/*.pxd", recursive=True))
WITH_SOURCE = [header for header in HEADERS if Path(header).with_suffix(".py").exists()]
# What make has compiled elsewhere is left out: the environment is installed beside the compiler.
LEFT_OUT = "FASTBOOK_WITHOUT_EXTENSIONS" in os.environ

# A build in half the time: for development, and the first minute. The engine is as fast as ever,
# the server's modules are slower when they run.
QUICK = "FASTBOOK_QUICK_BUILD" in os.environ
COMPILED = ["-g0", "-pipe", "-w"]  # -w: what Cython writes is not ours to mend


def optimized(level: str) -> str:
    """Return the option of a level of optimization, or, for a quick build, of the quick one."""
    return "-Og" if QUICK else level


def extension(root: str, name: str) -> Extension:
    """Return the extension module `name` of `root`; any header's change compiles it again."""
    path = f"{root}/{name.replace('.', '/')}"
    return Extension(
        name,
        [f"{path}.pyx"],
        depends=[*SHARED, *glob(f"{path}.pxd")],
        extra_compile_args=["-O3" if root == "src" else optimized("-O3"), *COMPILED],
    )


# Plain Python whose classes and functions have C types in a header of the same name: it runs
# compiled, and, from its source, as the reference.
TYPED = {
    "annotation_typing": False,  # an int of a signature has any size; the header says which do not
    "overflowcheck": True,
    "auto_pickle": False,
    "language_level": 3,
}


def typed(name: str) -> Extension:
    """Return the extension module of a Python module of the server that has a header."""
    path = f"server/{name.replace('.', '/')}"
    module = Extension(
        name,
        [f"{path}.py"],
        depends=[*SHARED, *HEADERS],
        extra_compile_args=[optimized("-O2"), *COMPILED],
    )
    module.cython_directives = TYPED
    return module


EXTENSIONS = [
    extension("src", "fastbook._book"),
    extension("src", "fastbook._event_buffer"),
    extension("src", "fastbook._depth"),
    extension("server", "fastbook_server.gateway._commands"),
    extension("server", "fastbook_server.gateway._frames"),
    extension("server", "fastbook_server.gateway._json"),
    extension("server", "fastbook_server.dialects.binance._requests"),
    extension("server", "fastbook_server.values._unwatched"),
    extension("server", "fastbook_server.values._uuid"),
    *(typed(header[len("server/") : -len(".pxd")].replace("/", ".")) for header in WITH_SOURCE),
]


class BuildOnAllCores(build_ext):
    """Compiles several modules at once: C beside Cython, which serves one thread at a time."""

    translating = threading.Lock()

    def finalize_options(self) -> None:
        """Use every core, unless another number is asked for.

        With one module more than cores, none is idle while two wait for Cython.
        """
        super().finalize_options()
        if self.parallel is None:
            self.parallel = (os.cpu_count() or 1) + 1

    def build_extensions(self) -> None:
        """Begin with the longest: none is left over for one core alone at the end.

        Ctrl-C ends it at once: the pool of threads would first compile all that is left.
        """
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.extensions.sort(key=lambda ext: Path(ext.sources[0]).stat().st_size, reverse=True)
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        """Translate a module to C, then compile it."""
        with self.translating:
            directives = getattr(ext, "cython_directives", {})
            (translated,) = cythonize(
                ext, compiler_directives=directives, force=self.force, quiet=True
            )
        ext.sources = translated.sources
        super().build_extension(ext)


def complete_the_page() -> None:
    """Build what the trading page lacks, or end the build: nothing is made without its page."""
    try:
        assets.ensure()
    except assets.AssetsError as error:
        raise SystemExit(f"error: {error}") from None


class BuildWithPage(build_py):
    """Also for an editable install, which swallows a mere exception."""

    def run(self) -> None:
        """Build the page first."""
        complete_the_page()
        self.__dict__.pop("data_files", None)  # was listed without it
        super().run()


class SdistWithPage(sdist):
    """The source distribution carries the built page, so that building from it needs no node."""

    def run(self) -> None:
        """Build the page first."""
        complete_the_page()
        super().run()


setup(
    long_description=pypi_readme.text(),
    long_description_content_type="text/markdown",
    ext_modules=[] if LEFT_OUT else EXTENSIONS,
    cmdclass={"build_py": BuildWithPage, "build_ext": BuildOnAllCores, "sdist": SdistWithPage},
)
