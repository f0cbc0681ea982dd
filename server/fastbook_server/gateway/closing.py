"""Why the server closes a connection: the codes of RFC 6455, 7.4.1, and our own."""

from __future__ import annotations

GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003
INVALID_TEXT = 1007
RESUMED_ELSEWHERE = 4001
BY_OPERATOR = 4002
SLOW_READER = 4008
TOO_MANY_REFUSALS = 4029
