"""Answer markup: turns, channels, thoughts and end tokens of a chat model's text.

Models write them in many notations; each table below lists those in use. A mark beside a quotation
mark is taken for a part of a program's string and left alone.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator

_NO_QUOTE_BEFORE = r"(?<![\"'])(?<!(?<!``)`)"
_NO_QUOTE_AFTER = r"(?![\"'\\{]|`(?!``))"

# Headers of turns: ChatML, Llama 3, Gemma, Phi and Zephyr, Cohere, DeepSeek, Mistral.
_HEADER = re.compile(
    _NO_QUOTE_BEFORE + r"(?:<\|im_start\|>(?P<chatml>\w+)|"
    r"<\|start_header_id\|>(?P<llama>\w+)<\|end_header_id\|>|"
    r"<start_of_turn>(?P<gemma>\w+)|"
    r"<\|(?P<phi>user|assistant|system|tool|observation)\|>|"
    r"<\|START_OF_TURN_TOKEN\|><\|(?P<cohere>\w+?)_TOKEN\|>|"
    r"<[|\uff5c](?P<deepseek>User|Assistant)[|\uff5c]>|"
    r"(?P<mistral>\[/?INST\]))" + _NO_QUOTE_AFTER
)
_ASSISTANTS = frozenset({"assistant", "model", "chatbot", "[/inst]"})
_BEGINNINGS = re.compile(
    r"\s*(?:(?:<s>|<bos>|<BOS_TOKEN>|<\|(?:begin_of_text|startoftext|endoftext|START_RESPONSE|"
    r"start_of_response|im_sep)\|>|<[|\uff5c]begin\u2581of\u2581sentence[|\uff5c]>)\s*)+"
)
_END = re.compile(
    _NO_QUOTE_BEFORE + r"(?:<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|return|call|eot|"
    r"EOT|eos|pad|end_of_turn|END_OF_TURN_TOKEN|END_RESPONSE|end_of_sentence|role_end|eoa|stop|"
    r"file_sep|fim_\w+|im_start|start_header_id|start)\|>|<[|\uff5c]end\u2581of\u2581sentence[|\uff5c]>|"
    r"<end_of_turn>|<EOT>|<\|EOT\|>|<END_OF_TURN_TOKEN>)"
    + _NO_QUOTE_AFTER
    + r"|(?:</s>|<eos>|<pad>)(?=\s*(?:\Z|\n|<|\[))"
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>)?(?:assistant)?[^<\n]{0,80}?<\|channel\|>(?P<name>\w+)[^<\n]{0,80}"
    r"(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_THOUGHT = re.compile(
    _NO_QUOTE_BEFORE
    + r"(?:<(?P<close>/)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think)>|"
    r"<\|(?:(?:begin|start)_of_thought|START_THINKING)\|>|"
    r"<\|(?P<close_solution>end_of_thought|END_THINKING)\|>|"
    r"◁(?P<close_kimi>/)?think▷|\[(?P<close_mistral>/)?THINK\])" + _NO_QUOTE_AFTER,
    re.IGNORECASE,
)
_FENCE_LINE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)
_BEGIN = re.compile(r"^[ \t]*\[BEGIN\][ \t]*\n?", re.MULTILINE)
_DONE = re.compile(r"^[ \t]*\[DONE\]|[ \t]\[DONE\]\s*\Z", re.MULTILINE)


def final_text(answer: str) -> str:
    r"""Return what a chat model finally says, without thoughts, other turns and end tokens.

    An unclosed thought reaches to the end: a model that never ended it has said nothing.

    Example:
        >>> final_text("<think>Perhaps 3?</think>\nx = 2<|im_end|>")
        '\nx = 2'
    """
    text = answer.replace("\r\n", "\n")
    for step in (_own_turn, _final_channel, _without_thoughts, _before_end, _between_marks):
        text = step(text)
    return text


def _own_turn(text: str) -> str:
    """Return the assistant's turn of a conversation.

    Text before the first header is the answer, and what follows was made up by the model. A text
    that begins with another's turn is a whole conversation, whose last answer counts.
    """
    text = _BEGINNINGS.sub("", text, count=1) if _BEGINNINGS.match(text) else text
    headers = list(_HEADER.finditer(text))
    if not headers:
        return text
    if text[: headers[0].start()].strip():
        return text[: headers[0].start()]
    ends = [header.start() for header in headers[1:]] + [len(text)]
    turns = [
        (_role(header) in _ASSISTANTS, text[header.end() : end])
        for header, end in zip(headers, ends, strict=True)
    ]
    own = [turn for assistant, turn in turns if assistant and turn.strip()]
    if not own:
        return "" if turns[0][0] else text
    return own[0] if turns[0][0] else own[-1]


def _role(header: re.Match[str]) -> str:
    return next(role for role in header.groups() if role is not None).lower()


def _final_channel(text: str) -> str:
    """Return the final channel of OpenAI's harmony format; other channels are thoughts.

    A decoder that drops special tokens leaves ``analysis...assistantfinal...``.
    """
    channels = list(_CHANNEL.finditer(text))
    if channels:
        final = [channel for channel in channels if channel["name"] == "final"]
        if not final:
            return text[: channels[0].start()]
        start = final[-1].end()
        end = _CHANNEL_END.search(text, start)
        return text[start : end.start() if end else len(text)]
    if re.match(r"\s*(?:analysis|commentary)", text):
        _, mark, after = text.rpartition("assistantfinal")
        if mark:
            return after
        if re.match(r"\s*(?:analysis|commentary)[A-Z]", text):
            return ""
    return text


def _without_thoughts(text: str) -> str:
    kept: list[str] = []
    at, inside = 0, False
    for mark in _THOUGHT.finditer(text):
        if any(mark.group(name) for name in _THOUGHT.groupindex):
            if not inside:  # the prompt opened the thought, or the thought mentioned its end
                kept.clear()
            at, inside = mark.end(), False
        elif not inside:
            kept.append(text[at : mark.start()])
            inside = True
    if not inside:
        kept.append(text[at:])
    return "".join(kept)


def _before_end(text: str) -> str:
    """Return the text before the first end token; a token inside a closed fence is code."""
    fences = [fence.start() for fence in _FENCE_LINE.finditer(text)]
    for end in _END.finditer(text):
        before = bisect_left(fences, end.start())
        if before % 2 and before < len(fences):
            continue
        if text[: end.start()].strip():
            return text[: end.start()]
    return text


def _between_marks(text: str) -> str:
    """Return what stands between ``[BEGIN]`` and ``[DONE]``, the marks of MBPP's prompt."""
    begin = _BEGIN.search(text)
    if begin is not None and text[begin.end() :].strip():
        text = text[begin.end() :]
    for done in _DONE.finditer(text):
        if text[: done.start()].strip():
            return text[: done.start()]
    return text


