"""Parsing of the builder's list of layers and of the inspector's JSON."""

from __future__ import annotations

import json

import pytest
from hyperseg_export.engine.report import audit, layers_from_builder, layers_from_inspector
from hyperseg_export.errors import EngineError

# As TensorRT for RTX 1.7.1 prints it, shortened.
FORMAT = "Strides: [1,1], StrideOrder: [1,0], "
BUILDER = f"""Layers:
Name: __myl_CastTran_myl0_0, LayerType: kgen, Inputs: [ {{ Name: image, Dimensions: [1,64], {FORMAT}Datatype: UInt8, Format: (Linear) Row major linear format }}], Constants: [], Outputs: [ {{ Name: a, Dimensions: [1,3], {FORMAT}Datatype: Float, Format: (NHWC) Channel major format }}], TacticName: __myl_CastTran, StreamId: 0, Metadata: [ONNX Layer: cast][ONNX Layer: tr]
Name: c0, LayerType: correlation, Inputs: [ {{ Name: a, Dimensions: [1,3], {FORMAT}Datatype: Half, Format: (NHWC) Channel major format }}], Constants: [ {{ Name: w, Dimensions: [8], {FORMAT}Datatype: Float, Format: (NHWC) x }}], Outputs: [ {{ Name: b, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (NHWC) Channel major format }}], TacticName: stub, StreamId: 0, Metadata: [ONNX Layer: c0]
Name: __myl_Tran, LayerType: kgen, Inputs: [ {{ Name: b, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (NHWC) x }}], Constants: [], Outputs: [ {{ Name: l, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (Linear) x }}], TacticName: t, StreamId: 0, Metadata:\x20
Name: __myl_Slic_myl0_2, LayerType: kgen, Inputs: [ {{ Name: wide, Dimensions: [4,6,8], {FORMAT}Datatype: Half, Format: (Linear) x }}], Constants: [], Outputs: [ {{ Name: theta, Dimensions: [4,6,7], {FORMAT}Datatype: Half, Format: (Linear) x }}], TacticName: t, StreamId: 0, Metadata: [ONNX Layer: matmul]
Name: __mye1, LayerType: signal, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 1, EventId: 3, Metadata:\x20
Name: level0, LayerType: custom_layer, Inputs: [ {{ Name: l, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (Linear) x }}, {{ Name: theta, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (Linear) x }}], Constants: [ {{ Name: bias, Dimensions: [8], {FORMAT}Datatype: Half, Format: (Linear) x }}], Outputs: [ {{ Name: y, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (Linear) x }}], TacticName: , StreamId: 0, Metadata: [ONNX Layer: level0]
Name: end, LayerType: custom_layer, Inputs: [ {{ Name: y, Dimensions: [1,8], {FORMAT}Datatype: Half, Format: (Linear) x }}], Constants: [], Outputs: [ {{ Name: labels, Dimensions: [1], {FORMAT}Datatype: Int32, Format: (Linear) x }}], TacticName: , StreamId: 0, Metadata: [ONNX Layer: end]

I/O Tensors:
 Name: image, IOMode: Input, DataType: UInt8, Dimensions: [1,64,96,3], Location: Device
"""  # noqa: E501


def test_the_builders_list() -> None:
    layers = layers_from_builder(BUILDER)
    names = ["__myl_CastTran_myl0_0", "c0", "__myl_Tran", "__myl_Slic_myl0_2", "__mye1", "level0", "end"]
    assert [layer.name for layer in layers] == names
    assert [tensor.name for tensor in layers[5].inputs] == ["l", "theta"]
    assert layers[3].inputs[0].shape == (4, 6, 8)
    found = audit(layers)
    assert (found.layers, found.half_layers, found.plugin_layers) == (6, 5, 2)
    assert (found.reformats, found.plugin_reformats) == (2, 2)
    assert found.half_share == 5 / 6


@pytest.mark.parametrize("key", ["Format/Datatype", "Datatype"])
def test_the_inspectors_json(key: str) -> None:
    """TensorRT 10 states the type in a text; TensorRT 11 and RTX have a field for it."""
    words = {"Format/Datatype": "Row major linear FP16 format", "Datatype": "Half"}[key]

    def tensor(name: str) -> dict[str, str]:
        return {"Name": name, key: words}

    content = {
        "Layers": [
            {"Name": "Reformatting CopyNode for Input Tensor 0 to p", "LayerType": "Reformat",
             "Inputs": [tensor("a")], "Outputs": [tensor("b")]},
            {"Name": "p", "LayerType": "PluginV3", "Inputs": [tensor("b")], "Outputs": [tensor("c")]},
        ]
    }  # fmt: skip
    found = audit(layers_from_inspector(json.dumps(content)))
    assert (found.half_layers, found.plugin_layers, found.reformats, found.plugin_reformats) == (2, 1, 1, 1)


@pytest.mark.parametrize("text", ["", "Layers:\nsomething else\n"])
def test_an_empty_list_is_no_audit(text: str) -> None:
    with pytest.raises(EngineError, match="could not be audited"):
        audit(layers_from_builder(text))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"Layers": 3}'])
def test_an_answer_that_is_not_understood(text: str) -> None:
    with pytest.raises(EngineError):
        audit(layers_from_inspector(text))
