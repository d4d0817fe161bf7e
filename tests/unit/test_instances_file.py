"""instances.yaml: what is accepted, and that every fault is told with its file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InstancesFileError
from federation.instances import InstanceEntry, load_instances, parse_instances

GOOD = """\
# a comment
instances:
  - id: osm-fr
    name: osm-fr
    url: https://panoramax.example/api/
    enabled: true
    pictures: 58_000_000
    requests_per_s: 2.5
    concurrency: 3
    contact: someone@panoramax.example
    note: "Two lines:
      one text"
  - {id: 0b5b3a1c-2f6c-4a0c-9c6b-0d9a5f7f3c11, name: ign, url: "http://[::1]:5000/api"}
"""


def faults(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(InstancesFileError) as caught:
        parse_instances(text)
    error = caught.value
    assert str(error).count("\n") == len(error.also)
    return [(one.line, one.field, one.problem) for one in (error, *error.also)]


def entry(*lines: str) -> str:
    return "instances:\n  - " + "\n    ".join(lines) + "\n"


def test_a_full_entry_is_read_with_its_values_and_its_line() -> None:
    first, second = parse_instances(GOOD)
    assert first == InstanceEntry(
        id="osm-fr",
        name="osm-fr",
        url="https://panoramax.example/api",
        enabled=True,
        pictures=58_000_000,
        requests_per_s=2.5,
        concurrency=3,
        contact="someone@panoramax.example",
        note="Two lines: one text",
    )
    assert (first.line, second.line) == (3, 13)
    assert (second.url, second.enabled, second.pictures) == ("http://[::1]:5000/api", False, None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "instances:\n", "instances: []\n", "\ufeff", "null"])
def test_an_empty_file_has_no_entries(text: str) -> None:
    assert parse_instances(text) == ()


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("url: ftp://a.example/api", "url", "not an http(s) address"),
        ("url: https://user:secret@a.example/api", "url", "must not contain a user name"),
        ("url: https://a.example/api?x=1", "url", "query"),
        ("url: 'https://a.example/api#x'", "url", "fragment"),
        ("url: https://a.example:99999/api", "url", "not an address"),
        ("url: 'https://[::1/api'", "url", "not an address"),
        ("url: 'https:///api'", "url", "not an http(s) address"),
        ("url: 'https://a.example/a b'", "url", "blanks"),
        ("url: 7", "url", "must be text: YAML reads '7' as something else, put it in quotes"),
        ("url: [a]", "url", "must be text, not a list"),
        ("enabled: 1", "enabled", "must be true or false, not '1'"),
        ("enabled: 'true'", "enabled", "must be true or false"),
        ("pictures: many", "pictures", "must be a whole number, not 'many'"),
        ("pictures: -1", "pictures", "-1 is not within 0 and"),
        ("pictures: 0x1F", "pictures", "must be a whole number"),
        ("pictures: {a: 1}", "pictures", "must be a whole number, not a mapping"),
        ("requests_per_s: .inf", "requests_per_s", "must be a number"),
        ("requests_per_s: true", "requests_per_s", "must be a number"),
        ("requests_per_s: 1e9", "requests_per_s", "not within 0 (no limit) and 1,000"),
        ("concurrency: 0", "concurrency", "0 is not within 1 and 32"),
        ("concurrency: 1.5", "concurrency", "must be a whole number, not '1.5'"),
        ("cadence_s: 1", "cadence_s", "1 is not within 5 and 604,800 seconds"),
        ("cadence_s: often", "cadence_s", "must be a number of seconds, not 'often'"),
        ("quiet_hours: 22:00-25:00", "quiet_hours", "'22:00-25:00' must be two times of day in UTC"),
        ("quiet_hours: 22:00-22:00", "quiet_hours", "'22:00-22:00' must not begin and end at the same time"),
        ("quiet_hours: 22:00", "quiet_hours", "must be text: YAML reads '22:00' as something else"),
        ("asset_hosts: cdn.example", "asset_hosts", "must be a list of at most 20 hosts, not 'cdn.example'"),
        (
            "asset_hosts: ['https://cdn.example']",
            "asset_hosts",
            "'https://cdn.example' must be a host without 'https://'",
        ),
        ("asset_hosts: [cdn.example/pictures]", "asset_hosts", "'cdn.example/pictures' must be a host without a path"),
        ("asset_hosts: ['me:x@cdn.example']", "asset_hosts", "must not contain a user name or password"),
        ("asset_hosts: ['*.cdn.example']", "asset_hosts", "'*.cdn.example' must be one host: wildcards"),
        ("asset_hosts: [a.example, 'cdn.example:0']", "asset_hosts", "the port 0 is not within 1 and 65,535"),
        ("asset_hosts: ['cdn.example;x']", "asset_hosts", "'cdn.example;x' must be a host name or an IPv4 address"),
        ("asset_hosts: ['[::1]']", "asset_hosts", "'[::1]' must be a host name or an IPv4 address"),
        ("asset_hosts: [images.é]", "asset_hosts", "must be written in ASCII"),
        ("asset_hosts: ['']", "asset_hosts", "'' must be a host name"),
        ("asset_hosts: [7]", "asset_hosts", "must be text: YAML reads '7' as something else"),
        ("asset_hosts: [[a.example]]", "asset_hosts", "must be text, not a list"),
        (f"asset_hosts: {[f'h{n}.example' for n in range(21)]}", "asset_hosts", "21 hosts are too many: at most 20"),
        ("contact: !!python/object/apply:os.system [ls]", "contact", "must be text, not a list"),
        ('contact: "a\\0b"', "contact", "holds the character '\\x00'"),
        ('note: "\\uD800"', "note", "which is not text"),
        ("urls: x", "urls", "is not a field of an instance: did you mean 'url'?"),
        ("<<: {enabled: true}", "<<", "is not a field of an instance"),
    ],
)
def test_a_wrong_value_is_told_with_line_and_field(line: str, field: str, said: str) -> None:
    good = {"url": "url: https://a.example/api"} if field != "url" else {}
    text = entry("id: a", "name: a", *good.values(), line)
    ((at, where, problem),) = faults(text)
    assert (at, where) == (5 if good else 4, field)
    assert said in problem


def test_hosts_of_pictures_are_kept_in_one_form_each_once() -> None:
    hosts = "asset_hosts: [CDN.Example, 127.0.0.1:8001, cdn.example, 'store_1.example:0443']"
    (one,) = parse_instances(entry("id: a", "name: a", "url: https://a.example", hosts))
    assert one.asset_hosts == ("cdn.example", "127.0.0.1:8001", "store_1.example:443")
    (none,) = parse_instances(entry("id: a", "name: a", "url: https://a.example", "asset_hosts:"))
    assert none.asset_hosts == ()


@pytest.mark.parametrize("name", ["A", "-a", "a-", "a_b", "a b", "é", "''", "a" * 65, "a/b"])
def test_names_are_slugs(name: str) -> None:
    ((line, field, said),) = faults(entry("id: a", f"name: {name}", "url: https://a.example"))
    assert (line, field) == (3, "name")
    assert "lower-case" in said


@pytest.mark.parametrize("name", ["no", "0b1", "2026-09-01", "12"])
def test_text_that_yaml_takes_for_something_else_must_be_quoted(name: str) -> None:
    ((line, field, said),) = faults(entry("id: a", f"name: {name}", "url: https://a.example"))
    assert (line, field) == (3, "name")
    assert "put it in quotes" in said
    assert parse_instances(entry("id: a", f"name: '{name}'", "url: https://a.example"))[0].name == name


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    text = entry("id: A", "name: a", "url: x", "enabled: maybe") + entry("id: b", "nme: b").split("\n", 1)[1]
    assert [(line, field) for line, field, _ in faults(text)] == [
        (2, "id"),
        (4, "url"),
        (5, "enabled"),
        (6, "name"),
        (6, "url"),
        (7, "nme"),
    ]


def test_a_file_that_is_wrong_everywhere_is_told_in_short() -> None:
    told = faults("instances:\n" + "- 5\n" * 1_000)
    assert len(told) == 51
    assert told[-1] == (0, "", "and 950 more problems")


def test_duplicates_are_told_with_both_lines() -> None:
    same = (
        entry("id: a", "name: a", "url: https://a.example/api") + "  - {id: a, name: a, url: HTTPS://A.example/api/}\n"
    )
    assert [(line, field) for line, field, _ in faults(same)] == [(5, "id"), (5, "name"), (5, "url")]
    assert all("lines 2 and 5" in said for _, _, said in faults(same))


def test_a_field_written_twice_is_told() -> None:
    ((line, field, said),) = faults(entry("id: a", "name: a", "url: https://a.example", "name: b"))
    assert (line, field, said) == (5, "name", "is there twice: first in line 3")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("instances:\n  - id: a\n   name: b\n", 3),
        ("instances: [\n", 2),
        ("instances:\n\t- id: a\n", 2),
        ('instances: "\\UFFFFFFFF"\n', 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("- a\n", 1),
        ("just text\n", 1),
        ("instances: 5\n", 1),
        ("instances:\n  - 5\n", 2),
        ("instances:\n  - null\n", 2),
        ("a: 1\x07\n", 1),
        ("? [a]\n: 1\n", 1),
    ],
)
def test_what_is_not_such_a_file_is_told_with_its_line(text: str, line: int) -> None:
    assert faults(text)[0][0] == line


def test_anchors_and_aliases_are_refused() -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    ((line, _, said),) = faults(bomb)
    assert line == 1
    assert "anchors and aliases" in said


def test_deep_nesting_is_refused_not_followed() -> None:
    assert "nested too deeply" in faults("[" * 100_000)[0][2]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b"#" * 1_000_001)
    binary.write_bytes(b"# one\n\xff\n")
    for path, said in [
        (tmp_path / "absent.yaml", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (large, "is larger than 1,000,000 bytes"),
    ]:
        with pytest.raises(InstancesFileError, match=said) as caught:
            load_instances(path)
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InstancesFileError, match=r"binary.yaml:2: byte 0xff is not UTF-8"):
        load_instances(binary)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(["id", "name", "url", "enabled", "pictures", "requests_per_s", "concurrency", "note", "x"])
files = st.fixed_dictionaries({"instances": st.lists(st.dictionaries(fields, values), max_size=4)})


def check_only_our_error(text: str) -> None:
    try:
        entries = parse_instances(text)
    except InstancesFileError as error:
        assert 0 <= error.line <= text.count("\n") + 2 + text.count("\r") + text.count("\x85") + text.count("\u2028")
        return
    assert all(isinstance(one, InstanceEntry) for one in entries)


@given(st.text() | st.text(alphabet="[]{}:,-?&*!|>'\"%@`#<= \n\tab01~."))
def test_any_text_gives_entries_or_our_error(text: str) -> None:
    check_only_our_error(text)


@given(st.text(alphabet="\\xuUN0123456789abcdefF&%!\n ").map(lambda text: f'instances: "{text}"'))
def test_any_escape_gives_our_error(text: str) -> None:
    check_only_our_error(text)


@given(values | files, st.booleans())
def test_any_yaml_gives_entries_or_our_error(value: object, flow: bool) -> None:
    check_only_our_error(yaml.safe_dump(value, default_flow_style=flow))


@given(st.binary())
def test_any_bytes_give_entries_or_our_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        load_instances(path)
    except InstancesFileError as error:
        assert error.path == path


def test_the_list_that_ships_is_the_public_federation_and_all_of_it_is_disabled() -> None:
    entries = load_instances(Path(__file__).parents[2] / "instances.yaml")
    assert {"ign", "osm-fr"} <= {entry.name for entry in entries}
    assert all(entry.url.startswith("https://") and not entry.enabled for entry in entries)
    assert all(entry.pictures for entry in entries if entry.name in ("ign", "osm-fr"))
