"""The wire as types: the one description of what server and client say to each other.

Both sides import it, the documents are generated from it. Every struct is JSON by ``msgspec``:
names in camelCase, times in Unix milliseconds, prices and amounts as numbers.
"""
