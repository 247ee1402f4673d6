"""Checkpoints: the state from which a phase resumes, and files that a kill leaves whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from luxvox.errors import UsageError


@dataclass(frozen=True)
class Learner:
    """Everything a phase changes: parameters, their running means, and its own memory."""

    parameters: dict[str, nn.Parameter]
    means: dict[str, Tensor]
    optimiser: torch.optim.Adam
    memory: dict[str, Tensor]


@dataclass
class PhaseState:
    """How far a phase has come; saved for a resume."""

    step: int = 0
    elapsed_s: float = 0.0


def save_state(path: Path, state: PhaseState, learner: Learner) -> None:
    """Save a state so that a kill leaves the old one whole."""
    tensors = {f"memory/{name}": tensor.contiguous() for name, tensor in learner.memory.items()}

    # The state of Adam is stored by name, since its own numbering depends on the groups.
    for name, parameter in learner.parameters.items():
        tensors[f"live/{name}"] = parameter.detach().contiguous()
        tensors[f"mean/{name}"] = learner.means[name].contiguous()
        for key, value in learner.optimiser.state[parameter].items():
            tensors[f"adam/{key}/{name}"] = torch.as_tensor(value).clone().contiguous()
    # Steps and seconds are in the same file, so a kill cannot separate them from the weights. The
    # JSON is for people, shows that there is something to resume, and at which learning rate.
    tensors["step"] = torch.tensor(state.step)
    tensors["elapsed_s"] = torch.tensor(state.elapsed_s, dtype=torch.float64)
    save_atomically(tensors, path.with_suffix(".safetensors"))
    figures = {
        "step": state.step,
        "elapsed_s": state.elapsed_s,
        "learning_rate": learner.optimiser.defaults["lr"],
    }
    write_json(path.with_suffix(".json"), figures)


def rate_of_state(path: Path) -> float | None:
    """Return the learning rate of a saved state, or None if it does not say."""
    rate = json.loads(path.with_suffix(".json").read_text()).get("learning_rate")
    return None if rate is None else float(rate)


def load_state(path: Path, learner: Learner) -> PhaseState:
    """Continue from a saved state.

    Raises:
        UsageError: if it is that of other tensors.
    """
    tensors = load_file(path.with_suffix(".safetensors"))
    _check_resume(path.name, learner, tensors)
    with torch.no_grad():
        # State that a checkpoint lacks keeps the initial values of the phase.
        for name, tensor in learner.memory.items():
            if f"memory/{name}" in tensors:
                tensor.copy_(tensors[f"memory/{name}"])

        # Adam has no state for a parameter before its first step.
        for name, parameter in learner.parameters.items():
            parameter.copy_(tensors[f"live/{name}"])
            learner.means[name].copy_(tensors[f"mean/{name}"])
            learner.optimiser.state[parameter] = {
                key: _lay_out_as(parameter, tensors[f"adam/{key}/{name}"])
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam/{key}/{name}" in tensors
            }

    return PhaseState(int(tensors["step"]), float(tensors["elapsed_s"]))


def _check_resume(name: str, learner: Learner, tensors: Mapping[str, Tensor]) -> None:
    """Refuse to go on with other tensors than a phase began with.

    Raises:
        UsageError: if other tensors learn.
    """
    trained = {key.removeprefix("live/") for key in tensors if key.startswith("live/")}
    if trained != set(learner.parameters):
        raise UsageError(f"{name} trained other tensors until now; resume it with its own options")


def _lay_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a value in the memory layout of a parameter, which the fused optimiser relies on."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)


def save_atomically(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file so that a kill leaves the old one whole."""
    partial = path.with_suffix(".partial")
    save_file({name: t.contiguous() for name, t in tensors.items()}, partial)
    partial.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file so that a kill leaves the old one whole."""
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
