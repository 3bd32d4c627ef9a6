"""Archives that would run code: real files, shown to run their code in torch; none does here."""

from __future__ import annotations

import io
import json
import logging
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from concepts.errors import ModelError
from concepts.model.loading import load_model
from concepts.model.taps import tap
from concepts.preflight.archive import inspect_archive, load_archive
from concepts.preflight.operators import allowed
from concepts.preflight.program import check_expression
from concepts.records import InputFormat, ModelSpec

torch.set_num_threads(1)
LAYERS = ("conv", "act")


class Net(nn.Module):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = self.act(self.norm(self.conv(x))).flatten(2)
        return self.head(self.drop(features).mean(2) + torch.tensor([1.0, 2.0, 3.0]))


class Attention(nn.Module):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = self.encoder(x.flatten(1).reshape(x.shape[0], -1, 8))
        return tokens.mean(1), {"logits": self.head(tokens[:, 0])}


def images(count: int) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def export(model: nn.Module, *, count: int = 2, fixed: bool = False, strict: bool = False) -> bytes:
    shapes = None if fixed else ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model, (images(count),), dynamic_shapes=shapes, strict=strict)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return export(Net().eval())


class Payload:
    """A pickle of this creates the marker file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def code(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


def rewrite(
    content: bytes,
    edits: Mapping[str, Callable[[bytes], bytes]] | None = None,
    extra: Mapping[str, bytes] | None = None,
    *,
    compression: int = zipfile.ZIP_STORED,
    drop: str | None = None,
) -> bytes:
    """The archive with some entries changed or added; the paths are those without the root folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for info in old.infolist():
            root, _, entry = info.filename.partition("/")
            if entry != drop:
                edit = (edits or {}).get(entry, lambda data: data)
                new.writestr(info.filename, edit(old.read(info)))
        for entry, data in (extra or {}).items():
            new.writestr(f"{root}/{entry}", data)
    return buffer.getvalue()


def edited(content: bytes, entry: str, change: Callable[[dict], object]) -> bytes:
    """The archive with one JSON entry changed in place."""

    def edit(data: bytes) -> bytes:
        parsed = json.loads(data)
        change(parsed)
        return json.dumps(parsed).encode()

    return rewrite(content, {entry: edit})


PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLE = "data/sample_inputs/model.pt"


def graph_of(program: dict) -> dict:
    return program["graph_module"]["graph"]


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def pickled_weight(content: bytes, marker: Path) -> bytes:
    def change(table: dict) -> None:
        table["config"]["head.bias"]["use_pickle"] = True
        table["config"]["head.bias"]["path_name"] = "weight_99"

    return rewrite(edited(content, WEIGHTS, change), extra={"data/weights/weight_99": saved(Payload(marker))})


def pickled_constant(content: bytes, marker: Path) -> bytes:
    def change(table: dict) -> None:
        table["config"]["lifted_tensor_0"] |= {"use_pickle": True, "path_name": "tensor_99"}

    return rewrite(
        edited(content, CONSTANTS, change), extra={"data/constants/tensor_99": saved(Payload(marker))}
    )


def opaque_constant(content: bytes, marker: Path) -> bytes:
    def change(table: dict) -> None:
        table["config"]["lifted_tensor_0"] |= {"use_pickle": True, "path_name": "opaque_obj_0"}

    extra = {"data/constants/opaque_obj_0": pickle.dumps(Payload(marker))}
    return rewrite(edited(content, CONSTANTS, change), extra=extra)


def opaque_constant_in_a_tensors_place(content: bytes, marker: Path) -> bytes:
    """The entry's name is on the list; the table points above its folder."""

    def change(table: dict) -> None:
        table["config"]["lifted_tensor_0"]["path_name"] = "opaque_obj/../tensor_7"

    extra = {"data/constants/tensor_7": pickle.dumps(Payload(marker))}
    return rewrite(edited(content, CONSTANTS, change), extra=extra)


def legacy_weights(content: bytes, marker: Path) -> bytes:
    return rewrite(content, extra={"data/weights/model.pt": saved({"head.bias": Payload(marker)})})


def sample_pickle(content: bytes, marker: Path) -> bytes:
    return rewrite(content, {SAMPLE: lambda _: saved(((Payload(marker),), {}))})


def sample_bare_pickle(content: bytes, marker: Path) -> bytes:
    return rewrite(content, {SAMPLE: lambda _: pickle.dumps(((Payload(marker),), {}))})


