"""Reading YAML strictly: what is taken, what is refused and where, on both parsers alike."""

from __future__ import annotations

import pytest
import yaml

from reconciler.findings import Finding, sort_key
from reconciler.source.files import MAX_FILE_BYTES
from reconciler.source.position import placed
from reconciler.source.yaml import Document, Parser, parse

PURE: Parser = yaml.SafeLoader
FAST: Parser | None = getattr(yaml, "CSafeLoader", None)
PARSERS = [
    pytest.param(
        FAST,
        id="libyaml",
        marks=pytest.mark.skipif(FAST is None, reason="PyYAML is here without libyaml"),
    ),
    pytest.param(PURE, id="pure"),
]
both_parsers = pytest.mark.parametrize("parser", PARSERS)


def read(text: str | bytes, parser: Parser = PURE) -> Document:
    raw = text.encode() if isinstance(text, str) else text
    document = parse(raw, "w.yaml", parser=parser)
    assert document.usable, document
    return document


def refused(text: str | bytes, parser: Parser = PURE) -> list[Finding]:
    raw = text.encode() if isinstance(text, str) else text
    document = parse(raw, "w.yaml", parser=parser)
    return placed({"w.yaml": document}, document.findings)


def spot(finding: Finding) -> str:
    """The finding in short: rule, line, column, width."""
    place = finding.position
    assert place is not None
    return f"{finding.rule} {place.line}:{place.column}+{place.width}"


