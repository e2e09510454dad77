#!/usr/bin/env python3
"""What the ECS service model says of an operation's input, as JSON: every member below a shape with its type, whether it is
required, and the words that it can be. Run with target/venv/bin/python; called by tests/it/fields.rs."""

import json
import sys

import botocore.session

KINDS = {"structure": "object", "string": "string", "integer": "integer", "boolean": "boolean", "map": "map"}


def kind(shape):
    if shape.type_name == "list":
        return kind(shape.member) + "[]"
    return KINDS[shape.type_name]


def innermost(shape):
    return innermost(shape.member) if shape.type_name == "list" else shape


def members(shape, prefix):
    for name, member in shape.members.items():
        inner = innermost(member)
        yield {
            "field": prefix + name,
            "type": kind(member),
            "required": name in shape.required_members,
            "words": sorted(getattr(inner, "enum", None) or []),
        }
        if inner.type_name == "structure":
            below = prefix + name + ("[]" if member.type_name == "list" else "") + "."
            yield from members(inner, below)


def main():
    model = botocore.session.get_session().get_service_model("ecs")
    shape = model.operation_model(sys.argv[1]).input_shape
    for name in sys.argv[2:]:
        shape = shape.members[name]
    json.dump(list(members(shape, "")), sys.stdout)


main()
