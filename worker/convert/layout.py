"""What an architecture's tensors are called there and here, and which shape each has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.convert.config import Config
from worker.convert.tensor import Tensor


class Slot(NamedTuple):
    """A tensor: llama.cpp's name, its dimensions by the names of `Architecture.sizes`; `heads` names the number of
    heads whose rows are reordered; one that is not `needed` may be absent."""

    name: str
    shape: tuple[str, ...]
    heads: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Architecture:
    """`block` are the tensors of each layer, below `prefix.N.`; `top` the others. `unused` are names, or their ends,
    of what llama.cpp does without."""

    gguf: str
    prefix: str
    top: Mapping[str, Slot]
    block: Mapping[str, Slot]
    sizes: Callable[[Config], Mapping[str, int]]
    facts: Callable[[Config, str], list[bytes]]
    unused: tuple[str, ...] = ()
    added: Callable[[Config], list[Tensor]] = field(default=lambda config: [])
    """Tensors that no file holds."""

    def slot(self, name: str, blocks: int) -> Slot | None:
        """What a file's tensor is here; None when it is nothing. Raises KeyError for a name that is not known."""
        if name in self.top:
            return self.top[name]
        if name.endswith(self.unused):
            return None
        number, _, part = name.removeprefix(f"{self.prefix}.").partition(".")
        if not name.startswith(f"{self.prefix}.") or not number.isdecimal() or int(number) >= blocks:
            raise KeyError(name)
        slot = self.block[part]
        return slot._replace(name=f"blk.{int(number)}.{slot.name}")

    def needed(self, blocks: int, *, tied: bool) -> dict[str, str]:
        """Names of tensors that must be there, by llama.cpp's names. `tied`: the output is the input's table."""
        top = {slot.name: name for name, slot in self.top.items() if slot.needed}
        if tied:
            top.pop("output.weight", None)
        return top | {
            f"blk.{number}.{slot.name}": f"{self.prefix}.{number}.{name}"
            for number in range(blocks)
            for name, slot in self.block.items()
            if slot.needed
        }


def linear(
    theirs: str, ours: str, outputs: str, inputs: str, heads: str = "", *, bias: bool = False
) -> dict[str, Slot]:
    """A matrix and its bias, which must be there only where `bias` says so."""
    return {
        f"{theirs}.weight": Slot(f"{ours}.weight", (outputs, inputs), heads),
        f"{theirs}.bias": Slot(f"{ours}.bias", (outputs,), heads, needed=bias),
    }


def norm(theirs: str, ours: str, width: str = "hidden", *, bias: bool = False) -> dict[str, Slot]:
    """A normalization's weight, and its bias where there is one."""
    found = {f"{theirs}.weight": Slot(f"{ours}.weight", (width,))}
    return found | ({f"{theirs}.bias": Slot(f"{ours}.bias", (width,))} if bias else {})