BAD = {
    # nothing declared by accident
    "empty": (b"", "empty-document 1:1+1"),
    "only a comment": (b"# webhooks: []\n", "empty-document 1:1+1"),
    "null": (b"~\n", "empty-document 1:1+1"),
    "null after ---": (b"---\nnull\n", "empty-document 1:1+1"),
    "only ---": (b"---\n", "empty-document 1:1+1"),
    "only a byte order mark": (b"\xef\xbb\xbf", "empty-document 1:1+1"),
    # the root
    "list": (b"- a\n", "root-not-mapping 1:1+1"),
    "text": (b"webhooks\n", "root-not-mapping 1:1+3"),
    "forgotten space": (b"name:a\n", "root-not-mapping 1:1+3"),
    "second document": (b"a: 1\n---\nb: 2\n", "several-documents 2:1+3"),
    "second document after ...": (b"a: 1\n...\n---\nb: 2\n", "several-documents 3:1+3"),
    # keys
    "duplicate": (b"a: 1\nb: 2\na: 3\n", "duplicate-key 3:1+1"),
    "duplicate, one in quotes": (b'a: 1\n"a": 3\n', "duplicate-key 2:1+3"),
    "duplicate far down": (b"a:\n  - {b: 1, c: 2, b: 3}\n", "duplicate-key 2:18+1"),
    "duplicate in JSON": (b'{"a": 1, "a": 2}', "duplicate-key 1:10+3"),
    "number as key": (b"1: a\n", "key-not-text 1:1+1"),
    "boolean as key": (b"true: a\n", "key-not-text 1:1+4"),
    "fraction as key": (b"1.5: a\n", "key-not-text 1:1+3"),
    "null as key": (b"~: a\n", "key-not-text 1:1+1"),
    "empty key": (b"? \n: a\n", "key-not-text 1:1+1"),
    "mapping as key": (b"{a: b}: c\n", "key-not-text 1:1+1"),
    "list as key": (b"? [a]\n: c\n", "key-not-text 1:3+1"),
    "alias as key": (b"a: &x b\n*x : c\n", "key-not-text 2:1+2"),
    # scalars
    "long number": (b"a: 99999999999999999999\n", "number-too-large 1:4+3"),
    "5000 digits": (b"a: " + b"9" * 5000 + b"\n", "number-too-large 1:4+3"),
    "huge exponent": (b"a: 1e999\n", "number-too-large 1:4+3"),
    "unquoted @": (b"username: @bot\n", "yaml-syntax 1:11+1"),
    "unquoted %": (b"username: %x\n", "yaml-syntax 1:11+1"),
    "unquoted `": (b"username: `x\n", "yaml-syntax 1:11+1"),
    "colon in a value": (b"name: a: b\n", "yaml-syntax 1:8+1"),
    "unknown escape": (b'name: "a\\q"\n', "yaml-syntax 1:9+1"),
    "short escape": (b'name: "\\x4"\n', "yaml-syntax 1:10+1"),
    "apostrophe": (b"name: 'it's'\n", "yaml-syntax 1:11+1"),
    "open quotation": (b"name: 'a\nb: c\n", "yaml-syntax 1:7+1"),
    "quotation that swallows lines": (b'a: "b\nc: ["*"]\n', "yaml-syntax 1:4+1"),
    "text after | ": (b"name: |x\n  a\n", "yaml-syntax 1:8+1"),
    "comment after |": (b"name: |#\n  a\n", "yaml-syntax 1:8+1"),
    # structure
    "wrong indentation": (b"a:\n  b: 1\n c: 2\n", "yaml-syntax 3:2+1"),
    "list beside keys": (b"a: 1\n- b\n", "yaml-syntax 2:1+1"),
    "keys beside a list": (b"a:\n  - b\n  c: 1\n", "yaml-syntax 3:3+1"),
    "indented first line": (b"  a: 1\nb: 2\n", "yaml-syntax 2:1+1"),
    "list on the key's line": (b"a: - b\n", "yaml-syntax 1:4+1"),
    "key without colon": (b"a: 1\nb\nc: 2\n", "yaml-syntax 2:1+1"),
    "open list": (b"a: [b,\nc: d\n", "yaml-syntax 1:4+1"),
    "open mapping": (b"a: {b: 1\nc: d\n", "yaml-syntax 1:4+1"),
    "comment in flow style": (b"a: {channel: #x}\nb: c\n", "yaml-syntax 1:4+1"),
    "${} in flow style": (b"a: {token: ${SLACK}}\n", "yaml-syntax 1:13+1"),
    "two commas": (b"a: [b,,c]\n", "yaml-syntax 1:7+1"),
    "33 levels": (b"a: " + b"[" * 32 + b"]" * 32 + b"\n", "too-deep 1:35+1"),
    "5000 levels": (b"a: " + b"[" * 5000 + b"\n", "too-deep 1:4+1"),
    "5000 levels, mapped": (b"a: " + b"{" * 5000 + b"\n", "too-deep 1:4+1"),
    # aliases
    "unquoted glob": (b"event_types: [*_deleted]\n", "unknown-alias 1:15+9"),
    "lone *": (b"a: [*]\n", "yaml-syntax 1:5+1"),
    "alias above its anchor": (b"a: *x\nb: &x 1\n", "unknown-alias 1:4+2"),
    "cycle": (b"a: &a {b: *a}\n", "alias-cycle 1:11+2"),
    "cycle through a list": (b"a: &a [1, *a]\n", "alias-cycle 1:11+2"),
    "cycle through a merge": (b"a: &a\n  <<: *a\n", "alias-cycle 2:7+2"),
    "two <<": (b"x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", "merge 4:3+2"),
    "<< of text": (b"y:\n  <<: text\n", "merge 2:7+3"),
    "<< of null": (b"y:\n  <<:\n", "merge 2:5+1"),
    "<< of a list with text": (b"y:\n  <<: [{a: 1}, text]\n", "merge 2:7+1"),
    # tags and directives
    "local tag": (b"token: !env SLACK\n", "tag 1:8+3"),
    "standard tag": (b"a: !!int x\n", "tag 1:4+3"),
    "tag that fails elsewhere": (b"a: !!bool x\n", "tag 1:4+3"),
    "set": (b"a: !!set {b, c}\n", "tag 1:4+5"),
    "object": (b"a: !!python/object/apply:os.system [x]\n", "tag 1:4+31"),
    "tag on the root": (b"!x\na: b\n", "tag 1:1+2"),
    "tag on a key": (b"!x a: b\n", "tag 1:1+2"),
    "tag on <<": (b"a: {!x <<: {b: c}}\n", "tag 1:5+2"),
    "bad tag": (b"a: !<x y\n", "tag 1:4+1"),
    "YAML 2.0": (b"%YAML 2.0\n---\na: 1\n", "directive 1:1+1"),
    "%TAG": (b"%TAG ! tag:x,2000:\n---\na: 1\n", "directive 1:1+1"),
    "unknown directive": (b"%FOO\n---\na: 1\n", "directive 1:1+1"),
    # bytes and characters
    "UTF-16": ("a: b".encode("utf-16"), "encoding 1:1+1"),
    "UTF-16 without a mark": ("a: b".encode("utf-16-le"), "encoding 1:1+1"),
    "UTF-16, the other way": ("a: b".encode("utf-16-be"), "encoding 1:1+1"),
    "Latin-1": (b"a: 1\nb: caf\xe9\n", "encoding 2:7+1"),
    "Latin-1 behind UTF-8": ("ä: ".encode() + b"\xe9\n", "encoding 1:4+1"),
    "mark in the middle": ("a: 1\n\ufeffb: 2\n".encode(), "control-character 2:1+1"),
    "bell": (b"a: x\x07\n", "control-character 1:5+1"),
    "NUL": (b"a: \x00\n", "control-character 1:4+1"),
    "DEL": (b"a: x\x7f\n", "control-character 1:5+1"),
    "C1": ("a: \x9b\n".encode(), "control-character 1:4+1"),
    "surrogate escapes": (b'a: "\\ud83d\\ude00"\n', "control-character 1:5+3"),
    "half an emoji": (b'a: "\\U0000D83D"\n', "control-character 1:5+3"),
    "beyond Unicode": (b'a: "\\U00110000"\n', "control-character 1:5+3"),
    "CR alone": (b"a: b\rc: d\n", "line-break 1:5+1"),
    "CR before CR LF": (b"a: b\r\r\nc: d\n", "line-break 1:5+1"),
    "NEL": ("a: b\x85c: d\n".encode(), "line-break 1:5+1"),
    "U+2028": ("a: b\u2028c: d\n".encode(), "line-break 1:5+1"),
    "U+2029 after CR LF": ("a: 1\r\nb: \u2029\r\n".encode(), "line-break 2:4+1"),
    "tab before a value": (b"a:\tb\n", "tab 1:3+1"),
    "tab as indentation": (b"a:\n\tb: c\n", "tab 2:1+1"),
    "tab in quotes": (b'a: "x\ty"\n', "tab 1:6+1"),
    "tab behind a quoted #": (b'a: "#":\tb\n', "tab 1:8+1"),
}


