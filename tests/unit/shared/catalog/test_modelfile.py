"""Modelfiles, rule by rule: what is read, what is refused and in which words, and what is written reads back."""

import pytest

from shared.catalog.modelfile import Instruction, Modelfile, ModelfileError, parse, version_of
from shared.catalog.parameters import check_parameters, read_parameters
from shared.errors import InvalidRequest

COMMANDS = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", '
    '"parameter", "message", or "requires"'
)


def one(text: str) -> Instruction:
    """The instruction before a FROM that every Modelfile needs."""
    first, last = parse(f"{text}\nFROM m").instructions
    assert last == Instruction("from", "m")
    return first


def test_all_instructions_in_any_case_and_order() -> None:
    file = parse(
        "system You are kind.\nFROM llama3\nParameter temperature 0.5\nTEMPLATE {{ .Prompt }}\nADAPTER ./lora.gguf\n"
        "LICENSE one\nLICENSE two\nMESSAGE user Hi\nMESSAGE assistant Hello\nRENDERER r\nPARSER p\nREQUIRES v0.14.0\n"
        "DRAFT ./small.gguf\nparameter stop <a>\nPARAMETER stop <b>\n"
    )
    assert file.all("from") == ["llama3"]
    assert file.all("adapter") == ["./lora.gguf"]
    assert file.all("draft") == ["./small.gguf"]
    assert file.request() == {
        "system": "You are kind.",
        "template": "{{ .Prompt }}",
        "renderer": "r",
        "parser": "p",
        "requires": "0.14.0",
        "license": ["one", "two"],
        "parameters": {"temperature": 0.5, "stop": ["<a>", "<b>"]},
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SYSTEM   some words  \t", "some words"),
        ('SYSTEM "some words "', "some words "),
        ('SYSTEM """ a\n  b """', " a\n  b "),
        ('SYSTEM """\na\n\n# no comment\n"""', "\na\n\n# no comment\n"),
        ('SYSTEM "a\nb"', "a\nb"),
        ('SYSTEM say "hi"', 'say "hi"'),
        ('SYSTEM "say "hi" twice"', 'say "hi" twice'),
        ('SYSTEM ""', ""),
        ("SYSTEM 'single'", "'single'"),
        ("SYSTEM a # b", "a # b"),
        ("SYSTEM a\\nb", "a\\nb"),
        ("SYSTEM\tx", "x"),
        ("\n  # comment\n\t#another\n  SYSTEM x\r\n", "x"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert one(text) == Instruction("system", value)


def test_the_last_one_counts() -> None:
    file = parse("FROM a\nSYSTEM one\nSYSTEM two\nTEMPLATE x\nTEMPLATE y\nPARAMETER seed 1\nPARAMETER seed 2")
    assert file.request() == {"system": "two", "template": "y", "parameters": {"seed": 2}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    assert parse(mark + "FROM m\nSYSTEM größer 🦙".encode(encoding)).all("system") == ["größer 🦙"]
    with pytest.raises(ModelfileError, match="UTF-8"):
        parse(b"FROM \xff\xfa")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no FROM line"),
        ("# FROM m", "no FROM line"),
        ("SYSTEM hi", "no FROM line"),
        ("FROM m\n\nFRAME x", f"(line 3): {COMMANDS}"),
        ("FROM m\nPARAM\u00e9TER x", f"(line 2): {COMMANDS}"),
        ("<html>", f"(line 1): {COMMANDS}"),
        ("FROM m\n\nMESSAGE pirate hi", '(line 3): message role must be one of "system", "user", or "assistant"'),
        ("FROM m\nMESSAGE User hi", '(line 2): message role must be one of "system", "user", or "assistant"'),
        ('FROM m\nSYSTEM """never\nclosed', "unexpected EOF"),
        ('FROM m\nSYSTEM "never', "unexpected EOF"),
        ('FROM m\nSYSTEM "', "unexpected EOF"),
        ("FROM", "unexpected EOF"),
        ("FROM  ", "unexpected EOF"),
        ("FROM m\nPARAMETER temperature", "unexpected EOF"),
        ("FROM m\nPARAMETER top-k 1", "unexpected EOF"),
        ("FROM m\nMESSAGE user", "unexpected EOF"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(ModelfileError) as error:
        parse(text)
    assert error.value.message == words


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("colour", "red", "unknown parameter 'colour'"),
        ("num_ctx", "many", "invalid int value [many]"),
        ("num_ctx", "4096.5", "invalid int value [4096.5]"),
        ("num_ctx", "9223372036854775808", "invalid int value [9223372036854775808]"),
        ("temperature", "hot", "invalid float value [hot]"),
        ("temperature", "nan", "invalid float value [nan]"),
        ("use_mmap", "yes", "invalid bool value [yes]"),
    ],
)
def test_parameters_that_are_none(name: str, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse(f"FROM m\nPARAMETER {name} {text}").request()
    assert error.value.message == words


def test_parameters_have_their_types() -> None:
    pairs = [("num_ctx", "+8192"), ("top_p", "0.1234567891"), ("use_mmap", "T"), ("stop", "1"), ("mirostat", "2")]
    assert read_parameters(pairs) == {"num_ctx": 8192, "top_p": 0.12345679, "use_mmap": True, "stop": ["1"]}
    assert read_parameters([("temperature", "1"), ("temperature", "0.7")]) == {"temperature": 0.7}
    for text, value in (("30m", "30m"), ("90", 90), ("-1", -1), ("0.5", 0.5)):
        assert read_parameters([("keep_alive", text)]) == {"keep_alive": value}
    with pytest.raises(InvalidRequest, match=r"invalid duration value \[soon\]"):
        read_parameters([("keep_alive", "soon")])


def test_parameters_of_a_request() -> None:
    asked = {"num_ctx": 2048.0, "stop": "x", "temperature": 1, "seed": None, "low_vram": True}
    assert check_parameters(asked) == {"num_ctx": 2048, "stop": ["x"], "temperature": 1}
    for wrong in ({"num_ctx": "2048"}, {"num_ctx": True}, {"num_ctx": 0.5}):
        with pytest.raises(InvalidRequest, match='option "num_ctx" must be of type integer'):
            check_parameters(wrong)
    for wrong in ({"temperature": "1"}, {"use_mmap": 1}, {"stop": [1]}, {"colour": 1}):
        with pytest.raises(InvalidRequest):
            check_parameters(wrong)


def test_versions() -> None:
    assert [version_of(text) for text in ("0.14.0", "v1.2", "v1.2.3-rc1+b")] == ["0.14.0", "1.2", "1.2.3-rc1+b"]
    for text in ("new", "0.x", "", "1.2.3.4"):
        with pytest.raises(ModelfileError, match=r"valid semver \(e.g. 0.14.0\)"):
            version_of(text)


@pytest.mark.parametrize(
    "value", ["plain", "", " spaced ", "two\nlines", 'say "hi"', '"', 'a "b"\nc', '"""', "\n", "# no comment", 'x"']
)
def test_what_is_written_reads_back(value: str) -> None:
    file = Modelfile((Instruction("from", "m"), Instruction("system", value), Instruction("message", value, "user")))
    assert parse(str(file)) == file


def test_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        str(Modelfile((Instruction("from", "m"), Instruction("system", 'a """\n"""\nb'))))
