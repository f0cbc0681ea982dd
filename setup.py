"""Build the extension modules; everything else is declared in pyproject.toml.

Plain ``Extension``s on the ``.pyx``: setuptools calls Cython itself and keeps the sources in the
sdist, which ``cythonize()`` here would not.
"""

from glob import glob

from setuptools import Extension, setup

SHARED = sorted(glob("src/fastbook/*.pxd"))


def extension(name: str) -> Extension:
    """Return the extension module ``fastbook.<name>``; any header's change compiles it again."""
    return Extension(
        f"fastbook.{name}",
        [f"src/fastbook/{name}.pyx"],
        depends=SHARED,
        extra_compile_args=["-O3", "-g0"],
    )


setup(ext_modules=[extension("_book"), extension("_depth")])
