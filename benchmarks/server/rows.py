"""The rows of `benchmarks.bench_server`: what is measured, beside what, and its goal."""

from __future__ import annotations

from benchmarks.server import dialect, durable, market_data, orders, overload, peer, waits
from benchmarks.server.row import Row

MORE, LESS = True, False
ECHO = "bare aiohttp echo of the same bytes"

ROWS = (
    Row(
        "order-64x1",
        "order to own report, in memory: 64 connections, one command in flight each",
        ECHO,
        *("/s", MORE, 0.70, 1.0),
        orders.beside_echo(64, 1),
    ),
    Row(
        "order-16x64",
        "the same pipelined: 16 connections, 64 in flight each",
        ECHO,
        *("/s", MORE, 2.5, 4.0),
        orders.beside_echo(16, 64),
    ),
    Row(
        "trade-64x1",
        "64 x 1; 8% of the commands trade twice, which both owners are told",
        ECHO,
        *("/s", MORE, 0.70, 1.0),
        orders.beside_echo(64, 1, 80),
    ),
    Row(
        "trade-16x64",
        "16 x 64; 8% of the commands trade twice",
        ECHO,
        *("/s", MORE, 2.5, 4.0),
        orders.beside_echo(16, 64, 80),
    ),
    Row(
        "commit-small",
        "durable, 64 x 1: p50 of the report",
        "one statement that commits 64 commands",
        *("ms", LESS, 1.7, 1.3),
        durable.small_batches,
    ),
    Row(
        "commit-sustained",
        "durable, 16 x 64, 200,000 open orders",
        "bare loop of netted batches of 1,000",
        *("/s", MORE, 0.7, 1.0),
        durable.sustained,
    ),
    Row(
        "commit-half-p50",
        "durable, at half of that rate: p50 of the report",
        "bare transaction of the same size",
        *("ms", LESS, 3.0, 2.0),
        durable.at_half("p50"),
    ),
    Row(
        "commit-half-p90",
        "the same: p90 of the report",
        "bare transaction of the same size",
        *("ms", LESS, 3.0, 2.0),
        durable.at_half("p90"),
    ),
    Row(
        "overload-rate",
        "durable, offered 3 times its peak: commands accepted",
        "its peak, 16 x 64",
        *("/s", MORE, 0.9, 1.0),
        overload.at_three_times(overload.accepted_rate),
    ),
    Row(
        "overload-p90",
        "the same: p90 of the report to accepted commands",
        "the p90 at its peak",
        *("ms", LESS, 2.0, 1.5),
        overload.at_three_times(overload.accepted_p90_ms),
    ),
    Row(
        "fan-1",
        "one trade to 1,000 sessions: CPU per delivery",
        "raw transport writes of the same bytes",
        *("us", LESS, 1.15, 1.05),
        market_data.one_event,
    ),
    Row(
        "fan-8",
        "bursts of 8 trades to 1,000 sessions",
        "raw transport writes of single events",
        *("deliveries/s", MORE, 5.0, 6.0),
        market_data.bursts,
    ),
    Row(
        "stalled",
        "CPU per delivery to the others while 10% of 1,000 readers stall",
        "the same without stalled readers",
        *("us", LESS, 1.1, 1.0),
        market_data.stalled,
    ),
    Row(
        "idle-memory",
        "memory per idle session",
        "bare aiohttp session",
        *("KiB", LESS, 2.0, 1.3),
        market_data.memory,
    ),
    Row(
        "handshakes",
        "1,000 sessions that connect at once: CPU of each until the last opening pair",
        "1,000 bare aiohttp handshakes",
        *("us", LESS, 2.0, 1.3),
        market_data.handshakes,
    ),
    Row(
        "securities-50",
        "CPU per command with 50 securities and 1M resting orders",
        "one security, 1,000 orders",
        *("us", LESS, 1.3, 1.1),
        orders.many_securities,
    ),
    Row(
        "reference",
        "in memory, 16 x 64",
        "the same with `--engine reference`",
        *("/s", MORE, 6.0, 10.0),
        orders.beside_reference(16, 64),
    ),
    Row(
        "start-1m",
        "start with 1M open orders",
        "binary COPY out of the same table",
        *("s", LESS, 3.0, 1.5),
        durable.start,
    ),
    Row(
        "wait-delete-all",
        "`deleteAll` of 100,000 orders: longest wait of others",
        "",
        *("ms", LESS, 10.0, 5.0),
        waits.beside(waits.DELETE_ALL),
    ),
    Row(
        "wait-orders",
        "`orders` of 100,000 orders: longest wait of others",
        "",
        *("ms", LESS, 10.0, 5.0),
        waits.beside(waits.LIST),
    ),
    Row(
        "wait-sweep",
        "a market order through 100,000 orders: longest wait of others",
        "",
        *("ms", LESS, 10.0, 5.0),
        waits.beside(orders=2 * waits.ORDERS),
    ),
    Row(
        "binance-rest",
        "Binance dialect: a signed REST order or cancel, 64 connections, one request each: CPU",
        "native commands, 64 x 1",
        *("us", LESS, 3.0, 2.0),
        dialect.beside_native(dialect.RestBot),
    ),
    Row(
        "binance-socket",
        "the same by its socket API, once logged on",
        "native commands, 64 x 1",
        *("us", LESS, 1.5, 1.2),
        dialect.beside_native(dialect.SocketBot),
    ),
    Row(
        "binance-socket-signed",
        "the same by its socket API, each request signed",
        "native commands, 64 x 1",
        *("us", LESS, 1.5, 1.2),
        dialect.beside_native(dialect.SigningBot),
    ),
    Row(
        "binance-difference",
        "its difference of 10 levels to 1,000 streams: CPU per delivery",
        "raw transport writes of the same bytes",
        *("us", LESS, 1.5, 1.15),
        dialect.one_difference,
    ),
    Row(
        "peer-matching-engine",
        "durable, 64 x 1, beside what pip has besides",
        "matching-engine, one HTTP request at a time",
        *("/s", MORE, 1.0, 3.0),
        peer.beside_matching_engine,
    ),
)
