"""Build the extension modules; everything else is declared in pyproject.toml.

Plain ``Extension``s on the ``.pyx``: setuptools calls Cython itself and keeps the sources in the sdist.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("fastbook._book", ["src/fastbook/_book.pyx"], extra_compile_args=["-O3"]),
        Extension("fastbook._depth", ["src/fastbook/_depth.pyx"], extra_compile_args=["-O3"]),
    ],
)
