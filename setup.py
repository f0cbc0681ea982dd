"""Build the one extension module; everything else is declared in pyproject.toml.

A plain ``Extension`` on the ``.pyx``: setuptools calls Cython itself and keeps the source in the sdist.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("fastbook._book", ["src/fastbook/_book.pyx"], extra_compile_args=["-O3"]),
    ],
)