def sample_stack_global(content: bytes, marker: Path) -> bytes:
    """A later pickle protocol, which names its functions on the stack and not in the opcode."""
    buffer = io.BytesIO()
    torch.save(((Payload(marker),), {}), buffer, pickle_protocol=4)
    return rewrite(content, {SAMPLE: lambda _: buffer.getvalue()})


def expression(content: bytes, marker: Path) -> bytes:
    def change(program: dict) -> None:
        for meta in graph_of(program)["tensor_values"].values():
            for size in meta["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = code(marker)

    return edited(content, PROGRAM, change)


def input_name(content: bytes, marker: Path) -> bytes:
    """The name of an input becomes an argument in generated code, where a default is evaluated."""
    injected = json.dumps(f"x={code(marker)}").encode()

    def edit(data: bytes) -> bytes:
        return data.replace(b'"name": "x"', b'"name": ' + injected).replace(b'"x": {', injected + b": {")

    return rewrite(content, {PROGRAM: edit})


def enumeration(content: bytes, marker: Path) -> bytes:
    """A tree specification that imports a module; here one that lies in the current import path."""
    module = marker.parent / f"imported_{marker.stem}.py"
    module.write_text(f"{code(marker)}\nclass Kind: pass\n")
    sys.path.append(str(marker.parent))
    context = json.dumps([{"__enum__": True, "fqn": f"{module.stem}:Kind", "name": "A"}])

    def change(program: dict) -> None:
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        leaf = {"type": None, "context": None, "children_spec": []}
        signature["out_spec"] = json.dumps(
            [1, {"type": "builtins.dict", "context": context, "children_spec": [leaf]}]
        )

    return edited(content, PROGRAM, change)


ON_LOAD: dict[str, tuple[Callable[[bytes, Path], bytes], str]] = {
    "pickled weight": (pickled_weight, r"tensor 'head.bias' is pickled \(use_pickle\)"),
    "pickled constant": (pickled_constant, r"tensor 'lifted_tensor_0' is pickled \(use_pickle\)"),
    "opaque constant": (opaque_constant, r"holds an entry 'data/constants/opaque_obj_0'"),
    "legacy weights": (legacy_weights, r"holds an entry 'data/weights/model.pt'"),
    "sample pickle": (sample_pickle, r"sample inputs are a pickle that calls '"),
    "sample bare pickle": (sample_bare_pickle, r"sample inputs are a bare pickle or damaged"),
    "sample stack global": (sample_stack_global, r"sample inputs are a pickle that calls 'STACK_GLOBAL'"),
    "expression": (expression, r"symbolic expression .* more than arithmetic on sizes"),
    "input name": (input_name, r"name .*x=__import__.* is not a plain identifier"),
    "enumeration": (enumeration, r"keys of an input or output are not plain"),
}


def refuse(content: bytes, tmp_path: Path, message: str) -> None:
    """The file is refused, in one line, by the check without torch and by the loading of a model."""
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    spec = ModelSpec(
        weights=path,
        factory=None,
        sha256=None,
        layers=LAYERS,
        outputs=("a", "b"),
        input=InputFormat((8, 8), 1, (0,), (1,)),
    )
    for attempt in (lambda: inspect_archive(content, name="model.pt2"), lambda: load_model(spec)):
        with pytest.raises(ModelError, match=message) as raised:
            attempt()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ON_LOAD)
def test_code_in_an_archive_does_not_run(name: str, plain: bytes, tmp_path: Path) -> None:
    build, message = ON_LOAD[name]
    marker = tmp_path / "control"
    try:
        torch.export.load(io.BytesIO(build(plain, marker)))
    except Exception as error:  # what torch makes of the rest of the file does not matter
        print(error)
    assert marker.exists(), "the file must be able to do harm, or the test shows nothing"
    marker = tmp_path / "marker"
    refuse(build(plain, marker), tmp_path, message)
    assert not marker.exists()


