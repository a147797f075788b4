"""JSON schemas as the engine enforces them: every schema is checked and rewritten before it goes there. Pure.

llama.cpp turns a schema into a grammar and passes over what it does not know: `pattern`s with `\\d`, `not`,
`uniqueItems`, a `type` beside `anyOf`, … Here such a schema is rewritten into one that the engine does enforce (see
`guide` for what takes a grammar of another kind) and that accepts the same values or fewer, or else it is refused,
with its place. Fewer, where a property that is not listed would be allowed by default, an answer has the listed
ones; and where a schema leads back to itself, see `finite`.

Source: JSON Schema 2020-12; llama.cpp `common/json-schema-to-grammar.cpp` and `common/json-schema.cpp`.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from shared.constrain.finite import unrolled
from shared.constrain.merge import Conflict, merge, types_of
from shared.constrain.overlap import exclusive
from shared.constrain.types import APPLIES, WRITERS, Refused
from shared.errors import InvalidRequest

Schema: TypeAlias = dict[str, Any]

ANNOTATIONS = frozenset({"title", "description", "default", "example", "examples", "deprecated", "discriminator"}) | {
    *("readOnly", "writeOnly", "contentEncoding", "contentMediaType"),
    *("$schema", "$id", "$comment", "$defs", "definitions"),
}
"""Keywords that say nothing of which values are valid."""

_LOGIC = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})
_KNOWN = ANNOTATIONS | _LOGIC | frozenset().union(*APPLIES.values())

_DEPTH = 64
"""Schemas within schemas; `$ref`s that go in circles cost none of it."""


class Constraint:
    """Schemas of one request, with the definitions that they share.

    `loose` drops what cannot be enforced in place of refusing it, as OpenAI does for functions without `strict`.
    """

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._param = ""

    def add(self, schema: Any, param: str, *, loose: bool = False) -> Schema:
        """A caller's schema, rewritten. Raises InvalidRequest with `param` and the place in the schema."""
        self._param = self._param or param
        return _Rewriter(schema, param, self._definitions, loose=loose).rewrite(schema, "#", 0)

    def document(self, schema: Schema) -> Schema:
        """A rewritten schema with the definitions it may refer to, for an engine. Raises InvalidRequest when none of
        its values comes to an end."""
        try:
            written, definitions = unrolled(schema, self._definitions)
        except Conflict as error:
            raise InvalidRequest(f"Invalid schema for '{self._param}': {error}.", param=self._param) from None
        return {**written, "$defs": definitions} if definitions else written

    def whole(self, schema: Schema) -> Schema:
        """The same as it was rewritten: definitions may lead back to themselves."""
        return {**schema, "$defs": self._definitions} if self._definitions else schema


