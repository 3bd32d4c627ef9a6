"""Checks the program of a .pt2 archive (its ``models/model.json``) before torch sees it. No torch here.

torch.export.load turns texts of this file into behaviour in several places; each is closed here:

- operator targets become attributes of ``torch``, ``math`` or ``operator`` and are called (an allow list);
- symbolic expressions go through ``sympy.sympify``, which evaluates Python (an AST whitelist);
- names of nodes, arguments, parameters and modules are written into generated Python code (identifiers only);
- tree specifications import modules for enumerations and default dictionaries (plain containers only);
- guards are compiled (taken out), metadata are resolved to attributes and written into code (taken out, but
  for the module paths that the unflattening needs).

What is loaded in the end is not the archive but one that is written anew from what passed.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Mapping

from concepts.errors import ModelError
from concepts.preflight.operators import allowed

SCHEMA_MAJOR = 8
ARGUMENTS = frozenset(
    {
        *(
            "as_none",
            "as_tensor",
            "as_tensors",
            "as_optional_tensor",
            "as_optional_tensors",
            "as_nested_tensors",
        ),
        *("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string", "as_strings"),
        *("as_sym_int", "as_sym_ints", "as_sym_float", "as_sym_floats", "as_sym_bool", "as_sym_bools"),
        *("as_scalar_type", "as_memory_format", "as_layout", "as_device", "as_name", "as_expr"),
    }
)
"""Kinds of argument; left out: operators as values, custom objects, sub-programs, complex numbers."""

NAMES = frozenset({"name", "as_name"})
PATHS = frozenset({"parameter_name", "buffer_name", "tensor_constant_name", "fqn"})
MAPS_BY_NAME = frozenset(
    {"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "range_constraints"}
)
MUST_BE_EMPTY = frozenset({"custom_obj_values", "treespec_namedtuple_fields", "custom_obj", "token"})
VERIFIERS = frozenset({"TRAINING", "ATEN", "EDGE", ""})
CONTAINERS = frozenset({"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
PATH = re.compile(r"([A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*)?", re.ASCII)
CALL_PATH = re.compile(r"[A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*(@[0-9]+)?", re.ASCII)
TYPE_NAME = re.compile(r"[A-Za-z0-9_.<>]*", re.ASCII)
STACK_KEY = re.compile(r"[A-Za-z0-9_.@\[\]']*", re.ASCII)
SYMBOL = re.compile(r"(s|u|zf|zuf)[0-9]+", re.ASCII)

FUSED = re.compile(r"torch\.ops\.aten\._(transformer_encoder_layer_fwd|native_multi_head_attention)\.default")

EXPRESSION_LENGTH = 2000
MOST_NODES, MOST_SYMBOLS = 100, 8
MOST_EXPRESSIONS = 300
COMPARED = frozenset({"Max", "Min", "And", "Or"})  # whose arguments sympy compares pair by pair
MOST_COMPARED = 8
LARGEST_INTEGER = 2**63
FUNCTIONS = frozenset(
    {
        *("Add", "Mul", "Integer", "Rational", "Max", "Min", "Mod", "floor", "ceiling", "And", "Or", "Not"),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality"),
        *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan"),
        *("FloorDiv", "CleanDiv", "CeilDiv", "PythonMod", "Where", "Identity"),
        *("CeilToInt", "FloorToInt", "TruncToInt", "RoundToInt", "ToFloat", "IntTrueDiv", "FloatTrueDiv"),
    }
)
"""Functions of a symbolic expression; powers apart (see ``check_expression``), shifts never."""


def check_program(content: bytes, *, name: str) -> dict[str, object]:
    """Check a serialized program and return it without what it does not need.

    Raises
    ------
    ModelError
        The program is not JSON, of another schema, exported in training mode, or holds something that could
        run code; one line that names it.
    """
    try:
        program = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name}: models/model.json is not JSON: {error}") from error
    if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
        raise ModelError(f"{name}: models/model.json is not an exported program.")
    version = program.get("schema_version")
    major = version.get("major") if isinstance(version, dict) else None
    if major != SCHEMA_MAJOR:
        raise ModelError(
            f"{name} is of torch.export schema {major}, expected {SCHEMA_MAJOR}; export it again with "
            "torch 2.7 or later."
        )
    verifiers = program.get("verifiers")
    if not isinstance(verifiers, list) or not all(
        isinstance(item, str) and item in VERIFIERS for item in verifiers
    ):
        raise ModelError(
            f"{name} names verifiers {str(verifiers)[:80]}: refused; export it with torch.export."
        )
    program["guards_code"] = []
    graph_module = program["graph_module"]
    graph_module["metadata"] = {}
    try:
        _check(program, name, set())
    except RecursionError as error:
        raise ModelError(f"{name}: models/model.json is nested too deeply: refused.") from error
    _check_signature(graph_module, name)
    return program


def _check(value: object, name: str, expressions: set[str]) -> None:
    """Walk everything; what a key means does not depend on where it stands, so nothing is walked past.

    ``expressions``: the different symbolic expressions met so far.
    """
    if isinstance(value, list):
        for item in value:
            _check(item, name, expressions)
    if not isinstance(value, dict):
        return
    if "target" in value:
        _check_target(value["target"], name)
        value["metadata"] = _module_stack(value.get("metadata"), name)
    for key, item in value.items():
        if key.startswith("as_") and key not in ARGUMENTS:
            raise ModelError(f"{name} holds an argument of kind {key!r}, which can run code: refused.")
        if key in MUST_BE_EMPTY and item:
            raise ModelError(f"{name} holds {key} (custom objects), which can run code: refused.")
        if key in NAMES:
            _check_text(item, IDENTIFIER, f"{name}: name", optional=True)
        elif key in PATHS:
            _check_text(item, PATH, f"{name}: path", optional=True)
        elif key in MAPS_BY_NAME and isinstance(item, dict):
            for entry in item:
                _check_text(entry, IDENTIFIER, f"{name}: name")
        elif key == "forward_arg_names":
            for entry in item if isinstance(item, list) else []:
                _check_text(entry, IDENTIFIER, f"{name}: argument name")
        elif key == "expr_str":
            check_expression(item, name=name)
            expressions.add(item)
            if len(expressions) > MOST_EXPRESSIONS:
                raise ModelError(
                    f"{name} holds more than {MOST_EXPRESSIONS} different symbolic expressions: refused; "
                    "export it with fewer dynamic sizes."
                )
        elif key in ("in_spec", "out_spec"):
            _check_tree(item, name)
        elif key == "device" or key == "as_device":
            _check_device(item, name)
        _check(item, name, expressions)


def _check_target(target: object, name: str) -> None:
    if isinstance(target, str) and FUSED.fullmatch(target):
        raise ModelError(
            f"{name} holds a fused transformer layer ({target}), whose inside cannot be looked into; call "
            "torch.backends.mha.set_fastpath_enabled(False) before torch.export.export()."
        )
    if not isinstance(target, str) or not allowed(target):
        raise ModelError(
            f"{name} calls {str(target)[:80]!r}, which is not on the list of operators that are known to be "
            "safe: refused; export the plain network, or give a factory and safetensors weights."
        )


def _check_text(value: object, pattern: re.Pattern[str], what: str, *, optional: bool = False) -> None:
    if optional and (value is None or value == ""):
        return
    if not isinstance(value, str) or not pattern.fullmatch(value) or keyword.iskeyword(value):
        raise ModelError(
            f"{what} {str(value)[:80]!r} is not a plain identifier; torch would write it into code: refused."
        )


def _check_device(device: object, name: str) -> None:
    """A known device; and the CPU in its place, so that a program exported on a GPU loads anywhere."""
    if not isinstance(device, dict):
        return
    if device.get("type") not in ("cpu", "cuda"):
        raise ModelError(f"{name} is for device {device.get('type')!r}; export it on the CPU.")
    device.update({"type": "cpu", "index": None})


def _module_stack(metadata: object, name: str) -> dict[str, str]:
    """The one metadatum that the unflattening needs: which modules a node stands in."""
    stack = metadata.get("nn_module_stack") if isinstance(metadata, Mapping) else None
    if stack is None:
        return {}
    if not isinstance(stack, str):
        raise ModelError(f"{name}: the module stack of a node is not text: refused.")
    for item in stack.split(";"):
        parts = item.split(",")
        if len(parts) != 3:
            raise ModelError(f"{name}: module stack {item[:80]!r} is not 'key,path,type': refused.")
        for text, pattern in zip(parts, (STACK_KEY, CALL_PATH, TYPE_NAME), strict=True):
            _check_text(text, pattern, f"{name}: module stack", optional=True)
    return {"nn_module_stack": stack}


def _check_tree(text: object, name: str) -> None:
    """A tree specification: JSON text of plain containers."""
    try:
        parsed = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, list) or len(parsed) != 2 or parsed[0] != 1:
        raise ModelError(f"{name}: the structure of inputs or outputs is not in a known form: refused.")
    _check_tree_node(parsed[1], name)


def _check_tree_node(node: object, name: str) -> None:
    if not isinstance(node, dict) or set(node) != {"type", "context", "children_spec"}:
        raise ModelError(f"{name}: the structure of inputs or outputs is not in a known form: refused.")
    kind, context, children = node["type"], node["context"], node["children_spec"]
    if kind is not None and kind not in CONTAINERS:
        raise ModelError(
            f"{name} takes or returns a {str(kind)[:80]!r}; only tuples, lists and dicts are accepted: "
            "refused; return a tuple or a dict of tensors."
        )
    try:
        keys = json.loads(context) if isinstance(context, str) else context
    except (ValueError, RecursionError):
        keys = {}
    if keys is not None and not (isinstance(keys, list) and all(isinstance(key, (str, int)) for key in keys)):
        raise ModelError(f"{name}: the keys of an input or output are not plain texts or numbers: refused.")
    for key in keys or []:
        if isinstance(key, str):
            _check_text(key, IDENTIFIER, f"{name}: key")
    if not isinstance(children, list):
        raise ModelError(f"{name}: the structure of inputs or outputs is not in a known form: refused.")
    for child in children:
        _check_tree_node(child, name)


def _check_signature(graph_module: Mapping[str, object], name: str) -> None:
    """Inference programs only: nothing is written back."""
    signature = graph_module.get("signature")
    specs = signature.get("output_specs") if isinstance(signature, dict) else None
    if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
        raise ModelError(f"{name}: the program has no signature: refused.")
    for spec in specs:
        if set(spec) != {"user_output"}:
            raise ModelError(
                f"{name} changes its own state when it runs ({', '.join(sorted(spec))}); it was exported in "
                "training mode: call model.eval() before torch.export.export()."
            )


def check_expression(text: object, *, name: str) -> None:
    """Check a symbolic expression: numbers, size symbols and known functions, by their syntax tree.

    sympy evaluates such a text as Python, and multiplies powers of sums out as it does. What passes here can
    only compute a size, and in little time: `MOST_NODES` steps, `MOST_SYMBOLS` symbols, `MOST_COMPARED`
    arguments compared; a power's base is one symbol or number, its exponent a number up to 8.

    Raises
    ------
    ModelError
        Anything else.
    """
    refused = ModelError(
        f"{name} holds the symbolic expression {str(text)[:80]!r}, which is more than arithmetic on "
        "sizes: refused."
    )
    if not isinstance(text, str) or len(text) > EXPRESSION_LENGTH:
        raise refused
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refused from error
    if not _is_arithmetic(tree) or not _is_small(tree):
        raise refused


def _is_small(tree: ast.expr) -> bool:
    """Whether an expression is evaluated in no time."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    symbols = {node.id for node in nodes if isinstance(node, ast.Name) and SYMBOL.fullmatch(node.id)}
    symbols |= {
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    compared = sum(
        len(node.args)
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in COMPARED
    )
    return len(nodes) <= MOST_NODES and len(symbols) <= MOST_SYMBOLS and compared <= MOST_COMPARED


def _is_arithmetic(node: ast.AST) -> bool:
    """Whether a syntax tree is arithmetic on sizes."""
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, bool, float) and abs(node.value) < LARGEST_INTEGER  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return SYMBOL.fullmatch(node.id) is not None or node.id in ("true", "false", "int_oo")
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd)) and _is_arithmetic(node.operand)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow):
            return _is_power(node.left, node.right)
        return (
            isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod))
            and _is_arithmetic(node.left)
            and _is_arithmetic(node.right)
        )
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
        known = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
        return all(isinstance(op, known) for op in node.ops) and all(_is_arithmetic(part) for part in parts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _is_known_call(node.func.id, node)
    return False


def _is_known_call(function: str, node: ast.Call) -> bool:
    if function == "Symbol":
        first = node.args[0] if len(node.args) == 1 else None
        return (
            isinstance(first, ast.Constant)
            and isinstance(first.value, str)
            and SYMBOL.fullmatch(first.value) is not None
            and all(
                item.arg in ("positive", "integer", "nonnegative", "real")
                and isinstance(item.value, ast.Constant)
                and isinstance(item.value.value, bool)
                for item in node.keywords
            )
        )
    if node.keywords:
        return False
    if function in ("Pow", "PowByNatural"):
        return len(node.args) == 2 and _is_power(node.args[0], node.args[1])
    return function in FUNCTIONS and all(_is_arithmetic(argument) for argument in node.args)


def _is_power(base: ast.expr, exponent: ast.expr) -> bool:
    exponent, base = _plain_number(exponent), _plain_number(base)
    small = isinstance(exponent, ast.Constant) and type(exponent.value) is int and exponent.value <= 8
    single = isinstance(base, (ast.Constant, ast.Name)) or (
        isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "Symbol"
    )
    return small and single and _is_arithmetic(base)


def _plain_number(node: ast.expr) -> ast.expr:
    """The number in ``Integer(-2)`` and ``-2``, without its sign; anything else as it is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Integer":
        node = node.args[0] if len(node.args) == 1 and not node.keywords else node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return node