def test_an_opaque_constant_under_a_tensors_name(plain: bytes, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = opaque_constant_in_a_tensors_place(plain, marker)
    refuse(content, tmp_path, r"'lifted_tensor_0' is a custom or opaque object \('opaque_obj/../tensor_7'\)")
    assert not marker.exists()


def test_an_operator_that_is_a_system_call(plain: bytes, tmp_path: Path) -> None:
    """torch's own verifier refuses this one too, after it has looked the function up."""
    marker = tmp_path / "marker"

    def change(program: dict) -> None:
        node = graph_of(program)["nodes"][0]
        node["target"] = "torch.os.system"
        node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {marker}"}, "kind": 1}]

    refuse(edited(plain, PROGRAM, change), tmp_path, r"calls 'torch.os.system'")
    assert not marker.exists()


def test_guards_are_taken_out(plain: bytes, tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    def change(program: dict) -> None:
        program["guards_code"] = [f"{code(marker)} is None"]

    content = edited(plain, PROGRAM, change)
    assert inspect_archive(content, name="m").program["guards_code"] == []
    load_archive(content, name="m").requires_grad_(False)(images(3))
    assert not marker.exists()


def put(*path: str | int, value: object) -> Callable[[dict], None]:
    def change(parsed: dict) -> None:
        place: object = parsed
        for step in path[:-1]:
            place = place[step]  # type: ignore[index]
        place[path[-1]] = value  # type: ignore[index]

    return change


NODE = ("graph_module", "graph", "nodes", 0)
CALLS = ("graph_module", "module_call_graph")
REFUSED: dict[str, tuple[str, Callable[[dict], None], str]] = {
    "from_file": (PROGRAM, put(*NODE, "target", value="torch.ops.aten.from_file.default"), "from_file"),
    "dunder": (PROGRAM, put(*NODE, "target", value="torch.ops.aten.add.__call__"), "aten.add.__call__"),
    "subclass": (PROGRAM, put(*NODE, "target", value="_operator.attrgetter"), "_operator.attrgetter"),
    "extension": (PROGRAM, put(*NODE, "target", value="#ns:op"), "#ns:op"),
    "no text": (PROGRAM, put(*NODE, "target", value=["torch.add"]), r"\['torch.add'\]"),
    "higher order": (PROGRAM, put(*NODE, "target", value="torch.ops.higher_order.cond"), "higher_order.cond"),
    "operator value": (
        PROGRAM,
        put(*NODE, "inputs", 0, "arg", value={"as_operator": "torch.os.system"}),
        "as_operator",
    ),
    "custom value": (
        PROGRAM,
        put(*NODE, "inputs", 0, "arg", value={"as_custom_obj": {"name": "a"}}),
        "as_custom_obj",
    ),
    "sub-program": (PROGRAM, put(*NODE, "inputs", 0, "arg", value={"as_graph": {}}), "'as_graph'"),
    "custom table": (
        PROGRAM,
        put("graph_module", "graph", "custom_obj_values", value={"a": {}}),
        "custom_obj_values",
    ),
    "named tuple": (
        PROGRAM,
        put("graph_module", "treespec_namedtuple_fields", value={"a": {}}),
        "treespec_named",
    ),
    "verifier of no text": (PROGRAM, put("verifiers", value=[["x"]]), "names verifiers"),
    "expressions": (
        PROGRAM,
        put("range_constraints", value={f"s{i}": {"expr_str": f"s{i % 8} + {i}"} for i in range(301)}),
        "more than 300 different symbolic expressions",
    ),
    "verifier": (PROGRAM, put("verifiers", value=["x"]), "names verifiers"),
    "schema": (PROGRAM, put("schema_version", "major", value=7), "schema 7, expected 8"),
    "module path": (
        PROGRAM,
        put(*CALLS, 1, "fqn", value='conv") or f("'),
        "path .* is not a plain identifier",
    ),
    "argument": (
        PROGRAM,
        put(*CALLS, 0, "signature", "forward_arg_names", value=["x, y=f()"]),
        "argument name",
    ),
    "tree": (PROGRAM, put(*CALLS, 0, "signature", "in_spec", value="[2, {}]"), "not in a known form"),
    "tree type": (
        PROGRAM,
        put(
            *CALLS,
            0,
            "signature",
            "in_spec",
            value='[1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]',
        ),
        "takes or returns a 'collections.defaultdict'",
    ),
    "stack": (PROGRAM, put(*NODE, "metadata", value={"nn_module_stack": "k,a\nimport os,T"}), "module stack"),
    "stack parts": (
        PROGRAM,
        put(*NODE, "metadata", value={"nn_module_stack": "k,a"}),
        "is not 'key,path,type'",
    ),
    "stack type": (
        PROGRAM,
        put(*NODE, "metadata", value={"nn_module_stack": 3}),
        "module stack of a node is not text",
    ),
    "symbol": (
        PROGRAM,
        put("range_constraints", value={"s0()": {"min_val": 2, "max_val": None}}),
        "name 's0",
    ),
    "device": (
        PROGRAM,
        put(*NODE, "inputs", 0, "arg", value={"as_device": {"type": "meta"}}),
        "device 'meta'",
    ),
    "no program": (PROGRAM, lambda p: p.pop("graph_module"), "is not an exported program"),
    "mutation": (
        PROGRAM,
        put("graph_module", "signature", "output_specs", 0, value={"buffer_mutation": {}}),
        r"changes its own state when it runs \(buffer_mutation\); .* training mode: call model.eval\(\)",
    ),
    "no signature": (PROGRAM, lambda p: p["graph_module"].pop("signature"), "no signature"),
    "table": (WEIGHTS, lambda p: p.pop("config"), "is not a payload table"),
    "no pickle key": (WEIGHTS, lambda p: p["config"]["head.bias"].pop("use_pickle"), "is pickled"),
    "escape": (
        WEIGHTS,
        put("config", "head.bias", "path_name", value="../constants/tensor_0"),
        "custom or opaque",
    ),
    "absent": (WEIGHTS, put("config", "head.bias", "path_name", value="weight_77"), "are missing"),
    "bounds": (
        WEIGHTS,
        put("config", "head.bias", "tensor_meta", "sizes", value=[{"as_int": 9}]),
        "does not lie within",
    ),
    "offset": (
        WEIGHTS,
        put("config", "head.bias", "tensor_meta", "storage_offset", value={"as_int": -1}),
        "not lie within",
    ),
    "stride of 0": (
        WEIGHTS,
        lambda p: p["config"]["head.bias"]["tensor_meta"].update(
            sizes=[{"as_int": 2**29}], strides=[{"as_int": 0}]
        ),
        "does not lie within",
    ),
    "more elements than bytes": (
        WEIGHTS,
        lambda p: p["config"]["conv.bias"]["tensor_meta"].update(
            sizes=[{"as_int": 2}, {"as_int": 2}], strides=[{"as_int": 1}, {"as_int": 1}]
        ),
        "does not lie within",
    ),
    "tied": (
        WEIGHTS,
        lambda p: p["config"].update({f"more{i}": p["config"]["head.bias"] for i in range(64)}),
        "more than 64 tensors are stored in the one entry",
    ),
    "device of no text": (
        WEIGHTS,
        put("config", "head.bias", "tensor_meta", "device", value={"type": ["cpu"]}),
        "not lie within",
    ),
    "symbolic": (
        WEIGHTS,
        put("config", "head.bias", "tensor_meta", "sizes", value=[{"as_expr": {}}]),
        "no plain shape",
    ),
    "dtype": (WEIGHTS, put("config", "head.bias", "tensor_meta", "dtype", value=99), "no plain shape"),
    "layout": (WEIGHTS, put("config", "head.bias", "tensor_meta", "layout", value=1), "not lie within"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_for_what_the_tables_say(name: str, plain: bytes, tmp_path: Path) -> None:
    entry, change, message = REFUSED[name]
    refuse(edited(plain, entry, change), tmp_path, message)


def test_refused_for_its_entries(plain: bytes, tmp_path: Path) -> None:
    refuse(
        rewrite(plain, extra={"data/aotinductor/model/wrapper.so": b"\x7fELF"}), tmp_path, "data/aotinductor"
    )
    refuse(rewrite(plain, extra={"extra/note.txt": b"hello"}), tmp_path, "holds an entry 'extra/note.txt'")
    refuse(rewrite(plain, extra={"data/constants/custom_obj_0": b"PK"}), tmp_path, "custom_obj_0")
    refuse(rewrite(plain, compression=zipfile.ZIP_DEFLATED), tmp_path, "is compressed")
    refuse(rewrite(plain, drop=SAMPLE), tmp_path, "has no entry data/sample_inputs")
    refuse(rewrite(plain, {"archive_format": lambda _: b"pt3"}), tmp_path, "not a pt2 archive of version 0")
    refuse(rewrite(plain, {PROGRAM: lambda _: b"{"}), tmp_path, "is not JSON")
    refuse(rewrite(plain, {PROGRAM: lambda _: b"[" * 100_000}), tmp_path, "is not JSON")
    refuse(plain[: len(plain) // 2], tmp_path, "not a readable .pt2 archive")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rewrite(plain, extra={PROGRAM: b"{}"})
    refuse(twice, tmp_path, "holds two entries models/model.json")


def test_entries_that_no_tensor_needs(plain: bytes, tmp_path: Path) -> None:
    content = rewrite(plain, extra={"data/weights/weight_99": b"x" * 100})
    refuse(content, tmp_path, "no tensor of the program is stored in entry data/weights/weight_99")


def overlapping(plain: bytes, count: int, size: int) -> bytes:
    """Entries that lie within each other: the data of one are the header and data of the next."""
    plain = rewrite(plain)  # torch's own has a zip64 directory
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        root, start = archive.namelist()[0].partition("/")[0], archive.start_dir
    directory_end = plain.rindex(b"PK\5\6")
    files = (directory_end - start, len(zipfile.ZipFile(io.BytesIO(plain)).namelist()))
    data, found = bytes(size), []
    for number in reversed(range(count)):
        name = f"{root}/data/weights/weight_{1000 + number}".encode()
        sizes = (zlib.crc32(data), len(data), len(data))
        data = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, *sizes, len(name), 0) + name + data
        found.append((name, sizes, len(data)))
    directory = plain[start:directory_end]
    for name, sizes, length in found:
        place = start + len(data) - length
        fixed = struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, place
        )
        directory += fixed + name
    total = files[1] + count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, total, total, len(directory), start + len(data), 0)
    return plain[:start] + data + directory + end


def test_entries_that_share_bytes(plain: bytes, tmp_path: Path) -> None:
    """Python before 3.11.8 reads every one."""
    content = overlapping(plain, 300, 2**17)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    assert unpacked > 100 * len(content)
    refuse(content, tmp_path, "shares its bytes with another")


def test_sample_inputs_that_are_compressed(plain: bytes, tmp_path: Path) -> None:
    """torch unpacks what is compressed: a few kilobytes would become gigabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps(()))
        archive.writestr("a/data/0", bytes(10**6))
    refuse(
        rewrite(plain, {SAMPLE: lambda _: buffer.getvalue()}),
        tmp_path,
        "sample inputs: entry .* is compressed",
    )


def test_an_overload_that_torch_does_not_have(
    plain: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = edited(plain, PROGRAM, put(*NODE, "target", value="torch.ops.aten.conv2d.nope"))
    with pytest.raises(
        ModelError, match=r"calls 'torch\.ops\.aten\.conv2d\.nope', which torch .* does not have"
    ):
        load_archive(content, name="m")
    # What torch finds by itself is told in one line too, and nothing is logged.
    content = edited(plain, PROGRAM, put(*NODE, "target", value="torch.sym_int"))
    with pytest.raises(ModelError, match=r"cannot be loaded by torch \S+: ") as raised:
        load_archive(content, name="m")
    assert "warnings above" not in str(raised.value)
    assert "Traceback" not in capfd.readouterr().err
    assert not logging.root.manager.disable


def test_sample_inputs_that_may_hold_a_data_set(plain: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embeds 33 sample inputs, more than 32: they may hold a data set"):
        load_archive(export(Net().eval(), count=33), name="m")
    large = saved(((torch.zeros(1, 9 * 2**20),), {}))
    refuse(rewrite(plain, {SAMPLE: lambda _: large}), tmp_path, "embeds sample inputs of .* bytes")
    assert load_archive(export(Net().eval(), count=32), name="m") is not None


def test_sample_inputs_are_not_passed_on(plain: bytes) -> None:
    from concepts.preflight.archive import _write_archive

    written = _write_archive(inspect_archive(plain, name="m"))
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        sizes = {info.filename.partition("/")[2]: info.file_size for info in archive.infolist()}
    assert sizes[SAMPLE] == 0
    assert torch.export.load(io.BytesIO(written)).example_inputs is None


@pytest.mark.parametrize("strict", [False, True])
def test_hooks_and_gradients_match_eager_mode(strict: bool, tmp_path: Path) -> None:
    eager = Net().eval().requires_grad_(False)
    path = tmp_path / "model.pt2"
    path.write_bytes(export(eager, strict=strict))
    spec = ModelSpec(
        weights=path,
        factory=None,
        sha256=None,
        layers=LAYERS,
        outputs=("a", "b"),
        input=InputFormat((8, 8), 1, (0,), (1,)),
    )
    loaded = load_model(spec)
    assert not any(weight.requires_grad for weight in loaded.module.parameters())
    for count in (1, 5):
        expected = tap(eager, LAYERS, images(count), [0, 1])
        found = tap(loaded.module, LAYERS, images(count), [0, 1])
        torch.testing.assert_close(found.logits, expected.logits)
        for layer in LAYERS:
            torch.testing.assert_close(found.activations[layer], expected.activations[layer])
            torch.testing.assert_close(found.gradients[layer], expected.gradients[layer])


def test_a_program_exported_on_a_gpu_loads_on_the_cpu(plain: bytes) -> None:
    def change(parsed: dict) -> None:
        text = json.dumps(parsed).replace('"type": "cpu", "index": null', '"type": "cuda", "index": 0')
        parsed.update(json.loads(text))

    content = edited(edited(edited(plain, PROGRAM, change), WEIGHTS, change), CONSTANTS, change)
    assert content.count(b'"cuda"') > 10
    eager, module = Net().eval(), load_archive(content, name="m")
    torch.testing.assert_close(module(images(3)), eager(images(3)))


def test_a_program_is_moved_whole(plain: bytes) -> None:
    """Every tensor and every device that its operators name; seen on a device that every machine has."""
    module = load_archive(plain, name="m", device="meta")
    tensors = [*module.parameters(), *module.buffers()]
    assert len(tensors) > 4
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert module(images(3).to("meta")).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_program_runs_on_the_gpu(plain: bytes) -> None:
    module = load_archive(plain, name="m", device="cuda")
    torch.testing.assert_close(module(images(3).cuda()).cpu(), Net().eval()(images(3)), rtol=1e-4, atol=1e-5)


def test_a_transformer_with_two_outputs_matches_eager_mode() -> None:
    eager, layers = Attention().eval().requires_grad_(False), ("encoder.layers.0", "encoder.layers.1.linear1")
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        content = export(eager)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    module = load_archive(content, name="m").requires_grad_(False)

    class Logits(nn.Module):
        """The two outputs are nested; what is compared is the logits."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[1]["logits"]

    inner = [f"inner.{layer}" for layer in layers]
    expected, found = (tap(Logits(m), inner, images(4), [1]) for m in (eager, module))
    for layer in inner:
        torch.testing.assert_close(found.activations[layer], expected.activations[layer])
        torch.testing.assert_close(found.gradients[layer], expected.gradients[layer])


def test_a_fused_transformer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    content = export(Attention().eval().requires_grad_(False), strict=True)
    refuse(content, tmp_path, r"fused transformer layer .*set_fastpath_enabled\(False\) before")


def test_training_mode_and_fixed_batches_are_refused() -> None:
    with pytest.raises(
        ModelError, match=r"exported in training mode \(aten.batch_norm.default\): call model.eval"
    ):
        load_archive(export(Net().train()), name="m")
    model = Net().eval()
    model.drop.train()
    with pytest.raises(ModelError, match=r"exported in training mode \(aten.dropout.default\)"):
        load_archive(export(model), name="m")
    with pytest.raises(ModelError, match="exported for exactly 2 images"):
        load_archive(export(Net().eval(), fixed=True), name="m")


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s0', integer=True))",
        "Add(Pow(Symbol('s0'), Integer(2)), Integer(-1))",
        "FloorDiv(s0 + 1, 2) * 3",
        "Max(1, u0)",
        "Eq(Mod(s0, 8), 0)",
        "s0 >= 2",
        "Pow(Symbol('s0'), Integer(-1))",
    ],
)
def test_sizes_are_arithmetic(text: str) -> None:
    check_expression(text, name="m")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "[x for x in (1,)]",
        "(lambda: 0)()",
        "s0 if s0 else s1",
        "f's0'",
        "'s0'",
        "Symbol('x')",
        "Symbol('s0', cls=Integer)",
        "Symbol('s0', positive=print())",
        "Symbol(s0)",
        "Function('f')",
        "Lambda(s0, s0)",
        "sympify('1')",
        "Integer.__subclasses__()",
        "Max(*s0)",
        "Max(s0, evaluate=False)",
        "9**9**9",
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "Pow(Pow(9, 8), 8)",
        "Pow(9, 9)",
        "Pow(9, s0)",
        "LShift(1, 99999)",
        "s0 << 9",
        "99999999999999999999",
        "x := 1",
        "s0!",
        "oo",
        "1" * 3000,
        "(" * 1500 + ")" * 1500,
        # Each took sympy seconds to hours, and up to 12 GB.
        "(" + "+".join(f"s{i}" for i in range(200)) + ")**8",
        "(s0 + s1)**8",
        "Max(" + ",".join(f"s{i}*s{i + 1}" for i in range(100)) + ")",
        "Max(" + ",".join(f"s{i % 2}" for i in range(9)) + ")",
        "Mod(" * 40 + "s0" + ",7)" * 40,
        "*".join(["s0**8"] * 60),
        "+".join(f"s{i}" for i in range(9)),
        7,
    ],
)
def test_everything_else_is_refused(text: object) -> None:
    with pytest.raises(ModelError, match="more than arithmetic on sizes: refused"):
        check_expression(text, name="m")


