"""Writing ONNX graphs as nested calls: `op.Add(op.MatMul(x, kernel), bias)` adds two nodes."""

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from vtiqa_jax.errors import UserError

OPSET = 20
"""The first with `Gelu`."""
IR_VERSION = 9
"""The file format that came with the opset, so that no runtime that knows it refuses the file."""

Value = str
"""The name of what a node returns, of an input, or of a stored array."""


def import_onnx() -> ModuleType:
    """Imports the package onnx.

    Raises:
        UserError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError('writing .onnx files needs the extra "export": pip install "vtiqa-jax[export]"') from error
    return onnx


class Graph:
    """A graph that grows: a method for every operator of ONNX, which adds a node and returns its value."""

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self._nodes: list[Any] = []
        self._arrays: dict[str, np.ndarray] = {}

    def __getattr__(self, operator: str) -> Callable[..., Value]:
        if not operator[0].isupper():  # operators are; Python asks for __deepcopy__ and the like
            raise AttributeError(operator)
        return functools.partial(self._add, operator)

    def _add(self, operator: str, *inputs: Value | np.ndarray | np.generic, **attributes: Any) -> Value:
        """Adds a node; inputs that are arrays are stored as constants."""
        name = f"{operator}_{len(self._nodes)}"
        values = [
            value if isinstance(value, str) else self.store(f"{name}.{position}", np.asarray(value))
            for position, value in enumerate(inputs)
        ]
        self._nodes.append(self._onnx.helper.make_node(operator, values, [name], name=name, **attributes))
        return name

    def store(self, name: str, array: np.ndarray) -> Value:
        """Puts an array into the file; once, however often it is asked for."""
        self._arrays[name] = array
        return name

    def cast(self, value: Value, dtype: type[np.generic]) -> Value:
        """Adds a cast of the value to numbers of another type."""
        return self.Cast(value, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def model(
        self,
        inputs: Mapping[str, tuple[type[np.generic], tuple[str | int, ...]]],
        outputs: Mapping[str, tuple[Value, tuple[str | int, ...]]],
        description: str,
        metadata: Mapping[str, str],
    ) -> Any:
        """Returns the whole file.

        Args:
            inputs: type and shape of each; a string is a size that is known when it runs.
            outputs: what it returns, float32, and the shape of each.
            description: what goes in and what comes out.
            metadata: kept in the file's `metadata_props`.

        Returns:
            An `onnx.ModelProto`, checked.
        """
        helper = self._onnx.helper
        element = helper.np_dtype_to_tensor_dtype
        named = [helper.make_node("Identity", [value], [name], name=name) for name, (value, _) in outputs.items()]
        graph = helper.make_graph(
            [*self._nodes, *named],
            "vtiqa",
            [
                helper.make_tensor_value_info(name, element(np.dtype(kind)), shape)
                for name, (kind, shape) in inputs.items()
            ],
            [
                helper.make_tensor_value_info(name, element(np.dtype(np.float32)), shape)
                for name, (_, shape) in outputs.items()
            ],
            [self._onnx.numpy_helper.from_array(array, name) for name, array in self._arrays.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="vtiqa-jax", doc_string=description
        )
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return model