@both_parsers
@pytest.mark.parametrize(("raw", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_refused_at_the_right_place(
    raw: bytes, expected: str, parser: Parser
) -> None:
    """Each mistake yields one error, at the character it is about, whatever the parser."""
    assert [spot(each) for each in refused(raw, parser)] == [expected]


@pytest.mark.parametrize(("raw", "expected"), BAD.values(), ids=BAD.keys())
def test_both_parsers_say_the_same(raw: bytes, expected: str) -> None:
    """Nobody can tell from an error which parser read the file."""
    said = [
        [(each.message, each.hint, each.related) for each in refused(raw, parser)]
        for parser in (FAST or PURE, PURE)
    ]
    assert said[0] == said[1]
    assert "yaml.org" not in str(said)


@both_parsers
def test_scalars_mean_what_yaml_1_2_says(parser: Parser) -> None:
    """Only true, false, null and numbers as JSON writes them are not text."""
    text = """
    words: [on, off, yes, no, y, n, On, tRUE, nULL]
    booleans: [true, True, TRUE, false, False, FALSE]
    nulls: [null, Null, NULL, ~, ]
    numbers: [0, -0, 7, -12, 9007199254740991, 1.0, 1e3, -2.50, 1.5e-2]
    texts: [0777, 0o7, 0x1F, +1, 08, 1_000, 12:30, 190:20:30, 2001-01-01, 2001-13-45, .5, 5.,
            .nan, .inf, -.inf, -, --1, 1e, "1", 'true', "", '~', <, =]
    block: |
      true
    empty:
    """
    data = read(text, parser).data
    assert data["words"] == ["on", "off", "yes", "no", "y", "n", "On", "tRUE", "nULL"]
    assert data["booleans"] == [True, True, True, False, False, False]
    assert data["nulls"] == [None, None, None, None]
    assert data["numbers"] == [0, 0, 7, -12, 9007199254740991, 1, 1000, -2.5, 0.015]
    assert [type(each) for each in data["numbers"]] == [int] * 7 + [float] * 2
    assert all(isinstance(each, str) for each in data["texts"])
    assert len(data["texts"]) == 24
    assert data["block"] == "true\n"
    assert data["empty"] is None


@both_parsers
def test_keys_that_look_like_yaml_1_1_words_are_text(parser: Parser) -> None:
    """`on:` is the key on, not true."""
    assert list(read('on: 1\nyes: 2\n"true": 3\n"<<": 4\n=: 5\n', parser).data) == [
        "on",
        "yes",
        "true",
        "<<",
        "=",
    ]


@both_parsers
@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"\xef\xbb\xbfa: b", {"a": "b"}),
        (b"a: b\r\nc:\r\n  - d\r\n", {"a": "b", "c": ["d"]}),
        (b"%YAML 1.2\n---\na: b\n...\n", {"a": "b"}),
        (b"%YAML 1.2 # of 2009\n---\na: b\n", {"a": "b"}),
        ("ü: 😀 # 👩\u200d🚀\n".encode(), {"ü": "😀"}),
        (b"# a\tb\na: b #\tc\n", {"a": "b"}),
        (b'a: "\\t\\u00e9\\U0001F600\\0"\n', {"a": "\té😀\x00"}),
        (b'{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        (b"a: http://x#y\nb: a:b\n", {"a": "http://x#y", "b": "a:b"}),
        (b"a: |\n  b\n\n  c\n", {"a": "b\n\nc\n"}),
    ],
)
def test_good_files_are_read(raw: bytes, data: object, parser: Parser) -> None:
    """Byte order mark, CR LF, emoji, tabs in comments and JSON are all fine."""
    assert read(raw, parser).data == data


