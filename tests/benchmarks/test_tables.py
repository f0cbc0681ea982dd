"""The file of results: a part for each command that measures."""

from __future__ import annotations

from benchmarks.tables import heading, put_part, put_sections, table


def test_a_part_is_replaced_and_the_others_stay(tmp_path):
    file = tmp_path / "RESULTS.md"
    put_part("make bench-server", "# What `make bench-server` measured\n\n## A\n\nold\n", file)
    put_part("make bench", "# What `make bench` measured\n\n## B\n\nengine\n", file)
    put_part("make bench-server", "# What `make bench-server ARGS=...` measured\n\nnew\n", file)
    assert file.read_text() == (
        "# What `make bench` measured\n\n## B\n\nengine\n\n"
        "# What `make bench-server ARGS=...` measured\n\nnew\n"
    )


def test_a_section_is_replaced_and_the_others_of_its_part_stay(tmp_path):
    file = tmp_path / "RESULTS.md"
    put_part("make bench", "# What `make bench` measured\n\n## B\n\nengine\n", file)
    put_sections(
        "make bench-database", "# What `make bench-database` measured", ["## A\n\n1"], file
    )
    top = "# What `make bench-database ARGS=...` measured"
    put_sections("make bench-database", top, ["## A\n\nold", "## B\n\nb"], file)
    put_sections("make bench-database", top, ["## C\n\nc", "## A\n\nnew"], file)
    assert file.read_text() == (
        "# What `make bench` measured\n\n## B\n\nengine\n\n"
        f"{top}\n\n## A\n\nnew\n\n## B\n\nb\n\n## C\n\nc\n"
    )


def test_a_heading_names_the_command_the_machine_and_the_versions():
    first, _, rest = heading("make bench", changed=True, libraries="x 1").partition("\n\n")
    assert first == "# What `make bench ARGS=...` measured"
    assert ", x 1, fastbook " in rest


def test_a_table_is_aligned_right_but_for_its_first_column():
    assert table(["a", "b"], [["c", "1"]]) == "| a | b |\n| --- | --: |\n| c | 1 |"
