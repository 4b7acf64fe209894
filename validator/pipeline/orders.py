"""What a cluster is asked: shards, and before them pieces of their samples; what each leaves is kept here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from validator.cluster import PIECE, Bundle, DaskFleet, Executor, Order, Predicted, Tool
from validator.documents import read_bytes
from validator.matrix import Shard, part_of
from validator.pipeline.parts import PART_LIMIT
from validator.pipeline.pieces import pieces_of
from validator.pipeline.project import Project
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.shard_request import ShardRequest
from validator.runner import write_text

_PIECE = ", samples "  # between the names of a shard and of a piece


@dataclass(frozen=True)
class Orders:
    """The orders of one run, as its `dispatch` needs them.

    `folder`: where what they leave is kept. `request`: what is asked for a shard. `say`: gets a line whenever
    something happens.
    """

    folder: Path
    executor: Executor
    fleet: DaskFleet
    request: Callable[[Shard], ShardRequest]
    say: Callable[[str], None]

    def of(self, due: Iterable[Shard], project: Project, folder: RunFolder) -> list[Order]:
        """The orders of shards, and of the pieces of their samples that no earlier run has left.

        Args:
            due: the shards.
            project: the whole one, with its files on this machine.
            folder: of the run; recordings are converted into it.

        Raises:
            ConfigurationError: a recording cannot be used.
        """
        workers = max(self.executor.workers or 0, len(self.fleet.workers()))
        pieces: list[Order] = []
        whole: list[Order] = []
        for shard in due:
            models = (cell.model for cell in part_of(project.plan, shard)[shard.index - 1])
            count = min(workers, pieces_of(project, models, folder, self.executor.samples))
            numbers = range(1, count + 1) if count > 1 else ()
            own = [self._piece(shard, Shard(index, count)) for index in numbers]
            pieces += (order for order in own if self._predicted(order.name) is None)
            after = tuple(order.name for order in own)
            whole.append(self._order(str(shard), shard.file, self.request(shard), after))
        return [*pieces, *whole]

    def complete(self, order: Order) -> Order:
        """An order with the pieces that were predicted for it; without, unless all can be had."""
        predicted = [self._predicted(name) for name in order.after]
        pieces = [each for each in predicted if each is not None]
        files = Bundle(
            files=tuple(
                file.model_copy(update={"path": f"{RunFolder.PIECES}/{number}/{file.path}"})
                for number, each in enumerate(pieces, 1)
                for file in each.files.files
            )
        )
        why = "not all pieces of them are there" if len(pieces) < len(predicted) else self._too_large(files)
        if why:
            self.say(f"shard {order.name} predicts all of its samples: {why}")
            return order
        request = ShardRequest.model_validate_json(order.request)
        request = request.model_copy(update={"pieces": tuple(each.provenance for each in pieces)})
        return order.model_copy(update={"request": request.model_dump_json(), "pieces": files})

    def keep(self, name: str, part: str) -> None:
        """Keep what an order left."""
        write_text(self._file(name), part)

    def _too_large(self, pieces: Bundle) -> str:
        """Why pieces cannot be sent beside all other files; nothing where they can."""
        total = sum((self.fleet.files.bundle.contents | pieces.contents).values())
        if self.executor.store or total <= self.fleet.limit:
            return ""
        return "with the pieces of them, more than `transfer_gib` would be sent; name a `store`"

    def _piece(self, shard: Shard, piece: Shard) -> Order:
        update = {"piece": str(piece), "longest": self.executor.samples}
        request = self.request(shard).model_copy(update=update)
        return self._order(f"{shard}{_PIECE}{piece}", PIECE, request)

    def _order(self, name: str, part: str, request: ShardRequest, after: Sequence[str] = ()) -> Order:
        return Order(
            name=name,
            run=self.fleet.run,
            part=part,
            system=Tool.this().system,
            bundle=self.fleet.files.bundle,
            request=request.model_dump_json(),
            store=self.executor.store,
            after=tuple(after),
        )

    def _file(self, name: str) -> Path:
        shard, _, piece = name.partition(_PIECE)
        file = Shard.read(shard).file
        return self.folder / (f"samples-{piece.replace('/', '-of-')}-of-{file}" if piece else file)

    def _predicted(self, name: str) -> Predicted | None:
        """What was left of a piece, if workers can be supplied with it."""
        try:
            predicted = Predicted.model_validate_json(read_bytes(self._file(name), PART_LIMIT))
        except (OSError, ValueError):
            return None
        is_held = self.fleet.hold(predicted, is_stored=self.executor.store is not None)
        return predicted if is_held else None
