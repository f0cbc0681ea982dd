"""Settings: four sources in their order, and one clear line about what is wrong."""

from __future__ import annotations

import msgspec
import pytest

from fastbook_server.config import SETTINGS, Config, ConfigError, load
from fastbook_server.values.instruments import InstrumentSpec

ETH = InstrumentSpec.parse("ETH-USD:0.05:0.001")


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "fastbook.toml"

    def write(text: str):
        path.write_text(text)
        return path

    return write


def test_flags_win_over_the_environment_that_over_the_file_that_over_defaults(toml):
    file = toml("port = 1\ndepth = 1\nthrottle_ms = 1")
    environment = {"FASTBOOK_PORT": "2", "FASTBOOK_DEPTH": "2", "OTHER": "9"}
    config = load({"port": "3"}, environment, file)
    defaults = Config()
    assert (config.port, config.depth, config.throttle_ms, config.last_trades) == (
        *(3, 2, 1, defaults.last_trades),
    )
    assert load({}, {}) == defaults


def test_an_empty_variable_is_as_good_as_unset(toml):
    file = toml("port = 1")
    empty = {s.variable: "" for s in SETTINGS}
    assert load({}, empty, file) == msgspec.structs.replace(Config(), port=1)


@pytest.mark.parametrize("name", [s.name for s in SETTINGS])
def test_every_setting_can_be_given_in_every_way(name, toml):
    """A default, written down and read back, is the default."""
    setting = next(s for s in SETTINGS if s.name == name)
    if setting.default is None or setting.default == ():
        value = "https://example.org"
    elif name == "instruments":
        value = "BTC-USD:0.01:0.0001"
    else:
        value = str(setting.default)
    listed = [value] if setting.many else value
    in_toml = msgspec.json.encode(listed).decode()
    loaded = {
        load({name: listed}, {}),
        load({}, {setting.variable: value}),
        load({}, {}, toml(f"{name} = {in_toml}")),
    }
    assert len(loaded) == 1
    if setting.default not in (None, ()):
        assert loaded == {Config()}


