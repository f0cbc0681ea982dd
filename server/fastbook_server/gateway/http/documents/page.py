"""Renders both documents as one page: plain HTML, no scripts, no foreign resources.

Its forms send the requests that it describes; the browser shows the answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

Document = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d9dde3, #2c323b);
  --quiet: light-dark(#5b6572, #98a2b0); --code: light-dark(#f4f6f8, #181c22);
  --accent: light-dark(#0b62c4, #6cb2ff); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 6rem; line-height: 1.55;
  font-family: system-ui, sans-serif; background: light-dark(#fff, #101318);
  color: light-dark(#14181d, #e4e8ee); }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { margin-top: 3rem; font-size: 1.2rem; }
h3 { margin: 2rem 0 .25rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1rem; } h4 { margin: 1rem 0 .25rem; font-size: .85rem; color: var(--quiet); }
a { color: var(--accent); } nav { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.contents { font-size: .9rem; margin: .5rem 0 1rem; }
code, pre { font: .82rem/1.5 ui-monospace, monospace; }
code { background: var(--code); padding: .1em .3em; border-radius: 3px; }
pre { background: var(--code); padding: .6rem .8rem; border-radius: 6px; margin: .35rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere; } pre code { padding: 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .5rem 0; }
td, .from { overflow-wrap: anywhere; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
  border-bottom: 1px solid var(--line); } th { color: var(--quiet); font-weight: 500; }
.from { color: var(--quiet); font-size: .85rem; }
summary { cursor: pointer; color: var(--quiet); }
form.try { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .5rem 0; }
form.try label { display: grid; font-size: .75rem; color: var(--quiet); }
form.try input, form.try select, form.try button { font: .82rem/1.5 ui-monospace, monospace;
  padding: .15rem .4rem; border: 1px solid var(--line); border-radius: 4px; width: 9rem;
  background: var(--code); color: inherit; } form.try button { width: auto; cursor: pointer; }
""".strip()


