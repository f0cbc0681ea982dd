"""The wire protocol as types: every command, frame, query and answer, described once.

Server and client both encode and decode with these structs, and the API documents are generated
from them. ``msgspec`` turns each struct into JSON: names in camelCase, times in Unix milliseconds,
prices and amounts as numbers.
"""
