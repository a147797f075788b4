"""JSON schemas of many kinds, each with prompts: what an engine's answers are held to."""

from typing import Any

ADDRESS = {
    "type": "object",
    "properties": {
        "street": {"type": "string", "maxLength": 20},
        "number": {"type": "integer", "minimum": 1, "maximum": 999},
    },
    "required": ["street", "number"],
    "additionalProperties": False,
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {"home": ADDRESS, "work": ADDRESS},
        "required": ["home"],
        "additionalProperties": False,
    },
    "definitions": {
        "$defs": {"address": ADDRESS},
        "type": "object",
        "properties": {
            "to": {"$ref": "#/$defs/address", "description": "where it goes"},
            "urgent": {"type": "boolean"},
        },
        "required": ["to", "urgent"],
        "additionalProperties": False,
    },
    "recursive": {
        "$defs": {
            "term": {
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": 99},
                    {
                        "type": "object",
                        "properties": {
                            "minus": {"$ref": "#/$defs/term"},
                            "all": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                        },
                        "required": ["minus", "all"],
                        "additionalProperties": False,
                    },
                ]
            }
        },
        "type": "object",
        "properties": {"term": {"$ref": "#/$defs/term"}},
        "required": ["term"],
        "additionalProperties": False,
    },
    "enums": {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "green", "blue"]},
            "size": {"enum": [1, 2.5, None, "huge"]},
            "kind": {"const": "shirt"},
        },
        "required": ["colour", "size", "kind"],
        "additionalProperties": False,
    },
    "arrays": {
        "type": "object",
        "properties": {
            "words": {"type": "array", "items": {"type": "string", "maxLength": 8}, "minItems": 2, "maxItems": 3},
            "pair": {"type": "array", "prefixItems": [{"type": "integer", "maximum": 99}, {"type": "boolean"}]},
        },
        "required": ["words", "pair"],
        "additionalProperties": False,
    },
    "unions": {
        "type": "object",
        "properties": {
            "id": {"anyOf": [{"type": "integer", "minimum": 10, "maximum": 99}, {"type": "null"}]},
            "shape": {
                "oneOf": [
                    {
                        "type": "object",
                        "properties": {"kind": {"const": "circle"}, "radius": {"type": "integer", "maximum": 9}},
                        "required": ["kind", "radius"],
                    },
                    {
                        "type": "object",
                        "properties": {"kind": {"const": "square"}, "side": {"type": "integer", "maximum": 9}},
                        "required": ["kind", "side"],
                    },
                ]
            },
        },
        "required": ["id", "shape"],
        "additionalProperties": False,
    },
    "patterns": {
        "type": "object",
        "properties": {
            "plate": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"},
            "day": {"type": "string", "format": "date"},
            "host": {"type": "string", "format": "ipv4"},
            "tag": {"type": "string", "minLength": 2, "maxLength": 6},
        },
        "required": ["plate", "day", "host", "tag"],
        "additionalProperties": False,
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": ["integer", "null"], "maximum": 9}}, "required": ["a"]},
            {"properties": {"b": {"type": "string", "maxLength": 9}}, "required": ["b"]},
        ]
    },
    "as pydantic writes it": {
        "$defs": {"Level": {"enum": ["low", "high"], "title": "Level", "type": "string"}},
        "title": "Order",
        "description": "An order.",
        "type": "object",
        "properties": {
            "level": {"allOf": [{"$ref": "#/$defs/Level"}], "default": "low"},
            "note": {
                "anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}],
                "default": None,
                "title": "Note",
            },
            "price": {"title": "Price", "type": "number"},
            "mail": {"format": "email", "title": "Mail", "type": "string"},
        },
        "required": ["note", "price"],
    },
}

GUIDED: dict[str, dict[str, Any]] = {
    "a number in bounds": {
        "type": "object",
        "properties": {
            "score": {"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.01},
            "price": {"type": "number", "exclusiveMinimum": 10, "maximum": 12, "multipleOf": 0.25},
        },
        "required": ["score", "price"],
        "additionalProperties": False,
    },
    "a step": {"type": "integer", "minimum": 50, "maximum": 90, "multipleOf": 7},
    "a pattern and a length": {
        "type": "object",
        "properties": {"code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4}},
        "required": ["code"],
        "additionalProperties": False,
    },
}
"""What only llguidance enforces."""

PROMPTS = [
    "Give me an example as JSON.",
    "Describe a person who buys a shirt.",
    "Ich wohne in der Langen Straße 5.",
    'Say "hello" with \\ and a smile 😀.',
    "Write anything.",
]