def page(openapi: Document, asyncapi: Document, prefix: str = "") -> str:
    """Return one HTML page that shows both documents; `prefix` precedes our paths."""
    schemas = {**openapi["components"]["schemas"], **asyncapi["components"]["schemas"]}
    body = "\n".join(
        (
            *_head(openapi, prefix),
            *_http(openapi, prefix),
            *_socket(asyncapi),
            *_types(dict(sorted(schemas.items()))),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<title>fastbook: interfaces</title>\n<link rel="stylesheet" '
        f'href="{prefix}/docs/style.css">\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(openapi: Document, prefix: str) -> Iterator[str]:
    info = openapi["info"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
    yield (
        '<nav><a href="#http">HTTP</a><a href="#socket">WebSocket</a><a href="#types">Types</a>'
        f'<a href="{prefix}/docs/openapi.json">openapi.json</a>'
        f'<a href="{prefix}/docs/asyncapi.json">asyncapi.json</a></nav>'
    )


def _contents(links: Iterable[tuple[str, str]]) -> str:
    """Return links to what a section holds, from (anchor, text)."""
    shown = (f'<a href="#{escape(anchor)}">{escape(text)}</a>' for anchor, text in links)
    return f'<nav class="contents">{"".join(shown)}</nav>'


def _http(openapi: Document, prefix: str) -> Iterator[str]:
    yield '<h2 id="http">HTTP</h2>'
    yield f"<p>{_text(openapi['info']['description'])}</p>"
    yield _contents((item["get"]["operationId"], path) for path, item in openapi["paths"].items())
    for path, item in openapi["paths"].items():
        operation = item["get"]
        yield f'<h3 id="{escape(operation["operationId"])}"><code>GET {escape(path)}</code></h3>'
        yield f"<p>{_text(operation['summary'])}</p>"
        if operation["parameters"]:
            yield from _table(
                ("parameter", "type", ""),
                (
                    (f"<code>{escape(p['name'])}</code>", _type(p["schema"]), _about(p))
                    for p in operation["parameters"]
                ),
            )
        yield from _form(f"{prefix}/docs/try{path}", operation)
        responses = operation["responses"]
        yield from _table(
            ("status", "body", ""),
            (
                (
                    status,
                    _type(response["content"]["application/json"]["schema"]),
                    _text(response["description"]),
                )
                for status, response in responses.items()
            ),
        )
        for response in responses.values():
            for example in response["content"]["application/json"].get("examples", {}).values():
                yield from _example(example["summary"], example["value"])


def _form(path: str, operation: Document) -> Iterator[str]:
    """Yield a form that sends a request; its answer opens beside this page."""
    yield f'<form class="try" action="{escape(path)}" target="answer">'
    for parameter in operation["parameters"]:
        if parameter["in"] != "query":
            continue
        name, schema = escape(parameter["name"]), parameter["schema"]
        required = " required" if parameter.get("required") else ""
        if "enum" in schema:
            options = "".join(f"<option>{escape(str(word))}</option>" for word in schema["enum"])
            empty = "" if required else "<option></option>"
            field = f'<select name="{name}"{required}>{empty}{options}</select>'
        else:
            kind = "number" if schema.get("type") == "integer" else "text"
            field = f'<input name="{name}" type="{kind}"{required}>'
        yield f"<label>{name}{field}</label>"
    yield "<button>Try it</button></form>"


def _socket(asyncapi: Document) -> Iterator[str]:
    yield '<h2 id="socket">WebSocket</h2>'
    yield f"<p>{_text(asyncapi['info']['description'])}</p>"
    query = asyncapi["channels"]["socket"]["bindings"]["ws"]["query"]["properties"]
    yield "<p><code>GET /ws</code> accepts these parameters:</p>"
    yield from _table(
        ("parameter", "type", ""),
        (
            (f"<code>{escape(n)}</code>", _type(p), _text(p["description"]))
            for n, p in query.items()
        ),
    )
    messages = asyncapi["components"]["messages"]
    replies: dict[str, list[str]] = {}
    for name, operation in asyncapi["operations"].items():
        if "reply" in operation:
            replies[name] = [_last(m["$ref"]) for m in operation["reply"]["messages"]]
    for title, are_commands in (("Commands", True), ("Server frames", False)):
        shown = [
            message
            for message in messages.values()
            if (message["name"] in replies and _is_command(asyncapi, message)) == are_commands
        ]
        yield f"<h2>{title}</h2>"
        kind = "command" if are_commands else "frame"
        yield _contents((f"{kind}-{m['name']}", m["name"]) for m in shown)
        for message in shown:
            yield from _message(message, kind, replies if are_commands else {})


def _is_command(asyncapi: Document, message: Document) -> bool:
    schema = asyncapi["components"]["schemas"][_last(message["payload"]["$ref"])]
    return "op" in schema["properties"]


def _message(message: Document, kind: str, replies: dict[str, list[str]]) -> Iterator[str]:
    name = escape(message["name"])
    yield f'<h3 id="{kind}-{name}"><code>{name}</code></h3>'
    said = f"<p>{_text(message['summary'])} Type: {_type(message['payload'])}"
    if message["name"] in replies:
        answered = " or ".join(_link(name) for name in replies[message["name"]])
        said += f'; answered with <span class="from">{answered}</span>'
    yield f"{said}.</p>"
    for example in message.get("examples", ()):
        yield from _example(example["summary"], example["payload"])


def _types(schemas: dict[str, Document]) -> Iterator[str]:
    yield '<h2 id="types">Types</h2>'
    yield _contents((f"type-{name}", name) for name in schemas)
    for name, schema in schemas.items():
        yield from _schema(name, schema)


def _schema(name: str, schema: Document) -> Iterator[str]:
    yield f'<h3 id="type-{escape(name)}">{escape(name)}</h3>'
    if "description" in schema:
        yield f"<p>{_text(schema['description'])}</p>"
    required = schema.get("required", ())
    yield from _table(
        ("field", "type", ""),
        (
            (
                f"<code>{escape(field)}</code>{'' if field in required else ' (optional)'}",
                _type(of_field),
                _about(of_field),
            )
            for field, of_field in schema.get("properties", {}).items()
        ),
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _example(summary: str, value: Any) -> Iterator[str]:
    text = _readable(value)
    yield f'<div class="from">{_text(summary)}</div><pre><code>{escape(text)}</code></pre>'


def _readable(value: Any, indent: str = "") -> str:
    """Return JSON as people write it: what fits into a line stands in one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= LINE or not isinstance(value, dict | list) or not value:
        return line
    deeper = f"{indent}  "
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(k, ensure_ascii=False)}: {_readable(v, deeper)}" for k, v in value.items()
        ]
        begin, end = "{", "}"
    else:
        parts, (begin, end) = [_readable(each, deeper) for each in value], "[]"
    inner = ",\n".join(f"{deeper}{part}" for part in parts)
    return f"{begin}\n{inner}\n{indent}{end}"


LINE = 88
"""Longer JSON is broken into lines."""


def _type(schema: Document) -> str:
    """Return a schema's type as short HTML, with links to named types."""
    if "$ref" in schema:
        return _link(_last(schema["$ref"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    return escape(kind)


def _about(schema: Document) -> str:
    """Return the description of a parameter or field, and its bounds."""
    inner = schema.get("schema", schema)
    parts = [schema.get("description", "")]
    for part in inner.get("anyOf", ()):
        parts.append(part.get("description", ""))
    bounds = [f"{word} {inner[key]}" for key, word in _BOUNDS.items() if key in inner]
    if inner.get("default") is not None:
        bounds.append(f"default {json.dumps(inner['default'])}")
    said = " ".join(dict.fromkeys(part for part in parts if part))
    return _text(said) + (f' <span class="from">{escape(", ".join(bounds))}</span>')


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "length at least",
    "maxLength": "length at most",
}


def _link(name: str) -> str:
    return f'<a href="#type-{escape(name)}">{escape(name)}</a>'


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _text(markdown: str) -> str:
    """Return a Markdown paragraph as HTML; code spans are the only markup allowed."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))
