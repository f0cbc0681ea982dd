"""Describes the WebSocket endpoint as an AsyncAPI 3 document."""

from __future__ import annotations

from typing import Any

from fastbook_server import __version__
from fastbook_server.gateway.http.documents import examples
from fastbook_server.gateway.http.documents.schemas import components, reference, summary, tag
from fastbook_wire import commands, frames
from fastbook_wire.words import PROTOCOL

EXAMPLES_MAX = 4

# The frames that may answer each command; ``ref`` tells which command they answer.
REPLIES: dict[type, tuple[type, ...]] = {
    commands.Add: (frames.OrderFrame, frames.Error),
    commands.Amend: (frames.OrderFrame, frames.Error),
    commands.Delete: (frames.OrderFrame, frames.Error),
    commands.GetOrder: (frames.OrderFrame, frames.Error),
    commands.GetFills: (frames.OwnFills, frames.Error),
    commands.GetEndedOrders: (frames.EndedOrders, frames.Error),
    commands.DeleteAll: (frames.DeletedAll, frames.Error),
    commands.CancelAfter: (frames.CancelAfterSet, frames.Error),
    commands.GetOrder: (frames.OrderFrame, frames.Error),
    commands.Orders: (frames.OrdersFrame, frames.Error),
    commands.Ping: (frames.Pong, frames.Error),
    commands.Subscribe: (frames.Subscribed, frames.Error),
    commands.Unsubscribe: (frames.Unsubscribed, frames.Error),
}
UNASKED = (
    frames.Welcome,
    *frames.PublicFrame.__args__,
    frames.Fill,
    frames.OrderFrame,
    frames.OrdersFrame,
)

QUERY = {
    "security": ("string", "Whose book and trades to send; default: the first instrument."),
    "resume": ("string", "The `resumeToken` of an earlier connection: resume as that user."),
    "cancelOnDisconnect": (
        "string",
        "When the end of the connection cancels the orders: `true`, at once; a number, unless the "
        "user resumes within so many seconds; `false`, never.",
    ),
    "feed": ("string", "`none`: send no public frames."),
}


def asyncapi(
    host: str = "127.0.0.1:8080", *, secure: bool = False, prefix: str = ""
) -> dict[str, Any]:
    """Return the AsyncAPI document of a server at `host`, all of whose paths follow `prefix`."""
    kinds = (*commands.COMMANDS, *frames.FRAMES)
    server = {"host": host, "protocol": "wss" if secure else "ws"}
    if prefix:
        server["pathname"] = prefix
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fastbook",
            "version": __version__,
            "description": "The WebSocket endpoint of an exchange. All frames are JSON text. "
            "The server sends the first frame. Each server frame has an `event`, each client "
            "frame an `op`; 1 to 100 order commands may share a frame as an array. `seq` gives "
            f"the order of events. This is version {PROTOCOL} of the wire.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"this": server},
        "channels": {
            "socket": {
                "address": "/ws",
                "description": "The only endpoint; all commands and frames share it.",
                "messages": {
                    k.__name__: {"$ref": f"#/components/messages/{k.__name__}"} for k in kinds
                },
                "bindings": {"ws": {"method": "GET", "query": _query(), "bindingVersion": "0.1.0"}},
            }
        },
        "operations": _operations(),
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in kinds},
            "schemas": components(kinds),
        },
    }


def _query() -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: {"type": kind, "description": about} for name, (kind, about) in QUERY.items()
    }
    properties["feed"]["enum"] = ["none"]
    properties["cancelOnDisconnect"]["pattern"] = "^(true|false|[1-9][0-9]*)$"
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _operations() -> dict[str, Any]:
    channel = {"$ref": "#/channels/socket"}
    operations: dict[str, Any] = {
        tag(command): {
            "action": "receive",
            "summary": summary(command),
            "channel": channel,
            "messages": [_in_channel(command)],
            "reply": {"channel": channel, "messages": [_in_channel(r) for r in replies]},
        }
        for command, replies in REPLIES.items()
    }
    for frame in UNASKED:
        operations[f"tell{frame.__name__}"] = {
            "action": "send",
            "summary": summary(frame),
            "channel": channel,
            "messages": [_in_channel(frame)],
        }
    return operations


def _in_channel(kind: type) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{kind.__name__}"}


def _message(kind: type) -> dict[str, Any]:
    is_command = kind in commands.COMMANDS
    found = examples.commands(tag(kind)) if is_command else examples.frames(tag(kind))
    chosen = dict(reversed(found))
    message: dict[str, Any] = {
        "name": tag(kind),
        "title": kind.__name__,
        "summary": summary(kind),
        "payload": reference(kind),
    }
    if chosen:
        several = list(reversed(chosen.items()))[:EXAMPLES_MAX]
        message["examples"] = [
            {"name": f"{tag(kind)}-{n}", "summary": about, "payload": payload}
            for n, (about, payload) in enumerate(several, 1)
        ]
    return message