def test_the_list_names_operators_that_torch_has() -> None:
    from concepts.preflight.operators import ATEN, PYTHON

    assert [name for name in ATEN if not hasattr(torch.ops.aten, name)] == []
    assert all(allowed(f"torch.ops.aten.{name}.default") for name in ATEN)
    for target in PYTHON:
        module, _, name = target.rpartition(".")
        assert callable(getattr(sys.modules[module], name))
    for name in ("from_file", "save", "record_stream", "manual_seed", "warn", "print", "set_data"):
        assert not allowed(f"torch.ops.aten.{name}.default")


def checkpoint(path: Path, value: object) -> ModelSpec:
    torch.save(value, path)
    return ModelSpec(
        weights=path,
        factory="no.such:thing",
        sha256=None,
        layers=LAYERS,
        outputs=("a", "b"),
        input=InputFormat((8, 8), 1, (0,), (1,)),
    )


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_pickled_checkpoint_does_not_run(tmp_path: Path, suffix: str, legacy: bool) -> None:
    control, marker = tmp_path / "control", tmp_path / "marker"
    path = tmp_path / f"model{suffix}"
    torch.save({"w": Payload(control)}, path, _use_new_zipfile_serialization=not legacy)
    torch.load(path, weights_only=False)
    assert control.exists()
    spec = checkpoint(path, {"w": Payload(marker)})
    torch.save({"w": Payload(marker)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ModelError, match=r"hold pickled objects, not only tensors.*refused; save the weights alone"
    ):
        load_model(spec)
    assert not marker.exists()


def test_a_bare_pickle_and_a_whole_module_are_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Payload(marker)))
    spec = checkpoint(tmp_path / "x.pt", {})
    with pytest.raises(
        ModelError, match="are a pickle, which runs code when loaded: refused; save the weights"
    ):
        load_model(ModelSpec(path, "a:b", None, LAYERS, ("a", "b"), spec.input))
    path.rename(tmp_path / "model.pt")
    with pytest.raises(ModelError, match="hold pickled objects"):
        load_model(ModelSpec(tmp_path / "model.pt", "a:b", None, LAYERS, ("a", "b"), spec.input))
    assert not marker.exists()
    with pytest.raises(ModelError, match="hold pickled objects, not only tensors"):
        load_model(checkpoint(tmp_path / "module.pt", nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    spec = checkpoint(tmp_path / "model.pt", {})
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), spec.weights)
    with pytest.raises(
        ModelError, match=r"are a TorchScript program.*refused; save the weights alone.*\.pt2"
    ):
        load_model(spec)


def test_an_archive_under_another_name_or_with_a_factory(plain: bytes, tmp_path: Path) -> None:
    spec = checkpoint(tmp_path / "model.pt", {})
    spec.weights.write_bytes(plain)
    with pytest.raises(ModelError, match=r"are a torch.export archive; name the file .pt2"):
        load_model(spec)
    path = spec.weights.rename(tmp_path / "model.pt2")
    with pytest.raises(ModelError, match=r"a \.pt2 archive carries its own program: leave `factory` out"):
        load_model(ModelSpec(path, "a:b", None, LAYERS, ("a", "b"), spec.input))


def test_safetensors_need_no_check(tmp_path: Path) -> None:
    """Bytes that are not tensors are refused, whatever they hold."""
    path = tmp_path / "model.safetensors"
    save_file(Net().state_dict(), path)
    path.write_bytes(pickle.dumps(Payload(tmp_path / "marker")))
    spec = checkpoint(tmp_path / "x.pt", {})
    with pytest.raises(ModelError, match="are not a safetensors file"):
        load_model(ModelSpec(path, "a:b", None, LAYERS, ("a", "b"), spec.input))
    assert not (tmp_path / "marker").exists()
