"""Edits of instances.yaml change what they are asked to change, and not one character more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ConfigurationError
from federation.instances import InstanceEntry, load_instances, parse_instances
from panofed.instances_edit import append_entry, edit_file, remove_entry, set_enabled

PATH = Path("instances.yaml")
TEXT = """\
# head
instances:   # the list
  # the first
  - id: a    # stable
    name: a
    url: https://a.example/api
    enabled:   no  # because

  - name: b
    id: b
    url: https://b.example/api # no flag here
    note: >
      folded
      text
  # the last
  - {id: c, name: c, enabled: true, url: "https://c.example/api"}
# tail
"""
NEW = InstanceEntry(
    id="12", name="no", url="https://d.example/api", pictures=5, note='a: "b" # c', asset_hosts=("s.example:80",)
)


def names(text: str) -> list[str]:
    return [entry.name for entry in parse_instances(text)]


def test_the_flag_is_changed_where_it_stands() -> None:
    assert set_enabled("a", True)(TEXT, PATH) == TEXT.replace("no  # because", "true  # because")
    assert set_enabled("c", False)(TEXT, PATH) == TEXT.replace("enabled: true, url", "enabled: false, url")


def test_a_missing_flag_is_added_to_its_entry() -> None:
    assert set_enabled("b", True)(TEXT, PATH) == TEXT.replace("- name: b\n", "- enabled: true\n    name: b\n")
    flow = "instances: [{id: a, name: a, url: 'https://a.example'}]"
    assert parse_instances(set_enabled("a", True)(flow, PATH))[0].enabled


@pytest.mark.parametrize("empty", ["enabled:", "enabled: null", "enabled: ~ # x", "enabled:   # x"])
def test_an_empty_flag_is_filled(empty: str) -> None:
    text = TEXT.replace("enabled:   no  # because", empty)
    assert parse_instances(set_enabled("a", True)(text, PATH))[0].enabled


def test_a_new_entry_goes_to_the_end_of_the_list_in_its_layout() -> None:
    changed = append_entry(NEW)(TEXT, PATH)
    assert changed.startswith(TEXT.removesuffix("# tail\n")) and changed.endswith("\n# tail\n")
    assert parse_instances(changed)[-1] == NEW


@pytest.mark.parametrize(
    "text",
    ["", "# only a comment", "instances:", "instances: # none\n", "instances: []\n# tail\n", "instances: ~\n", "---\n"],
)
def test_a_first_entry_can_be_added(text: str) -> None:
    assert parse_instances(append_entry(NEW)(text, PATH)) == (NEW,)
    assert all(line in append_entry(NEW)(text, PATH) for line in text.splitlines() if line.startswith("#"))


def test_windows_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    for edit in (append_entry(NEW), set_enabled("a", True), set_enabled("b", True), remove_entry("a")):
        changed = edit(text, PATH)
        assert changed.count("\n") == changed.count("\r\n")
        parse_instances(changed)


@pytest.mark.parametrize(("name", "gone"), [("a", (3, 7)), ("b", (8, 14)), ("c", (15, 16))])
def test_an_entry_is_taken_out_whole_and_alone(name: str, gone: tuple[int, int]) -> None:
    lines = TEXT.splitlines(keepends=True)
    assert remove_entry(name)(TEXT, PATH) == "".join(lines[: gone[0]] + lines[gone[1] :])


def test_all_entries_can_be_taken_out() -> None:
    text = TEXT
    for name in "abc":
        text = remove_entry(name)(text, PATH)
    assert names(text) == []
    assert parse_instances(append_entry(NEW)(text, PATH)) == (NEW,)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no entry named 'x'"):
        set_enabled("x", True)(TEXT, PATH)


def test_a_layout_that_cannot_be_edited_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "instances.yaml"
    text = "instances: [{id: a, name: a, url: 'https://a.example'}]\n"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="please edit it by hand"):
        edit_file(path, remove_entry("a"), [])
    assert path.read_text() == text


def test_the_file_is_replaced_with_its_rights_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    path.write_text(TEXT)
    path.chmod(0o640)
    link.symlink_to(path)
    entries = load_instances(link)
    edit_file(link, append_entry(NEW), [*entries, NEW])
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert load_instances(path)[-1] == NEW
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "instances.yaml"
    path.write_text(TEXT)
    path.with_name("x").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        edit_file(tmp_path / "x", set_enabled("a", True), [])


slugs = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30).map(str.strip)


@given(slugs, slugs, texts, texts)
def test_whatever_is_added_is_read_back(id: str, name: str, contact: str, note: str) -> None:
    entry = InstanceEntry(id=id, name=name, url="https://d.example", contact=contact, note=note)
    assert parse_instances(append_entry(entry)("# x\n", PATH)) == (entry,)
