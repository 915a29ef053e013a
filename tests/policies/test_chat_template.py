"""Chat template: every feature that models' templates use renders as transformers renders it."""
# ruff: noqa: E501

import pytest

from codegym.errors import ConfigError
from codegym.policies.hf.chat_template import render_chat
from codegym.policies.hf.prompting import Prompting
from codegym.tokenizers.hf import END, HFTokenizer

transformers = pytest.importorskip("transformers")

TURNS = "{% for m in messages %}{{ m.role }}:{{ m['content'] }}\n{% endfor %}"
HEAD = "{% if add_generation_prompt %}assistant:{% endif %}"
TEMPLATES = {
    "date": "{{ strftime_now('%Y') }}" + TURNS + HEAD,
    "date, if it may": "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% endif %}" + TURNS,
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}" + HEAD,
    "tojson": "{% for m in messages %}{{ m | tojson(indent=2) }}{{ m.content | tojson }}"
    "{{ {'a': 'ä<'} | tojson(ensure_ascii=False) }}{% endfor %}" + HEAD,
    "loop controls": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "{{ m.content }}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}" + HEAD,
    "special tokens": "{{ bos_token }}" + TURNS + "{{ eos_token }}{{ pad_token }}{{ unk_token }}",
    "tools": "{% if tools is not none %}T{% endif %}{% if tools %}U{% endif %}"
    "{% if documents %}D{% endif %}" + TURNS + HEAD,
    "tools, by definition": "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}"
    "{%- if tools is not none %}x{% endif -%}" + TURNS + HEAD,
    "undefined": "{{ nothing }}{% if enable_thinking is defined %}x{% endif %}" + TURNS + HEAD,
    "namespace and macro": "{%- macro turn(m) -%}[{{ m.role }}]{{ m.content | trim }}{%- endmacro -%}"
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ turn(m) }}"
    "{% endfor %}{{ ns.n }}" + HEAD,
    "methods": "{% for m in messages %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}"
    "{{ m.get('tool_calls') }}{% if m.content is string %}s{% endif %}{% endfor %}" + HEAD,
    "slices": "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% else %}"
    "{% set rest = messages %}{% endif %}{{ rest | length }}{{ messages[::-1][0].content }}" + HEAD,
    "blocks": "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n"
    "{% endfor %}\n" + HEAD,
    "thought": TURNS + HEAD + "{% if add_generation_prompt %}<think>\n{% endif %}",
    "system refused": "{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + TURNS + HEAD,
    "alternation": "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}" + HEAD,
}  # fmt: skip
TOKENS = {
    "bos_token": "<s>",
    "eos_token": {"content": END},
    "pad_token": None,
    "unk_token": "<unk>",
}
CHATS = {
    "user": [("user", "Write f < 1.")],
    "system": [("system", "Be brief."), ("user", "Write {f}.")],
    "repair": [("user", "Write f."), ("assistant", "<think>a</think>\nx"), ("user", "It fails.")],
    "wrong order": [("user", "Write f."), ("user", "Again.")],
}


def theirs(template, messages, *, head):
    backend = HFTokenizer().backend
    tokens = {name: END if name == "eos_token" else text for name, text in TOKENS.items()}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)
    return tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=head
    )


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("chat", CHATS)
def test_it_renders_as_transformers_does_or_says_why_not(name, chat):
    messages = [{"role": role, "content": text} for role, text in CHATS[chat]]
    tokenizer = HFTokenizer(config=TOKENS, chat_template=TEMPLATES[name])
    for head in (True, False):
        try:
            expected = theirs(TEMPLATES[name], messages, head=head)
        except Exception as error:
            assert name in ("system refused", "alternation")
            with pytest.raises(ConfigError, match=str(error)):
                render_chat(messages, tokenizer, add_generation_prompt=head)
        else:
            assert render_chat(messages, tokenizer, add_generation_prompt=head) == expected


def test_a_system_message_is_shown_or_refused_with_a_cure():
    prompting = Prompting(style="answer", system="Be brief.")
    tokenizer = HFTokenizer(config=TOKENS, chat_template=TEMPLATES["date"])
    shown = tokenizer.decode(prompting.encode("Write {f}.", tokenizer))
    assert "system:Be brief.\nuser:Write a Python program.\nWrite {f}.\nassistant:" in shown
    refusing = HFTokenizer(config=TOKENS, chat_template=TEMPLATES["system refused"])
    with pytest.raises(ConfigError, match=r"System role not supported.*user's request"):
        prompting.encode("Write f.", refusing)


def test_of_several_templates_the_default_is_taken(tmp_path):
    rows = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    tokenizer = HFTokenizer(config={"eos_token": END, "chat_template": rows})
    tokenizer.save(tmp_path)
    assert HFTokenizer.load(tmp_path).chat_template == "D"


def test_a_template_that_does_not_parse_is_a_typed_error():
    tokenizer = HFTokenizer(chat_template="{% for m in messages %}")
    with pytest.raises(ConfigError, match="chat template"):
        render_chat([{"role": "user", "content": "x"}], tokenizer)