def test_instruments_come_as_texts_words_or_tables(toml):
    table = '[[instruments]]\nsecurity = "ETH-USD"\ntick = 0.05\nlot = "0.001"\nstatus = "halted"'
    text = "ETH-USD:0.05:0.001"
    halted = msgspec.structs.replace(ETH, status="halted")
    assert load({"instruments": (text,)}, {}).instruments == (ETH,)
    assert load({}, {"FASTBOOK_INSTRUMENT": f"{text}, A:1:1"}).instruments == (
        *(ETH, InstrumentSpec.parse("A:1:1")),
    )
    assert load({}, {}, toml(table)).instruments == (halted,)


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ({"port": "x"}, {}, "--port: expected a whole number, got 'x'"),
        ({"port": ""}, {}, "--port: expected a whole number, got ''"),
        ({"port": "65536"}, {}, "--port: expected a whole number of at most 65535, got '65536'"),
        ({"port": True}, {}, "--port: expected a whole number, got True"),
        ({"host": ""}, {}, "--host: expected a text that is not empty, got ''"),
        ({"database_url": ""}, {}, "--database-url: expected a text that is not empty, got ''"),
        (
            {"resume_grace_s": "nan"},
            {},
            "--resume-grace-s: expected a number of at least 0.0, got 'nan'",
        ),
        ({"shutdown_s": "inf"}, {}, "--shutdown-s: expected a number of at most 3600.0, got 'inf'"),
        ({"durability": "no"}, {}, "--durability: expected one of commit, relaxed, got 'no'"),
        (
            {},
            {"FASTBOOK_PORT": "-1"},
            "FASTBOOK_PORT: expected a whole number of at least 0, got '-1'",
        ),
        (
            {},
            {"FASTBOOK_SESSIONS_MAX": "0"},
            "FASTBOOK_SESSIONS_MAX: expected a whole number of at least 1, got '0'",
        ),
        ({}, {"FASTBOOK_LOG_LEVEL": "loud"}, "FASTBOOK_LOG_LEVEL: expected one of debug, info,"),
        ({}, {"FASTBOOK_INSTRUMENT": "A"}, "FASTBOOK_INSTRUMENT: expected SECURITY:TICK:LOT"),
        ({"instruments": ("A:x:1",)}, {}, "--instrument: tick of A: expected a decimal number"),
        ({"instruments": ("A:1:1", "A:2:2")}, {}, "instruments: A is given twice"),
        ({"batch_commands_max": "9", "inbox_commands_max": "8"}, {}, "batch_commands_max 9 is"),
        ({"in_memory": "perhaps"}, {}, "--in-memory: expected true or false, got 'perhaps'"),
        ({"retain_days": "1"}, {}, "retain_days: expected 0 or at least 2, got 1"),
        ({"retain_days": "7", "compress_after_days": "7"}, {}, "compress_after_days 7 is not less"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(flags, environment, message):
    with pytest.raises(ConfigError) as caught:
        load(flags, environment)
    assert str(caught.value)[: len(message)] == message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"data_dir": "/mine"},
        {"database_url": "postgresql://db/x"},
        {"delist": ("OLD-USD",)},
        {"store_checkpoint_every": "7"},
        {"compress_after_days": "3"},
        {"retain_days": "30"},
    ],
    ids=list,
)
def test_a_server_in_memory_takes_no_setting_of_a_database(given):
    ((name, value),) = given.items()
    load(given, {})
    with pytest.raises(ConfigError) as caught:
        load(given, {"FASTBOOK_IN_MEMORY": "true"})
    got = "OLD-USD" if name == "delist" else value
    assert str(caught.value) == (
        f"{name}: expected none beside in_memory, which uses no database, got {got}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 'x'", "port: expected a whole number, got 'x'"),
        ("port = 80.0", "port: expected a whole number, got 80.0"),
        ("port = true", "port: expected a whole number, got True"),
        ("prot = 1", "unknown setting 'prot'; see fastbook serve --help"),
        ("[serve]\nport = 1", "unknown setting 'serve'"),
        ("port = ", "Invalid value (at "),
        ("allowed_origins = 'x'", "allowed_origins: expected a list, got 'x'"),
        ("allowed_origins = [1]", "allowed_origins: expected a text at each place, got [1]"),
        ("instruments = 'A:1:1'", "instruments: expected a list, got 'A:1:1'"),
        ("instruments = []", "instruments: expected at least one"),
        ("instruments = [1]", "instruments: expected SECURITY:TICK:LOT or a table, got 1"),
        ("instruments = [{security='A'}]", "instruments: expected the keys security, tick, lot"),
        ("instruments = [{security='A',tick=1,lot=1,x=1}]", "instruments: expected the keys"),
        ("instruments = [{security='A',tick=1,lot=1,status='x'}]", "instruments: status: expected"),
        ("instruments = [{security='A',tick=1,lot=nan}]", "instruments: lot of A: expected"),
    ],
)
def test_a_wrong_file_is_named_with_the_setting(text, message, toml):
    file = toml(text)
    with pytest.raises(ConfigError) as caught:
        load({}, {}, file)
    assert str(caught.value).removeprefix(f"{file}: ")[: len(message)] == message


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: No such file or directory"):
        load({}, {}, tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"bytes\.toml: .*utf-8"):
        load({}, {}, tmp_path / "bytes.toml")


def test_every_setting_has_a_flag_a_variable_and_a_help_text():
    named = [(s.flag, s.variable, bool(s.help)) for s in SETTINGS[:6]]
    assert named == [
        ("--host", "FASTBOOK_HOST", True),
        ("--port", "FASTBOOK_PORT", True),
        ("--data-dir", "FASTBOOK_DATA_DIR", True),
        ("--database-url", "FASTBOOK_DATABASE_URL", True),
        ("--in-memory", "FASTBOOK_IN_MEMORY", True),
        ("--instrument", "FASTBOOK_INSTRUMENT", True),
    ]


def test_a_wrong_secret_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        load({}, {"FASTBOOK_TOKEN": "my secret"})
    assert str(caught.value) == (
        "FASTBOOK_TOKEN: expected 16 to 200 ASCII signs without spaces, got something else"
    )
