"""Documents of both interfaces, generated from the wire's types: OpenAPI, AsyncAPI and a page."""
