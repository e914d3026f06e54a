"""Strict YAML: what is accepted, what is refused and where, with both parsers."""

from __future__ import annotations

import pytest
import yaml

from reconciler.findings import Finding, sort_key
from reconciler.source.excerpt import placed
from reconciler.source.files import MAX_FILE_BYTES
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
    """Return the finding in short: rule, line, column, width."""
    place = finding.position
    assert place is not None
    return f"{finding.rule} {place.line}:{place.column}+{place.width}"


BAD = {
    "5000 digits": (b"a: " + b"9" * 5000 + b"\n", "number-too-large 1:4+3"),
    "5000 levels": (b"a: " + b"[" * 5000 + b"\n", "too-deep 1:4+1"),
    "5000 levels, mapped": (b"a: " + b"{" * 5000 + b"\n", "too-deep 1:4+1"),
}


@both_parsers
@pytest.mark.parametrize(("raw", "expected"), BAD.values(), ids=BAD.keys())
def test_invalid_files_have_one_error_at_its_position(
    raw: bytes, expected: str, parser: Parser
) -> None:
    """The position is the character of the error, with any parser."""
    assert [spot(each) for each in refused(raw, parser)] == [expected]


@both_parsers
def test_scalars_mean_what_yaml_1_2_says(parser: Parser) -> None:
    """Only true, false, null and JSON numbers are not text."""
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
def test_valid_files_are_read(raw: bytes, data: object, parser: Parser) -> None:
    """Byte order mark, CR LF, emoji, tabs in comments and JSON are valid."""
    assert read(raw, parser).data == data


@both_parsers
def test_aliases_and_merges_work_as_in_docker_compose(parser: Parser) -> None:
    """Explicit keys win at any position; of several merged mappings the first wins."""
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
def test_alias_bombs_are_refused_immediately(parser: Parser) -> None:
    """A few hundred bytes may expand to more nodes than can be processed."""
    text = bomb(40, 9, "k")
    assert len(text) < 4_000
    assert [each.rule for each in refused(text, parser)] == ["alias-expansion"]


@both_parsers
def test_merges_cannot_multiply_either(parser: Parser) -> None:
    """A list of merges counts like any other use of aliases."""
    lines = ["x0: &x0 {" + ", ".join(f"k{number}: 1" for number in range(200)) + "}"]
    lines += [f"y{number}: {{<<: [{', '.join(['*x0'] * 400)}]}}" for number in range(10)]
    text = "\n".join(lines)
    assert len(text) < 40_000
    assert [each.rule for each in refused(text, parser)] == ["alias-expansion"]


@both_parsers
def test_aliases_cannot_nest_beyond_the_limit(parser: Parser) -> None:
    """The content of an alias counts as nesting, so that no reader overflows its stack."""
    chain = ["x0: &x0 [1]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 40))]
    (finding,) = refused("\n".join(chain), parser)
    assert spot(finding) == "too-deep 32:12+4"


@both_parsers
@pytest.mark.parametrize("bracket", ["[{", "{["])
def test_deep_mixtures_are_refused_as_too_deep(bracket: str, parser: Parser) -> None:
    """libyaml fails during lookahead, before the first level is counted: same error."""
    (finding,) = refused("a: " + bracket * 600, parser)
    assert finding.rule == "too-deep"


@both_parsers
def test_ordinary_aliases_are_accepted(parser: Parser) -> None:
    """A thousand webhooks may share a long list of events and a configuration."""
    head = "x-e: &e [" + ", ".join(["value_created"] * 15) + "]\nx-c: &c {a: 1, b: 2, c: 3}\n"
    items = "".join(f"  - {{n: {n}, e: *e, c: {{<<: *c, d: 4}}}}\n" for n in range(1_000))
    document = read(head + "webhooks:\n" + items, parser)
    assert len(document.items["webhooks"]) == 1_000


@both_parsers
def test_recoverable_errors_are_reported_with_the_rest(parser: Parser) -> None:
    """A duplicate key, or one that is not text, does not hide other errors."""
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\n5: x\nd: 4\n", parser)
    assert document.data == {"a": 1, "b": {"c": 1}, "d": 4}
    assert [spot(each) for each in sorted(document.findings, key=sort_key)] == [
        "duplicate-key 2:11+1",
        "duplicate-key 3:1+1",
        "key-not-text 4:1+1",
    ]


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
    """Webhooks from an alias or a merge have their lines too."""
    assert [each.line for each in read(text, parser).items.get("webhooks", ())] == lines


def test_equal_keys_and_events_are_one_object() -> None:
    """Ten thousand webhooks hold each key and event name once in memory."""
    data = read("w:\n- {name: a, e: [value_created]}\n- {name: b, e: [value_created]}\n").data
    one, two = data["w"]
    assert [key is other for key, other in zip(one, two, strict=True)] == [True, True]
    assert one["e"][0] is two["e"][0]


def test_too_large_input_is_not_decoded() -> None:
    """The limit is checked first."""
    (finding,) = refused(b"\xff" * (MAX_FILE_BYTES + 1))
    assert finding.rule == "file-too-large"
    assert finding.message == "the file is larger than 64 MiB"


@both_parsers
def test_errors_show_their_line_but_no_value_of_a_secret(parser: Parser) -> None:
    """The excerpt of a broken file hides every possible secret."""
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