class _Rewriter:
    def __init__(self, root: Any, param: str, definitions: dict[str, Schema], *, loose: bool) -> None:
        self._root = root
        self._param = param
        self._definitions = definitions
        self._names: dict[str, str] = {}
        self._loose = loose

    def rewrite(self, schema: Any, where: str, depth: int) -> Schema:
        """One schema. `where` is its place, as a JSON pointer."""
        if schema is True or schema == {}:
            return {}
        if not isinstance(schema, dict):
            self._refuse(where, "no value is valid" if schema is False else "a schema must be an object or a boolean")
        if depth > _DEPTH:
            self._refuse(where, f"more than {_DEPTH} levels deep")
        asked = self._known(schema, where)
        try:
            return self._dispatch(asked, where, depth)
        except (Refused, Conflict) as error:
            if self._loose:
                return {}
            self._refuse(where, str(error))

    def _known(self, schema: Mapping[str, Any], where: str) -> Schema:
        """The keywords that constrain."""
        asked = {key: value for key, value in schema.items() if key not in ANNOTATIONS and not key.startswith("x-")}
        for key in asked.keys() - _KNOWN:
            if not self._loose:
                self._refuse(where, f"'{key}' cannot be enforced")
            del asked[key]
        return asked

    def _dispatch(self, asked: Schema, where: str, depth: int) -> Schema:
        if "$ref" in asked:
            return self._reference(asked, where, depth)
        if "allOf" in asked:
            return self.rewrite(self._all_of(asked, where), where, depth + 1)
        for key in ("anyOf", "oneOf"):
            if key in asked:
                return self._any_of(key, asked, where, depth)
        if "const" in asked:
            asked = merge(asked, {"enum": [asked.pop("const")]})
        if "enum" in asked:
            return self._enum(asked)
        kinds = types_of(asked) or [kind for kind, keys in APPLIES.items() if not keys.isdisjoint(asked)][:1]
        written = [self._typed(kind, asked, where, depth) for kind in kinds]
        return {"anyOf": written} if len(written) > 1 else written[0] if written else {}

    def _typed(self, kind: str, asked: Schema, where: str, depth: int) -> Schema:
        """One type with the keywords that apply to it; others say nothing of it."""
        if kind not in WRITERS:
            raise Refused(f"unknown type '{kind}'")
        applying = {key: value for key, value in asked.items() if key in APPLIES[kind]}
        return WRITERS[kind](
            applying, lambda inner, step: self.rewrite(inner, f"{where}/{step}", depth + 1), self._loose
        )

    def _enum(self, asked: Schema) -> Schema:
        values, kinds = asked["enum"], types_of(asked)
        if not isinstance(values, list):
            raise Refused("'enum' must be an array")
        if beside := asked.keys() - {"enum", "type"}:
            raise Refused(f"'{min(beside)}' beside 'enum' cannot be enforced")
        fitting = [value for value in values if not kinds or not types_of({"enum": [value]}).isdisjoint(kinds)]
        if not fitting:
            raise Refused("no value is valid")
        return {"enum": fitting}

    def _any_of(self, key: str, asked: Schema, where: str, depth: int) -> Schema:
        branches = asked.pop(key)
        if not isinstance(branches, list) or not branches:
            raise Refused(f"'{key}' must be an array of schemas, and not empty")
        if key == "oneOf" and not self._loose and not exclusive([self._resolved(each, where) for each in branches]):
            raise Refused("alternatives of 'oneOf' may overlap, which cannot be enforced; use 'anyOf'")
        if asked:
            branches = [merge(asked, self._resolved(each, where)) for each in branches]
        written = [self.rewrite(each, f"{where}/{key}/{i}", depth + 1) for i, each in enumerate(branches)]
        return {"anyOf": written} if len(written) > 1 else written[0]

    def _all_of(self, asked: Schema, where: str) -> Schema:
        parts = asked.pop("allOf")
        if not isinstance(parts, list) or not parts:
            raise Refused("'allOf' must be an array of schemas, and not empty")
        if len(parts) == 1 and not asked:
            return dict(parts[0]) if isinstance(parts[0], dict) else {}
        for part in parts:
            asked = merge(asked, self._known(self._resolved(part, where), where))
        return asked

    def _reference(self, asked: Schema, where: str, depth: int) -> Schema:
        pointer = asked.pop("$ref")
        if asked:
            return self.rewrite(merge(asked, self._resolved({"$ref": pointer}, where)), where, depth + 1)
        target = self._target(pointer)
        if pointer not in self._names:
            # Named before it is rewritten: a schema may refer to itself.
            self._names[pointer] = name = f"d{len(self._definitions)}"
            self._definitions[name] = {}
            self._definitions[name] = self.rewrite(target, pointer, 0)
        return {"$ref": f"#/$defs/{self._names[pointer]}"}

    def _resolved(self, schema: Any, where: str) -> Schema:
        """A schema's own keywords, found through its `$ref`s."""
        for _ in range(_DEPTH):
            if not isinstance(schema, dict):
                raise Refused("a boolean schema cannot be combined with others")
            if "$ref" not in schema:
                return schema
            rest = {key: value for key, value in self._known(schema, where).items() if key != "$ref"}
            schema = self._target(schema["$ref"])
            if rest:
                schema = merge(rest, self._known(self._resolved(schema, where), where))
        raise Refused("'$ref's go in circles")

    def _target(self, pointer: Any) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise Refused("'$ref' must point into the same schema, like '#/$defs/name'")
        found = self._root
        for step in pointer.split("/")[1:]:
            key: Any = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key) if isinstance(found, list) else key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise Refused(f"'$ref' {pointer} leads nowhere") from None
        return found

    def _refuse(self, where: str, why: str) -> NoReturn:
        raise InvalidRequest(f"Invalid schema for '{self._param}': {where}: {why}.", param=self._param)