@both_parsers
def test_aliases_and_merges_work_as_in_docker_compose(parser: Parser) -> None:
    """Explicit keys win wherever they stand; of several merged mappings the first wins."""
    text = """
    x-one: &one {a: 1, b: 1}
    x-two: &two {b: 2, c: 2}
    x-three: &three {<<: *two, d: 3}
    x-list: &list [x, y]
    x-word: &word value_created
    x-key: {&k key: 1}
    plain: {<<: *one, b: own}
    late: {b: own, <<: *one}
    several: {<<: [*one, *three], c: own}
    inline: {<<: {z: 26}}
    lists: [*list, *word, *k]
    again: &one {a: changed}
    after: *one
    """
    data = read(text, parser).data
    assert data["plain"] == data["late"] == {"a": 1, "b": "own"}
    assert data["several"] == {"a": 1, "b": 1, "c": "own", "d": 3}
    assert data["inline"] == {"z": 26}
    assert data["lists"] == [["x", "y"], "value_created", "key"]
    assert data["after"] == {"a": "changed"}


def bomb(levels: int, width: int, form: str) -> str:
    lines = ["x0: &x0 {a: 1}"]
    for level in range(1, levels):
        parts = ", ".join(f"{form}{number}: *x{level - 1}" for number in range(width))
        lines.append(f"x{level}: &x{level} {{{parts}}}")
    return "\n".join(lines)


@both_parsers
def test_alias_bombs_are_refused_at_once(parser: Parser) -> None:
    """A few hundred bytes may stand for more nodes than anybody can wait for."""
    text = bomb(40, 9, "k")
    assert len(text) < 4_000
    assert [each.rule for each in refused(text, parser)] == ["alias-expansion"]


@both_parsers
def test_merges_cannot_multiply_either(parser: Parser) -> None:
    """A list of merges is charged like any other use of aliases."""
    lines = ["x0: &x0 {" + ", ".join(f"k{number}: 1" for number in range(200)) + "}"]
    lines += [f"y{number}: {{<<: [{', '.join(['*x0'] * 400)}]}}" for number in range(10)]
    text = "\n".join(lines)
    assert len(text) < 40_000
    assert [each.rule for each in refused(text, parser)] == ["alias-expansion"]


