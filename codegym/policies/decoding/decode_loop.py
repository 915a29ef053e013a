"""The decode loop: writes programs token by token, in chunks of rows.

It knows nothing of transformers: a ``Decoder`` reads prompts and single tokens and returns scores
and values. Randomness is one uniform number per row and step, drawn before the loop, so that what a
row draws depends neither on its chunk nor on when its neighbours finish.

In shapes, N is programs, R the rows of a chunk still written, V the vocabulary.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.errors import ConfigError, PromptTooLongError
from codegym.policies.decoding.row_masks import RowMasks, forbid
from codegym.policies.decoding.token_log import TokenLog, WrittenChunk
from codegym.policies.decoding.token_sampling import TokenSampler, uniforms
from codegym.policy import Constraint, Generation
from codegym.tokenizers.tokenizer import Tokenizer

_MIN_ROWS = 32


class Decoder(Protocol):
    """Reads rows token by token; made anew for every chunk."""

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read prompts once each; row r continues prompt ``rows[r]``, for ``room`` steps at most.

        ``rows`` ascends.

        Returns:
            (R, V) scores of the first token and (R,) values.
        """

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read (R,) tokens; return (R, V) scores of the next tokens and (R,) values."""

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""


class Stopper(Protocol):
    """Watches the text of rows for sequences that mean the same as the end token."""

    def read(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Read one more token of each row.

        Returns:
            (R,) number of tokens before the stop sequence, -1 where there is none.
        """

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all rows but these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How the loop runs; it changes speed, never what is drawn.

    Attributes:
        chunk_rows: Programs written at once.
        keep_share: Finished rows are dropped when less than this share is still being written.
        workers: Chunks written side by side on a CPU, each on one core; torch's number of threads
            if None. Large models take 1 and use the cores within each matrix product.
        compiled: Let ``gpt`` read through compiled kernels on a CPU where numba is installed.
    """

    chunk_rows: int = 128
    keep_share: float = 0.7
    workers: int | None = None
    compiled: bool = True

    def __post_init__(self) -> None:
        for name, value in (("chunk_rows", self.chunk_rows), ("workers", self.workers)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is unusable", value=value, expected=">= 1")
        if not 0.0 <= self.keep_share <= 1.0:
            raise ConfigError("keep_share is unusable", value=self.keep_share, expected="0 to 1")


def generate(
    make_decoder: Callable[[], Decoder],
    prompts: Sequence[Sequence[int]],
    *,
    n: int,
    budget: int,
    sampler: TokenSampler,
    config: SamplingConfig,
    tokenizer: Tokenizer,
    max_tokens: int,
    rng: torch.Generator,
    device: torch.device,
    make_stopper: Callable[[int], Stopper] | None = None,
    constraint: Constraint | None = None,
) -> Generation:
    """Write ``n`` programs for each prompt.

    Prompts of similar length share a chunk, so that little padding is read.

    Args:
        make_decoder: Makes the reader of one chunk.
        prompts: Ids of each prompt.
        n: Programs per prompt.
        budget: Most tokens of a program, the end included; less where ``max_tokens`` is near.
        sampler: How tokens are drawn.
        config: How the loop runs.
        tokenizer: Its end id ends a program; its pad id is never written.
        max_tokens: Longest prompt plus program.
        rng: Source of randomness.
        device: Where the decoder runs.
        make_stopper: Makes the watch over the given number of rows. A stop sequence is replaced by
            the end token, with the probability that the end token had in its place, before
            ``top_p``: learning moves the policy to the end token.
        constraint: What may be written. Stop sequences are not looked for then: a whole program may
            hold them, and the constraint sees to its end.

    Raises:
        PromptTooLongError: A prompt leaves no room for a program.
        ConfigError: ``n`` or ``budget`` is below 1, a prompt is empty, or lacks a state.
    """
    check_prompts(prompts, n=n, budget=budget, max_tokens=max_tokens)
    _check_constraint(constraint, prompts)
    count = len(prompts) * n
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    writer = _ChunkWriter(
        make_decoder=make_decoder,
        make_stopper=make_stopper,
        constraint=constraint,
        prompts=prompts,
        n=n,
        rooms=np.minimum(budget, max_tokens - lengths),
        random=None if sampler.deterministic else uniforms((count, budget), rng, device),
        sampler=sampler,
        keep_share=config.keep_share,
        tokenizer=tokenizer,
        device=device,
    )
    workers = (config.workers or torch.get_num_threads()) if device.type == "cpu" else 1
    chunks = _chunks(lengths, n=n, rows=config.chunk_rows, workers=workers)
    return _gather(count, chunks, _map(writer.write, chunks, workers))


def skip(rng: torch.Generator, *, programs: int, budget: int, device: torch.device) -> None:
    """Draw what ``generate`` draws for so many programs, and drop it."""
    uniforms((programs, budget), rng, device)


@dataclass(frozen=True, kw_only=True)
class _ChunkWriter:
    """Writes chunks of programs; several threads may share it.

    Attributes:
        make_decoder, make_stopper, constraint, prompts, n, sampler, tokenizer, device: As of
            ``generate``.
        rooms: For each prompt, how many tokens a program may have.
        random: (N, budget) uniform numbers; None where the most probable token is taken.
        keep_share: As of ``SamplingConfig``.
        lock: Held while the constraint is asked, which all threads share.
    """

    make_decoder: Callable[[], Decoder]
    make_stopper: Callable[[int], Stopper] | None
    constraint: Constraint | None
    prompts: Sequence[Sequence[int]]
    n: int
    rooms: NDArray[np.int64]
    random: torch.Tensor | None
    sampler: TokenSampler
    keep_share: float
    tokenizer: Tokenizer
    device: torch.device
    lock: Lock = field(default_factory=Lock)

    @torch.inference_mode()
    def write(self, chunk: NDArray[np.int64]) -> WrittenChunk:
        """Write the programs of these numbers, 0 to N - 1."""
        owners = chunk // self.n
        # Programs of one prompt are neighbours: a new prompt starts where the number changes.
        starts = np.diff(owners, prepend=-1) != 0
        rooms = self.rooms[owners]
        masks, stopper, random = None, None, None
        if self.constraint is not None:
            ids = {"pad_id": self.tokenizer.pad_id, "end_id": self.tokenizer.end_id}
            masks = RowMasks(self.constraint, owners, rooms, **ids, lock=self.lock)
        elif self.make_stopper is not None:
            stopper = self.make_stopper(len(chunk))
        if self.random is not None:
            random = self.random[torch.from_numpy(chunk).to(self.device)]
        return _write_chunk(
            self.make_decoder(),
            [self.prompts[index] for index in owners[starts]],
            torch.from_numpy(np.cumsum(starts) - 1).to(self.device),
            rooms=rooms,
            random=random,
            sampler=self.sampler,
            keep_share=self.keep_share,
            end_id=self.tokenizer.end_id,
            stopper=stopper,
            masks=masks,
        )


def _chunks(
    lengths: NDArray[np.int64], *, n: int, rows: int, workers: int
) -> list[NDArray[np.int64]]:
    """Split programs into chunks of similar prompt length, at least one for each worker."""
    count = len(lengths) * n
    order = np.argsort(lengths, kind="stable")[:, None] * n + np.arange(n)
    share = -(-len(lengths) // workers) * n
    # A worker with few rows gains nothing: reading the weights costs as much for 16 rows as for 32.
    rows = min(rows, max(share, _MIN_ROWS))
    return [order.reshape(-1)[start : start + rows] for start in range(0, count, rows)]


def _map(
    write: Callable[[NDArray[np.int64]], WrittenChunk],
    chunks: Sequence[NDArray[np.int64]],
    workers: int,
) -> list[WrittenChunk]:
    """Write chunks side by side, each on one core: small matrices gain nothing from several."""
    if workers == 1 or len(chunks) < 2:
        return [write(chunk) for chunk in chunks]
    threads = torch.get_num_threads()
    one_core = partial(torch.set_num_threads, 1)
    try:
        with ThreadPoolExecutor(min(workers, len(chunks)), initializer=one_core) as pool:
            return list(pool.map(write, chunks))
    finally:
        torch.set_num_threads(threads)


def _gather(
    count: int, chunks: Sequence[NDArray[np.int64]], parts: Sequence[WrittenChunk]
) -> Generation:
    actions: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * count
    log_probs: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * count
    values: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * count
    finished = np.zeros(count, dtype=np.bool_)
    masks: list[NDArray[np.uint8] | None] = [None] * count
    for chunk, part in zip(chunks, parts, strict=True):
        finished[chunk] = part.finished
        for row, index in enumerate(chunk):
            length = int(part.lengths[row])
            actions[index] = part.actions[row, :length]
            log_probs[index] = part.log_probs[row, :length]
            values[index] = part.values[row, :length]
            if part.masks is not None:
                masks[index] = part.masks[row, :length]
    return Generation(
        actions=actions,
        log_probs=log_probs,
        values=values,
        finished=finished,
        masks=masks,
    )


def _check_constraint(constraint: Constraint | None, prompts: Sequence[Sequence[int]]) -> None:
    if constraint is not None and len(constraint.states) != len(prompts):
        raise ConfigError(
            "a constraint needs a state for each prompt",
            value=len(constraint.states),
            expected=str(len(prompts)),
        )


def check_prompts(
    prompts: Sequence[Sequence[int]], *, n: int, budget: int, max_tokens: int
) -> None:
    """Refuse prompts and settings that no policy can generate from.

    Raises:
        PromptTooLongError: A prompt leaves no room for a program.
        ConfigError: ``n`` or ``budget`` is below 1, or a prompt is empty.
    """
    for name, value in (("n", n), ("budget", budget)):
        if value < 1:
            raise ConfigError(f"{name} is unusable", value=value, expected=">= 1")
    for index, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise ConfigError(f"prompt {index} is empty", expected="at least one token")
        if len(prompt) >= max_tokens:
            raise PromptTooLongError(
                f"prompt {index} leaves no room for a program",
                value=len(prompt),
                expected=f"fewer than {max_tokens} tokens",
            )


def _write_chunk(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    rows: torch.Tensor,
    *,
    rooms: NDArray[np.int64],
    random: torch.Tensor | None,
    sampler: TokenSampler,
    keep_share: float,
    end_id: int,
    stopper: Stopper | None,
    masks: RowMasks | None,
) -> WrittenChunk:
    room, count = int(rooms.max()), len(rows)
    log = TokenLog(count, room, rows.device)
    last = torch.from_numpy(rooms - 1).to(rows.device)
    ragged = int(rooms.min()) < room
    logits, values = decoder.prefill(prompts, rows, room)
    over = torch.zeros(count, dtype=torch.bool, device=rows.device)
    for at in range(room):
        if masks is not None:
            logits = forbid(logits, masks.next(at))
        tokens, log_probs, probs = sampler.choose(
            logits, None if random is None else random[:, at : at + 1]
        )
        over |= tokens == end_id
        if ragged:
            over |= last <= at
        if stopper is None:
            log.add(tokens, log_probs, values)
        else:
            log.add(tokens, log_probs, values, probs[:, end_id].log())
            cuts = stopper.read(tokens.cpu().numpy())
            log.cut(cuts)
            over |= torch.from_numpy(cuts >= 0).to(over.device)
        if masks is not None:
            masks.read(tokens.cpu().numpy())
        left = count - int(over.sum())
        if left == 0 or at == room - 1:
            break
        if left < keep_share * count:
            alive = (~over).nonzero()[:, 0]
            log.keep(alive)
            decoder.keep(alive)
            if stopper is not None:
                stopper.keep(alive.cpu().numpy())
            if masks is not None:
                masks.keep(alive.cpu().numpy())
            tokens, over, last, count = tokens[alive], over[alive], last[alive], left
            random = None if random is None else random[alive]
        logits, values = decoder.step(tokens)
    return log.close(rooms, end_id, None if masks is None else masks.bits)
