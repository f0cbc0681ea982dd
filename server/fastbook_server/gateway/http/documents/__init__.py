"""The documents of both interfaces, generated from the wire's types: OpenAPI, AsyncAPI, a page."""
