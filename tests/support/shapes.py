#!/usr/bin/env python3
"""Holds answers against the output shapes of the ECS service model, as botocore has it. Each line of standard input is an
object {"action": NAME, "answer": JSON}, or {"action": NAME, "error": EXCEPTION}; of another service {"service": "ec2", "action":
NAME, "xml": DOCUMENT}. What does not fit is printed, one line each:
members that the shape does not have, members that it requires and that are absent, wrong JSON types, words outside their set,
exceptions that the action does not declare. Nothing printed: all fits. Run with target/venv/bin/python."""

import json
import sys
import xml.etree.ElementTree

import botocore.session

# Those that are not specific to ECS are declared by no action.
COMMON = {
    "ServerException",
    "ClientException",
    "InvalidParameterException",
    "AccessDeniedException",
    "SerializationException",
    "ThrottlingException",
}
INTEGERS = {"integer": 2**31, "long": 2**63}


def problems(shape, value, place):
    """What is wrong with a value of a shape."""
    kind = shape.type_name
    if kind == "structure":
        yield from of_structure(shape, value, place)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{place}: a list is expected, not {value!r}"
            return
        for number, element in enumerate(value):
            yield from problems(shape.member, element, f"{place}[{number}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{place}: a map is expected, not {value!r}"
            return
        for key, element in value.items():
            yield from problems(shape.value, element, f"{place}.{key}")
    else:
        yield from of_scalar(shape, value, place)


def of_structure(shape, value, place):
    if not isinstance(value, dict):
        yield f"{place}: an object is expected, not {value!r}"
        return
    if shape.metadata.get("document"):
        return
    for name, element in value.items():
        if name not in shape.members:
            yield f"{place}.{name}: {shape.name} has no such member"
        elif element is None:
            yield f"{place}.{name}: null, which some clients do not read"
        else:
            yield from problems(shape.members[name], element, f"{place}.{name}")
    for name in shape.required_members:
        if name not in value:
            yield f"{place}.{name}: required by {shape.name}, and absent"


def of_scalar(shape, value, place):
    kind = shape.type_name
    if kind == "string":
        if not isinstance(value, str):
            yield f"{place}: a string is expected, not {value!r}"
        elif getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{place}: {value!r} is none of {shape.enum}"
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{place}: a boolean is expected, not {value!r}"
    elif kind in INTEGERS:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not -INTEGERS[kind] <= value < INTEGERS[kind]:
            yield f"{place}: a whole number ({kind}) is expected, not {value!r}"
    elif kind in ("float", "double", "timestamp"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{place}: a number ({kind}) is expected, not {value!r}"
    else:
        yield f"{place}: what is a {kind}?"


def bare(element):
    return element.tag.split("}")[-1]


def of_element(shape, element, place):
    """What is wrong with an element of a document, whose texts are scalars of any kind."""
    kind = shape.type_name
    if kind == "list":
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            if bare(child) != wanted:
                yield f"{place}: {bare(child)} in place of {wanted}"
            yield from of_element(shape.member, child, f"{place}.{wanted}")
    elif kind == "structure":
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in element:
            if bare(child) in names:
                yield from of_element(names[bare(child)], child, f"{place}.{bare(child)}")
            else:
                yield f"{place}.{bare(child)}: {shape.name} has no such member"
    elif len(element):
        yield f"{place}: a {kind} is expected, not elements"
    elif kind == "boolean" and element.text not in ("true", "false"):
        yield f"{place}: a boolean is expected, not {element.text!r}"
    elif kind in INTEGERS and not (element.text or "").lstrip("-").isdigit():
        yield f"{place}: a whole number is expected, not {element.text!r}"
    elif getattr(shape, "enum", None) and element.text not in shape.enum:
        yield f"{place}: {element.text!r} is none of {shape.enum}"


def of_document(line):
    session = botocore.session.get_session()
    model = session.get_service_model(line["service"])
    operation = model.operation_model(line["action"])
    root = xml.etree.ElementTree.fromstring(line["xml"])
    if bare(root) != line["action"] + "Response":
        return [f"{bare(root)} in place of {line['action']}Response"]
    wrapper = operation.output_shape.serialization.get("resultWrapper")
    inner = next((child for child in root if bare(child) == wrapper), None) if wrapper else root
    if inner is None:
        return [f"{line['action']}: no {wrapper}"]
    if inner is root:
        root.remove(next(child for child in root if bare(child) == "requestId"))
    return list(of_element(operation.output_shape, inner, line["action"]))


def of_line(model, line):
    if "xml" in line:
        return of_document(line)
    name = line["action"]
    if name not in model.operation_names:
        return [f"{name}: there is no such action"]
    operation = model.operation_model(name)
    if "error" in line:
        declared = {shape.name for shape in operation.error_shapes} | COMMON
        return [] if line["error"] in declared else [f"{name}: does not declare {line['error']}"]
    if operation.output_shape is None:
        return [] if line["answer"] == {} else [f"{name}: answers nothing, not {line['answer']!r}"]
    return list(problems(operation.output_shape, line["answer"], name))


def main():
    model = botocore.session.get_session().get_service_model("ecs")
    for line in sys.stdin:
        for problem in of_line(model, json.loads(line)):
            print(problem)


main()