@both_parsers
def test_aliases_cannot_nest_beyond_the_limit(parser: Parser) -> None:
    """What an alias stands for counts as nesting, so that no reader overflows its stack."""
    chain = ["x0: &x0 [1]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 40))]
    (finding,) = refused("\n".join(chain), parser)
    assert spot(finding) == "too-deep 32:12+4"


@both_parsers
@pytest.mark.parametrize("bracket", ["[{", "{["])
def test_deep_mixtures_are_refused_as_too_deep(bracket: str, parser: Parser) -> None:
    """libyaml gives up while it looks ahead, before the first level is counted: same answer."""
    (finding,) = refused("a: " + bracket * 600, parser)
    assert finding.rule == "too-deep"


@both_parsers
def test_honest_aliases_have_room(parser: Parser) -> None:
    """A thousand webhooks may share a long list of events and a configuration."""
    head = "x-e: &e [" + ", ".join(["value_created"] * 15) + "]\nx-c: &c {a: 1, b: 2, c: 3}\n"
    items = "".join(f"  - {{n: {n}, e: *e, c: {{<<: *c, d: 4}}}}\n" for n in range(1_000))
    document = read(head + "webhooks:\n" + items, parser)
    assert len(document.items["webhooks"]) == 1_000


@both_parsers
def test_mistakes_that_leave_the_rest_readable_come_with_the_rest(parser: Parser) -> None:
    """A duplicate key, or one that is no text, does not hide what else is wrong."""
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\n5: x\nd: 4\n", parser)
    assert document.data == {"a": 1, "b": {"c": 1}, "d": 4}
    assert [spot(each) for each in sorted(document.findings, key=sort_key)] == [
        "duplicate-key 2:11+1",
        "duplicate-key 3:1+1",
        "key-not-text 4:1+1",
    ]


def test_a_duplicate_key_names_both_lines() -> None:
    """The first place is shown too: somebody has to decide between the two."""
    (finding,) = read("a: 1\nb: 2\na: 3\n").findings
    assert finding.hint == "keep one of the two; the other is on line 1"
    (related,) = finding.related
    assert (related.position.line, related.position.column) == (1, 1)


@both_parsers
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("webhooks:\n  - name: a\n    type: b\n\n  -\n    name: c\n", [2, 6]),
        ("webhooks: [{name: a}, {name: b},\n  x]\n", [1, 1, 2]),
        ("x-a: &a {name: a}\nwebhooks:\n  - *a\n  - {<<: *a}\n", [3, 4]),
        ("x-l: &l\n  - {name: a}\n  - {name: b}\nwebhooks: *l\n", [2, 3]),
        ("x-r: &r\n  webhooks:\n    - {name: a}\n<<: *r\n", [3]),
        ("a: {webhooks: [1]}\nwebhooks: []\n", []),
        ("webhooks: [1]\nwebhooks: [\n2, 3]\n", [1]),
        ("webhooks: text\n", []),
        ("webhooks: {a: 1}\n", []),
    ],
)
def test_the_first_line_of_each_webhook_is_known(
    text: str, lines: list[int], parser: Parser
) -> None:
    """Lines come with reading, also for webhooks that an alias or a merge brings."""
    assert [each.line for each in read(text, parser).items.get("webhooks", ())] == lines


def test_equal_keys_and_events_are_one_object() -> None:
    """Ten thousand webhooks hold each key and event name once in memory."""
    data = read("w:\n- {name: a, e: [value_created]}\n- {name: b, e: [value_created]}\n").data
    one, two = data["w"]
    assert [key is other for key, other in zip(one, two, strict=True)] == [True, True]
    assert one["e"][0] is two["e"][0]


def test_what_is_too_large_is_not_even_decoded() -> None:
    """The limit holds before any work is done."""
    (finding,) = refused(b"\xff" * (MAX_FILE_BYTES + 1))
    assert finding.rule == "file-too-large"
    assert finding.message == "the file is larger than 64 MiB"


@both_parsers
def test_errors_show_their_line_but_no_value_of_a_secret(parser: Parser) -> None:
    """The excerpt of a broken file hides whatever may be a secret."""
    secret = "s3cr3t"
    for text in (
        f"token: '{secret}\nname: a\n",
        f"a: {{token: {secret}, b: [}}\n",
        f"pasword: {secret}\n  b: c\n",
        f"token: !x {secret}\n",
        f"token: {secret}\ntoken: {secret}\n",
        f"{{{secret}: {secret}}}: {secret}\n",
        f"{secret}\n",
        f"token:\t{secret}\n",
        f"token: [{secret}, *x]\n",
    ):
        found = refused(text, parser)
        assert found, text
        assert secret not in repr(found), text
        assert all(each.excerpt for each in found), text