# Tags around an answer or a program. The answer's come first: a program may be in both.
_TAGS = re.compile(
    _NO_QUOTE_BEFORE
    + r"(?:<(?P<tag>answer|solution|final_answer|final|response|result|code|python|"
    r"program|pre)\b[^<>\n]{0,80}>(?P<tagged>.*?)(?:</(?P=tag)>|\Z)|"
    r"\[PYTHON\](?P<marked>.*?)(?:\[/PYTHON\]|\Z)|"
    r"<\|begin_of_solution\|>(?P<solved>.*?)(?:<\|end_of_solution\|>|\Z)|"
    r"\\begin\{(?P<latex>lstlisting|verbatim|minted|python|code|pycode)\}"
    r"(?:\[[^\]\n]{0,80}\]|\{[^}\n]{0,80}\})*(?P<set>.*?)(?:\\end\{(?P=latex)\}|\Z))",
    re.DOTALL | re.IGNORECASE,
)
_MOST_SECTIONS = 12


def sections(text: str) -> Iterator[str]:
    """Yield the texts inside tags such as ``<answer>`` or ``[PYTHON]``, the last first."""
    found = []
    for match in _TAGS.finditer(text):
        parts = (match["tagged"], match["marked"], match["solved"], match["set"])
        found.append(next(part for part in parts if part is not None))
        if len(found) == _MOST_SECTIONS:
            break
    yield from reversed([part for part in found if part.strip()])
